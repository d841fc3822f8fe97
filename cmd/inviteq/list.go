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

// Run prints a list of any length, and holds a part of it at a time.
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
	shown, part := 0, make([]enqueue.Status, 0, listPart)
	for s, err := range conn.client.All(ctx, options) {
		if err != nil {
			return err
		}
		if c.JSON {
			if err := p.printJSON(s.JSON()); err != nil {
				return err
			}
			continue
		}
		if part = append(part, s); len(part) == cap(part) {
			if err := p.printPart(part, shown == 0); err != nil {
				return err
			}
			shown, part = shown+len(part), part[:0]
		}
	}
	if c.JSON {
		return nil
	}
	if shown+len(part) == 0 {
		p.console.note("no invites")
		return nil
	}
	if len(part) > 0 {
		if err := p.printPart(part, shown == 0); err != nil {
			return err
		}
	}
	if shown+len(part) == c.Limit {
		p.console.note("the first %d; --limit 0 lists all", c.Limit)
	}
	return nil
}

// listPart is how many invites are lined up together.
const listPart = 1000

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
