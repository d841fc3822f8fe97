package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/inviteq/inviteq/cmd/inviteq/agent"
	"github.com/inviteq/inviteq/tasks/show"
)

type mcpPlansCommand struct {
	instanceFlag
	jsonFlag
}

// Run lists the plans.
func (c *mcpPlansCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	plans, err := agent.NewStore(conn.rdb, c.Instance).All(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, r := range plans {
			if err := p.printJSON(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(plans) == 0 {
		p.console.note("no plans")
		return nil
	}
	var t table
	t.header("plan", "what", "people", "such as", "by", "", "state")
	for _, r := range plans {
		t.row(text(r.ID), text(string(r.Kind)), number(int64(r.People)), text(strings.Join(r.Sample[:min(2, len(r.Sample))], ", ")),
			text(r.Owner), text(show.Ago(time.Now(), r.At)), text(r.State()))
	}
	return t.print(p.console.out, p.console.onOut)
}

type (
	mcpApproveCommand struct{ mcpDecision }
	mcpRejectCommand  struct{ mcpDecision }
	mcpDecision       struct {
		Plan string `arg:"" help:"The plan (plan_…)."`
		instanceFlag
	}
)

// Run allows it.
func (c *mcpApproveCommand) Run(ctx context.Context, p *program) error { return c.decide(ctx, p, true) }

// Run forbids it.
func (c *mcpRejectCommand) Run(ctx context.Context, p *program) error { return c.decide(ctx, p, false) }

func (c *mcpDecision) decide(ctx context.Context, p *program, approve bool) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := agent.NewStore(conn.rdb, c.Instance).Decide(ctx, c.Plan, approve)
	if err != nil {
		return err
	}
	what := "reject plan"
	if approve {
		what = "approve plan"
	}
	p.audit(ctx, conn, what, r.ID, r.People)
	_, err = fmt.Fprintf(p.console.out, "%s is %s: to %s %s, asked by %s.\n", r.ID, r.State(), r.Kind, show.Thousands(r.People)+" people", r.Owner)
	return err
}
