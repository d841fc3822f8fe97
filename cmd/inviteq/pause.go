package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// haltFlags say what is paused, or resumed.
type haltFlags struct {
	Lane     string `enum:"interactive,import,all" default:"all" placeholder:"LANE" help:"Which lane: interactive, import or all."`
	ImportID string `placeholder:"ID" help:"One import instead of a lane."`
}

func (f haltFlags) check(p *program) {
	if f.ImportID != "" && f.Lane != "all" {
		p.complaints.add(errors.New("give either --lane or --import-id"))
	}
}

func (f haltFlags) lanes() []tasks.Lane {
	if lane, err := tasks.ParseLane(f.Lane); err == nil {
		return []tasks.Lane{lane}
	}
	return tasks.Lanes
}

type pauseCommand struct {
	instanceFlag
	haltFlags
	jsonFlag
}

func (pauseCommand) Help() string {
	return `Calls in flight are finished, and no new one begins until inviteq resume. A pause survives restarts and holds for all workers. Waiting invites keep their place. While one import is paused, all others go on; once resumed, it takes turns with them again.

Examples:

  inviteq pause --lane import
  inviteq pause --import-id imp_0123456789abcdef`
}

// Run pauses the lanes, or the import.
func (c *pauseCommand) Run(ctx context.Context, p *program) error {
	c.check(p)
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.ImportID != "" {
		i, err := conn.client.PauseImport(ctx, c.ImportID)
		if err == nil {
			p.audit(ctx, conn, "pause import", i.ID, 0)
		}
		switch {
		case err != nil:
		case c.JSON:
			err = p.printJSON(importOf(i))
		default:
			_, err = fmt.Fprintf(p.console.out, "%s is paused, with %s that wait; `inviteq resume --import-id %s` resumes it.\n",
				i.ID, show.Count(i.States[tasks.Queued], "invite"), i.ID)
		}
		return err
	}
	for _, lane := range c.lanes() {
		if err := conn.ledger.Pause(ctx, ledger.Now, lane); err != nil {
			return err
		}
		p.audit(ctx, conn, "pause lane", lane.String(), 0)
		if c.JSON {
			if err := p.printJSON(laneJSON{lane.String(), true}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(p.console.out, "The %s lane is paused; `inviteq resume --lane %s` resumes it.\n", lane, lane)
	}
	return nil
}

type resumeCommand struct {
	instanceFlag
	haltFlags
	jsonFlag
}

// laneJSON is a lane in --json. The keys are stable and always there.
type laneJSON struct {
	Lane   string `json:"lane"`
	Paused bool   `json:"paused"`
}

func (resumeCommand) Help() string {
	return `An import that is held (inviteq import --hold) goes at once. Workers see it within two seconds.

Examples:

  inviteq resume
  inviteq resume --import-id imp_0123456789abcdef`
}

// Run lets the lanes, or the import, go on.
func (c *resumeCommand) Run(ctx context.Context, p *program) error {
	c.check(p)
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.ImportID != "" {
		i, err := conn.client.ResumeImport(ctx, c.ImportID)
		if err == nil {
			p.audit(ctx, conn, "resume import", i.ID, 0)
			defer p.hint(ctx, conn)
		}
		switch {
		case err != nil:
		case c.JSON:
			err = p.printJSON(importOf(i))
		default:
			_, err = fmt.Fprintf(p.console.out, "%s is %s.\n", i.ID, i.State)
		}
		return err
	}
	for _, lane := range c.lanes() {
		if err := conn.ledger.Resume(ctx, lane); err != nil {
			return err
		}
		p.audit(ctx, conn, "resume lane", lane.String(), 0)
		if c.JSON {
			if err := p.printJSON(laneJSON{lane.String(), false}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(p.console.out, "The %s lane is not paused.\n", lane)
	}
	return nil
}

// standing says in words whether an import goes.
func (p *program) standing(i enqueue.Import) cell {
	word := string(i.State)
	if i.State == tasks.ImportHeld {
		word += " until " + show.Time(i.HeldUntil)
	}
	switch i.State {
	case tasks.ImportPaused, tasks.ImportHeld, tasks.ImportRevoking:
		return text(word).in(p.console.onOut.yellow)
	case tasks.ImportRunning, tasks.ImportDone:
	}
	return text(word)
}
