package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

type showCommand struct {
	Target string `arg:"" name:"what" help:"An id of inviteq (inq_…) or of Clerk (inv_…), or an address: then its newest invite."`
	instanceFlag
	jsonFlag
}

func (showCommand) Help() string {
	return `Shows where an invite stands, why, and what to do, and every change of its state: when it was accepted, when calls were begun and how they ended, when it was looked up, and what comparisons with Clerk have seen. Of a waiting invite it says when it goes, and what it waits for. The exit code is 1 if nothing is known of the argument.

About the last hundred thousand changes of all invites are kept; older ones are left out.

Examples:

  inviteq show inq_0123456789abcdefghjkmnpq
  inviteq show ada@example.com --json`
}

// storyJSON is an invite's story in --json. The keys are stable and always there.
type storyJSON struct {
	enqueue.StatusJSON
	Owner   string       `json:"owner"`
	Row     int          `json:"row"`     // in its import; 0: none, or not known
	Waits   string       `json:"waits"`   // what it waits for; "" if it does not wait
	Moments []momentJSON `json:"moments"` // the oldest first
	Whole   bool         `json:"whole"`   // no change is too old to be kept
}

type momentJSON struct {
	At     time.Time    `json:"at"`
	State  tasks.State  `json:"state"`
	What   string       `json:"what"`
	Reason tasks.Reason `json:"reason"`
}

// Run finds the invite and tells its story.
func (c *showCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	list, err := conn.client.Status(ctx, c.Target)
	if err != nil {
		return err
	}
	s, err := conn.ledger.Story(ctx, ledger.Now, list[0].ID)
	if errors.Is(err, ledger.ErrNotFound) {
		return enqueue.ErrNotFound // It was forgotten just now.
	}
	if err != nil {
		return err
	}
	if s.Record.State.Open() {
		defer p.hint(ctx, conn)
	}
	if c.JSON {
		j := storyJSON{StatusJSON: list[0].JSON(), Owner: s.Owner, Row: s.Row, Waits: s.Waits, Moments: []momentJSON{}, Whole: s.Whole}
		for _, m := range s.Moments {
			j.Moments = append(j.Moments, momentJSON{m.At.UTC(), m.State, m.What, m.Why})
		}
		return p.printJSON(j)
	}
	if err := p.printStatus(list[0]); err != nil {
		return err
	}
	return p.printMoments(s)
}

// printMoments writes what has happened, one line per change.
func (p *program) printMoments(s ledger.Story) error {
	c := p.console.onOut
	var b strings.Builder
	if s.Row > 0 {
		fmt.Fprintf(&b, "  %s  %d\n", c.dim(fmt.Sprintf("%-10s", "row")), s.Row)
	}
	if s.Waits != "" {
		fmt.Fprintf(&b, "  %s  %s\n", c.dim(fmt.Sprintf("%-10s", "waits")), s.Waits)
	}
	fmt.Fprintln(&b)
	if !s.Whole {
		fmt.Fprintln(&b, c.dim("Older changes are not kept any more."))
	}
	for _, m := range s.Moments {
		fmt.Fprintf(&b, "%s  %s  %s%s\n", c.dim(show.Time(m.At)+m.At.UTC().Format(" (15:04:05.000 UTC)")),
			paintState(c, m.State, fmt.Sprintf("%-8s", m.State)), m.What, cmp.Or(c.dim(prefixed(m.Why.Entry().Means)), ""))
	}
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

// prefixed puts a space before a text, unless it is empty.
func prefixed(text string) string { return strings.TrimRight(" "+text, " ") }
