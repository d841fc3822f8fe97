package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

type eventsCommand struct {
	Follow bool   `short:"f" help:"Keep printing new events."`
	Last   int    `short:"n" default:"20" placeholder:"N" help:"How many past events to print first."`
	From   string `placeholder:"POSITION" help:"Print and follow what came after the event with this position; 0 begins with the oldest that is kept."`

	ID       string   `name:"id" variable:"-" placeholder:"ID" help:"Only what became of this invite."`
	ImportID string   `variable:"-" placeholder:"ID" help:"Only of this import's invites."`
	State    []string `variable:"-" placeholder:"STATE" help:"Only changes to this state. Repeatable."`
	Since    string   `variable:"-" placeholder:"TIME" help:"Only from this time on: RFC 3339, or a duration such as 2h for so long ago."`
	instanceFlag
	jsonFlag
}

func (eventsCommand) Help() string {
	return `Every change of an invite's state is an event, written in the same step as the change. Events name invites by id and hold no address. About the last hundred thousand are kept.

Examples:

  inviteq events --follow
  inviteq events --state failed --state parked --since 24h
  inviteq events --follow --from 0 --json`
}

// Run prints events.
func (c *eventsCommand) Run(ctx context.Context, p *program) error {
	if c.Last < 0 || c.Last > 100_000 {
		p.complaints.add(usagef("--last must be 0 to 100000"))
	}
	states := p.states(c.State)
	since, err := parseSince(c.Since)
	p.complaints.add(err)
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	wanted := func(e tasks.Event) bool {
		return (c.ID == "" || e.InviteID == c.ID) && (c.ImportID == "" || e.ImportID == c.ImportID) && !e.At.Before(since) &&
			(len(states) == 0 || slices.ContainsFunc(states, func(s tasks.State) bool { return s.String() == e.To }))
	}
	from := c.From
	if from == "" {
		if from, err = conn.ledger.EventPosition(ctx, "$"); err != nil {
			return err
		}
		past, err := conn.ledger.FindEvents(ctx, c.Last, since, wanted)
		if err != nil {
			return err
		}
		for _, e := range past {
			if err := p.printEvent(e, c.JSON); err != nil {
				return err
			}
		}
	}
	if !c.Follow && c.From == "" {
		return nil
	}
	for e, err := range conn.client.FollowEvents(ctx, from) {
		switch {
		case err != nil:
			return err
		case wanted(e):
			if err := p.printEvent(e, c.JSON); err != nil {
				return err
			}
		}
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return nil // Ctrl-C is how following ends.
	}
	return nil
}

// parseSince understands a time, or how long ago it was; "" is the zero time.
func parseSince(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("--since must be a time such as 2026-05-04T09:00:00Z, or a duration such as 2h")
	}
	return t, nil
}

func (p *program) printEvent(e tasks.Event, asJSON bool) error {
	if asJSON {
		return p.printJSON(e.JSON())
	}
	what := fmt.Sprintf("%s → %s", e.From, e.To)
	who := e.InviteID
	if e.To == tasks.ImportCompleted {
		what, who = "import completed", e.ImportID
	}
	if e.Reason != "" {
		what += " (" + string(e.Reason) + ")"
	}
	_, err := fmt.Fprintf(p.console.out, "%s  %-28s  %s\n", p.console.onOut.dim(show.Time(e.At)), who, what)
	return err
}
