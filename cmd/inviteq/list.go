package main

import (
	"context"
	"slices"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

type listCommand struct {
	State    []string `placeholder:"STATE" help:"Only invites in this state: queued, sending, unknown, pending, accepted, expired, revoked, rejected, canceled, failed or parked. Repeatable."`
	ImportID string   `placeholder:"ID" help:"Only invites of this import, in the order of its file."`
	Limit    int      `default:"100" help:"How many at most; 0 for all."`
	instanceFlag
	jsonFlag
}

func (listCommand) Help() string {
	return `Queued invites come in the order in which they will be sent, others by the time of their last change.

Examples:

  inviteq list --state failed --state parked
  inviteq list --import-id imp_0123456789abcdef --limit 0 --json`
}

// Run prints a list. With --json and no limit it streams lists of any length.
func (c *listCommand) Run(ctx context.Context, p *program) error {
	options := enqueue.ListOptions{ImportID: c.ImportID, Limit: c.Limit, States: p.states(c.State)}
	if c.Limit < 0 {
		p.complaints.add(usagef("--limit must not be negative; 0 lists all"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	var list []enqueue.Status
	shown := 0
	defer func() {
		if shown > 0 {
			p.audit(ctx, conn, "reveal", c.ImportID, shown)
		}
	}()
	for s, err := range conn.client.All(ctx, options) {
		if err != nil {
			return err
		}
		shown++
		if !c.JSON {
			list = append(list, s)
		} else if err := p.printJSON(s.JSON()); err != nil {
			return err
		}
	}
	if c.JSON {
		return nil
	}
	if len(list) == 0 {
		p.console.note("no invites")
		return nil
	}
	if err := p.printStatuses(list, false); err != nil {
		return err
	}
	if len(list) == c.Limit {
		p.console.note("the first %d; --limit 0 lists all", c.Limit)
	}
	return nil
}

// states parses names of states and adds to the complaints.
func (p *program) states(names []string) []tasks.State {
	states := make([]tasks.State, 0, len(names))
	for _, name := range names {
		s, err := tasks.ParseState(name)
		if err != nil {
			p.complaints.add(usagef("--state: %w", err))
		}
		states = append(states, s)
	}
	return states
}

// statesAmong parses names of those states that can be dealt with so.
func (p *program) statesAmong(names []string, allowed []tasks.State, verb string) []tasks.State {
	states := p.states(names)
	for _, s := range states {
		if !slices.Contains(allowed, s) {
			p.complaints.add(usagef("--state: %s invites cannot be %s, only those that are %s", s, verb, enqueue.StateNames(allowed)))
		}
	}
	return states
}
