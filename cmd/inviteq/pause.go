package main

import (
	"context"
	"fmt"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

type laneFlag struct {
	Lane string `enum:"interactive,import,all" default:"all" placeholder:"LANE" help:"Which lane: interactive, import or all."`
}

func (f laneFlag) lanes() []tasks.Lane {
	if lane, err := tasks.ParseLane(f.Lane); err == nil {
		return []tasks.Lane{lane}
	}
	return tasks.Lanes
}

type pauseCommand struct {
	instanceFlag
	laneFlag
}

func (pauseCommand) Help() string {
	return `Calls in flight are finished, and no new one begins until inviteq resume. A pause survives restarts and holds for all workers. Waiting invites keep their place.

Example:

  inviteq pause --lane import`
}

// Run pauses the lanes.
func (c *pauseCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, lane := range c.lanes() {
		if err := conn.ledger.Pause(ctx, ledger.Now, lane); err != nil {
			return err
		}
		fmt.Fprintf(p.console.out, "The %s lane is paused; `inviteq resume --lane %s` resumes it.\n", lane, lane)
	}
	return nil
}

type resumeCommand struct {
	instanceFlag
	laneFlag
}

func (resumeCommand) Help() string {
	return `Example:

  inviteq resume`
}

// Run lets the lanes go on.
func (c *resumeCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, lane := range c.lanes() {
		if err := conn.ledger.Resume(ctx, lane); err != nil {
			return err
		}
		fmt.Fprintf(p.console.out, "The %s lane is not paused.\n", lane)
	}
	return nil
}
