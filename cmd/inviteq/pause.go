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

// haltCommand is pause, and its reverse.
type haltCommand struct {
	instanceFlag
	Lane     string `enum:"interactive,import,all" default:"all" placeholder:"LANE" help:"Which lane: interactive, import or all."`
	ImportID string `placeholder:"ID" help:"One import instead of a lane."`
	jsonFlag
}

// laneJSON is a lane in --json. The keys are stable and always there.
type laneJSON struct {
	Lane   string `json:"lane"`
	Paused bool   `json:"paused"`
}

// change pauses the lanes, or the import, or lets them go on.
func (c *haltCommand) change(ctx context.Context, p *program, paused bool) error {
	if c.ImportID != "" && c.Lane != "all" {
		p.complaints.add(errors.New("give either --lane or --import-id"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.ImportID != "" {
		return c.changeImport(ctx, p, conn, paused)
	}
	lanes := tasks.Lanes
	if lane, err := tasks.ParseLane(c.Lane); err == nil {
		lanes = []tasks.Lane{lane}
	}
	for _, lane := range lanes {
		verb, said := "resume", fmt.Sprintf("The %s lane is not paused.\n", lane)
		if paused {
			verb, said = "pause", fmt.Sprintf("The %s lane is paused; `inviteq resume --lane %s` resumes it.\n", lane, lane)
			err = conn.ledger.Pause(ctx, ledger.Now, lane)
		} else {
			err = conn.ledger.Resume(ctx, lane)
		}
		if err != nil {
			return err
		}
		p.audit(ctx, conn, verb+" lane", lane.String(), 0)
		if c.JSON {
			err = p.printJSON(laneJSON{lane.String(), paused})
		} else {
			_, err = fmt.Fprint(p.console.out, said)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *haltCommand) changeImport(ctx context.Context, p *program, conn *connection, paused bool) error {
	verb, change := "resume", conn.client.ResumeImport
	if paused {
		verb, change = "pause", conn.client.PauseImport
	}
	i, err := change(ctx, c.ImportID)
	if err != nil {
		return err
	}
	p.audit(ctx, conn, verb+" import", i.ID, 0)
	if !paused {
		defer p.hint(ctx, conn)
	}
	switch {
	case c.JSON:
		return p.printJSON(importOf(i))
	case paused:
		_, err = fmt.Fprintf(p.console.out, "%s is paused, with %s that wait; `inviteq resume --import-id %s` resumes it.\n",
			i.ID, show.Count(i.States[tasks.Queued], "invite"), i.ID)
	default:
		_, err = fmt.Fprintf(p.console.out, "%s is %s.\n", i.ID, i.State)
	}
	return err
}

type pauseCommand struct{ haltCommand }

func (pauseCommand) Help() string {
	return `Calls in flight are finished, and no new one begins until inviteq resume. A pause survives restarts and holds for all workers. Waiting invites keep their place. While one import is paused, all others go on; once resumed, it takes turns with them again.

Examples:

  inviteq pause --lane import
  inviteq pause --import-id imp_0123456789abcdef`
}

// Run pauses the lanes, or the import.
func (c *pauseCommand) Run(ctx context.Context, p *program) error { return c.change(ctx, p, true) }

type resumeCommand struct{ haltCommand }

func (resumeCommand) Help() string {
	return `An import that is held (inviteq import --hold) goes at once. Workers see it within two seconds.

Examples:

  inviteq resume
  inviteq resume --import-id imp_0123456789abcdef`
}

// Run lets the lanes, or the import, go on.
func (c *resumeCommand) Run(ctx context.Context, p *program) error { return c.change(ctx, p, false) }

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
