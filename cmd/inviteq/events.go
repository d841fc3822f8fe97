package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

type eventsCommand struct {
	Follow bool   `short:"f" help:"Keep printing new events."`
	Last   int    `short:"n" default:"20" placeholder:"N" help:"How many past events to print first."`
	From   string `placeholder:"POSITION" help:"Print and follow what came after the event with this position; 0 begins with the oldest that is kept."`
	instanceFlag
	jsonFlag
}

func (eventsCommand) Help() string {
	return `Every change of an invite's state is an event, written in the same step as the change. Events name invites by id and hold no address. About the last hundred thousand are kept.

Examples:

  inviteq events --follow
  inviteq events --follow --from 0 --json`
}

// eventJSON is an event in --json. The keys are stable and always there.
type eventJSON struct {
	ID           string       `json:"id"`
	InviteID     string       `json:"invite_id"`
	Sequence     int          `json:"sequence"`
	From         string       `json:"from"`
	To           string       `json:"to"`
	Reason       tasks.Reason `json:"reason"`
	InvitationID string       `json:"invitation_id"`
	ImportID     string       `json:"import_id"`
	At           time.Time    `json:"at"`
	Position     string       `json:"position"`
}

// Run prints events.
func (c *eventsCommand) Run(ctx context.Context, p *program) error {
	if c.Last < 0 || c.Last > 100_000 {
		p.complaints.add(usagef("--last must be 0 to 100000"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	from := c.From
	if from == "" {
		past, err := conn.ledger.RecentEvents(ctx, max(c.Last, 1))
		if err != nil {
			return err
		}
		from = "0"
		if len(past) > 0 {
			from = past[len(past)-1].Position
		}
		for _, e := range past[max(0, len(past)-c.Last):] {
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
		default:
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

func (p *program) printEvent(e tasks.Event, asJSON bool) error {
	if asJSON {
		return p.printJSON(eventJSON{
			ID: e.ID, InviteID: e.InviteID, Sequence: e.Version, From: e.From, To: e.To, Reason: e.Reason,
			InvitationID: e.InvitationID, ImportID: e.ImportID, At: e.At.UTC(), Position: e.Position,
		})
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
