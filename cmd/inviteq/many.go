package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// manyRun is one run of a command about many invites.
type manyRun struct {
	p         *program
	conn      *connection
	options   enqueue.ManyOptions
	name      string // what the audit log calls it
	report    *report
	wait, dry bool
	json      bool
}

// revoke takes the invites of an import back.
func (w *manyRun) revoke(ctx context.Context) error {
	if w.dry {
		return w.rehearse(ctx)
	}
	w.hintAtOnce(ctx)
	return w.finish(ctx, w.conn.client.RevokeImport)
}

// hintAtOnce says why nothing happens, if nothing does.
func (w *manyRun) hintAtOnce(ctx context.Context) {
	if workers, err := w.conn.ledger.Fellows(ctx, ledger.Now); err == nil && len(workers) == 0 {
		w.p.console.note("No worker is running for this instance, so what is with Clerk is not revoked yet: start one with `inviteq worker`.")
	}
}

// rehearse says what revoke would do.
func (w *manyRun) rehearse(ctx context.Context) error {
	i, err := w.conn.client.Import(ctx, w.options.ImportID)
	if err != nil {
		return err
	}
	states := w.options.States
	if len(states) == 0 {
		states = enqueue.Live
	}
	out := map[string]any{"import_id": i.ID, "dry_run": true}
	var canceled, revoked int64
	for _, s := range states {
		if slices.Contains([]tasks.State{tasks.Queued, tasks.Parked, tasks.Failed}, s) {
			canceled += i.States[s]
		} else {
			revoked += i.States[s]
		}
	}
	if w.json {
		out["to_cancel"], out["to_revoke"] = canceled, revoked
		return w.p.printJSON(out)
	}
	_, err = fmt.Fprintf(w.p.console.out, "%s of %s would be canceled, and %s that are with Clerk, or on the way, would be revoked. Nothing was done.\n",
		show.Count(canceled, "invite"), i.ID, show.Thousands(revoked))
	return err
}

// finish leaves the wish, shows how it goes, waits for its end if it is told to, and
// says what was done.
func (w *manyRun) finish(ctx context.Context, begin func(context.Context, enqueue.ManyOptions) (enqueue.RevokeStatus, error)) error {
	screen := newLive(w.p.console)
	defer screen.clear()
	draw := func(s enqueue.RevokeStatus) {
		c := w.p.console.onErr
		screen.progress(s.Rows, manyLine(s), part{int64(s.Canceled), "█", c.yellow}, part{int64(s.Revoked + s.TooLate), "█", c.green}, part{int64(s.Renewed), "█", c.blue})
	}
	w.options.Progress = draw
	s, err := begin(ctx, w.options)
	if s.RequestID != "" {
		w.p.audit(ctx, w.conn, w.name, cmp.Or(w.options.ImportID, s.RequestID), s.Rows)
	}
	told := time.Now()
	for err == nil && w.wait && !s.Done() {
		draw(s)
		if screen == nil && time.Since(told) >= plainEvery {
			told = time.Now()
			w.p.console.note("%s", manyLine(s))
		}
		if len(s.Refusals) > 0 && len(s.Refusals) >= s.Waiting {
			break // A worker tries again, ever more rarely.
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Second):
			s, err = w.conn.client.RevokeStatus(ctx, s.RequestID)
		}
	}
	screen.clear()
	if ctx.Err() != nil && s.RequestID != "" {
		w.p.console.note("It goes on without this command: `inviteq status %s` tells.", s.RequestID)
		return context.Canceled
	}
	if err != nil {
		return err
	}
	if w.report != nil {
		if err := w.report.writeImport(ctx, w.conn.ledger, w.options.ImportID); err != nil {
			return fmt.Errorf("the report cannot be written: %w", err)
		}
		w.p.console.note("report: %s", w.report.path)
	}
	if w.json {
		err = w.p.printJSON(s)
	} else {
		err = w.p.printRevoke(s)
	}
	if err == nil && w.wait && !s.Done() {
		return errTold
	}
	return err
}

// manyLine is how far a request is, in words.
func manyLine(s enqueue.RevokeStatus) string {
	line := fmt.Sprintf("%s canceled · %s revoked", show.Thousands(s.Canceled), show.Thousands(s.Revoked))
	if s.Renewed > 0 {
		line += fmt.Sprintf(" · %s invited anew", show.Thousands(s.Renewed))
	}
	return line + fmt.Sprintf(" · %s of %s to go", show.Thousands(s.Waiting), show.Thousands(s.Rows))
}

type renewCommand struct {
	What     []string `arg:"" optional:"" help:"Addresses, or ids of inviteq (inq_…) or of Clerk (inv_…)."`
	ImportID string   `placeholder:"ID" help:"Invites of this import."`
	State    []string `placeholder:"STATE" help:"Invites in this state: expired, pending or revoked. Repeatable. Defaults to expired."`
	Wait     bool     `help:"Wait until every invitation that stands in the way is revoked, and all are queued anew."`
	instanceFlag
	jsonFlag
}

func (renewCommand) Help() string {
	return `Invites people again, with the same content: those whose invitation has expired, or, if you name them or give --state pending, those who still have one, which is revoked first. A person has at most one live link, and gets one mail for a renewal. Each invite is renewed once; its renewal can be renewed in turn. People who have signed up, or have a newer invite, are left out. If the command is interrupted, a worker carries it on.

Examples:

  inviteq renew --import-id imp_0123456789abcdef
  inviteq renew --state expired
  inviteq renew ada@example.com --wait`
}

// Run leaves the wish.
func (c *renewCommand) Run(ctx context.Context, p *program) error {
	w := manyRun{
		p: p, name: "renew", options: enqueue.ManyOptions{ImportID: c.ImportID, States: p.statesAmong(c.State, enqueue.Renewable, "renewed")},
		wait: c.Wait, json: c.JSON,
	}
	if len(c.What) == 0 && c.ImportID == "" && len(c.State) == 0 {
		p.complaints.add(usagef("say what to renew: addresses or ids, --import-id, or --state"))
	}
	if len(c.What) > 0 && (c.ImportID != "" || len(c.State) > 0) {
		p.complaints.add(usagef("give either addresses and ids, or --import-id and --state"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	w.conn = conn
	for n, target := range c.What {
		list, err := conn.client.Status(ctx, target)
		if err != nil {
			return fmt.Errorf("argument %d: %w", n+1, err)
		}
		if !slices.Contains(enqueue.Renewable, list[0].State) {
			return fmt.Errorf("argument %d: %s is %s, so it cannot be renewed", n+1, list[0].ID, list[0].State)
		}
		w.options.IDs = append(w.options.IDs, list[0].ID)
	}
	w.hintAtOnce(ctx)
	err = w.finish(ctx, conn.client.Renew)
	if errors.Is(err, enqueue.ErrNotFound) && c.ImportID == "" {
		p.console.note("no invites")
		return nil
	}
	return err
}
