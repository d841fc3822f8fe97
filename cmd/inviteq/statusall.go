package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// standing is how a whole instance stands.
type standing struct {
	ledger.Overview
	oldest *ledger.Record // nil: none waits
	eta    time.Time      // of the oldest
	passes map[string]reconcile.Report
}

// passKinds are the kinds of reconciliation, in the order in which they are told.
var passKinds = []string{"full", "recent"}

// everything shows how an instance stands.
func (c *statusCommand) everything(ctx context.Context, p *program, conn *connection) error {
	s, err := standingOf(ctx, conn.ledger)
	if err != nil {
		return err
	}
	if s.States[tasks.Queued]+s.States[tasks.Sending]+s.States[tasks.Unknown] > 0 {
		defer p.hint(ctx, conn)
	}
	if c.JSON {
		return p.printJSON(s.json(conn.ledger.Instance()))
	}
	return p.printStanding(s)
}

func standingOf(ctx context.Context, l *ledger.Ledger) (s standing, err error) {
	now := l.Time()
	if s.Overview, err = l.Overview(ctx, now); err != nil {
		return s, err
	}
	oldest, err := l.LongestWaiting(ctx)
	if err == nil {
		etas, err := l.ETAs(ctx, now, oldest)
		if err != nil {
			return s, err
		}
		s.oldest, s.eta = &oldest, etas[0]
	} else if !errors.Is(err, ledger.ErrNotFound) {
		return s, err
	}
	s.passes, err = reconcile.LastReports(ctx, l)
	return s, err
}

// standingJSON is an instance in --json. The keys are stable and always there.
type standingJSON struct {
	At        time.Time                    `json:"at"`
	Instance  string                       `json:"instance"`
	States    map[string]int64             `json:"states"`         // every state
	Oldest    *oldestJSON                  `json:"oldest_waiting"` // null: none waits
	Reconcile map[string]*reconcile.Report `json:"reconcile"`      // the last full and recent pass; null: none yet
}

type oldestJSON struct {
	ID        string     `json:"id"`
	Lane      tasks.Lane `json:"lane"`
	ImportID  string     `json:"import_id"`
	CreatedAt time.Time  `json:"created_at"`
	WaitedFor float64    `json:"waited_seconds"`
	ETA       *time.Time `json:"eta"` // null: not to be said
}

func (s standing) json(instance string) standingJSON {
	j := standingJSON{At: s.At.UTC(), Instance: instance, States: map[string]int64{}, Reconcile: map[string]*reconcile.Report{}}
	for _, state := range tasks.States {
		j.States[state.String()] = s.States[state]
	}
	if r := s.oldest; r != nil {
		j.Oldest = &oldestJSON{
			ID: r.Invite.ID, Lane: r.Invite.Lane, ImportID: r.Invite.ImportID, CreatedAt: r.CreatedAt.UTC(),
			WaitedFor: max(0, s.At.Sub(r.CreatedAt).Seconds()),
		}
		if !s.eta.IsZero() {
			j.Oldest.ETA = new(s.eta.UTC())
		}
	}
	for _, kind := range passKinds {
		j.Reconcile[kind] = nil
		if r, ok := s.passes[kind]; ok {
			j.Reconcile[kind] = &r
		}
	}
	return j
}

func (p *program) printStanding(s standing) error {
	c := p.console.onOut
	var b strings.Builder
	states := p.statesTable(s.States)
	if len(states) == 1 {
		fmt.Fprintln(&b, "There are no invites.")
	} else {
		for _, line := range states.lines(c) {
			fmt.Fprintln(&b, line)
		}
	}
	if r := s.oldest; r != nil {
		fmt.Fprintf(&b, "\nThe oldest waiting invite: %s (%s lane), for %s", r.Invite.ID, r.Invite.Lane, show.Duration(s.At.Sub(r.CreatedAt)))
		if !s.eta.IsZero() {
			fmt.Fprintf(&b, "; it goes %s at the current rate", show.In(s.At, s.eta))
		}
		fmt.Fprintln(&b, ".")
	}
	fmt.Fprintln(&b)
	if len(s.passes) == 0 {
		fmt.Fprintln(&b, "Nothing has been compared with Clerk yet: a worker does so when it starts, `inviteq reconcile --full` at once.")
	} else {
		for _, line := range passTable(s).lines(c) {
			fmt.Fprintln(&b, line)
		}
	}
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

// passTable is what the last comparisons with Clerk found, one per line.
func passTable(s standing) table {
	var t table
	t.header("compared with Clerk", "when", "scanned", "agreed", "settled", "missing", "foreign", "doubled", "reads", "took", "")
	for _, kind := range passKinds {
		r, ok := s.passes[kind]
		if !ok {
			continue
		}
		settled := 0
		for _, n := range r.Settled {
			settled += n
		}
		note := ""
		if !r.Agreed {
			note = "Clerk's list kept changing (" + r.Doubt + ")"
		}
		took := text(show.Duration(r.Took))
		took.right = true
		t.row(text(kind), text(show.Ago(s.At, r.StartedAt)), number(int64(r.Scanned)), number(int64(r.Same)), number(int64(settled)),
			number(int64(r.Missing)), number(int64(r.Foreign)), number(int64(r.Doubled)), number(int64(r.Reads)), took, text(note))
	}
	return t
}
