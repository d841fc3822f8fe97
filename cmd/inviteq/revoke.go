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
	"github.com/inviteq/inviteq/tasks/show"
)

type revokeCommand struct {
	What     []string `arg:"" optional:"" help:"Addresses, or ids of inviteq (inq_…) or of Clerk (inv_…)."`
	ImportID string   `placeholder:"ID" help:"Every invite that this import has now."`
	State    []string `placeholder:"STATE" help:"Of the import, only invites in this state: queued, sending, unknown, pending, parked or failed. Repeatable. Defaults to all but failed."`
	DryRun   bool     `help:"Of an import, say how many would be canceled and revoked, and change nothing."`
	Report   string   `placeholder:"FILE" help:"Write the outcome of every row of the import to a CSV file, as it is when the command ends."`
	Wait     bool     `help:"Wait until nothing is left to be revoked, or Clerk has refused, and say what was done."`
	instanceFlag
	jsonFlag
}

func (revokeCommand) Help() string {
	return `An invite that was not sent yet is canceled at once. An invitation at Clerk is revoked by a worker, even if another program made it. An address means what stands for it now: all of its invites and all of its pending invitations, and nothing that is asked for later.

Of an import those are meant that it has now. From that moment none of them is sent; those that were not sent are canceled while the command runs, and a worker revokes the others, as fast as Clerk's limits permit. If the command is interrupted, a worker carries it on.

The exit code is 1 if the person has signed up already, or if nothing is known of the argument. With --wait it is 0 once nothing is left to be revoked, and 1 also if Clerk refuses; a worker then tries again after a minute, then ever more rarely, every two hours in the end. A revoke of an address takes 15 seconds at least, since Clerk's list may lag.

Examples:

  inviteq revoke ada@example.com
  inviteq revoke inv_2a7b4c --wait
  inviteq revoke --import-id imp_0123456789abcdef --dry-run
  inviteq revoke --import-id imp_0123456789abcdef --wait --report outcomes.csv
  inviteq status rvk_0123456789abcdefghjkmnpq`
}

// revocationJSON is a revoke in --json: a status, and what the revoke could do.
type revocationJSON struct {
	Verdict   enqueue.Verdict `json:"verdict"`
	RequestID string          `json:"request_id"` // of the revoke; "" for one invite that was named by its id
	enqueue.StatusJSON
	Done *enqueue.RevokeStatus `json:"done"` // null without --wait
}

// Run revokes each, and says how that went.
func (c *revokeCommand) Run(ctx context.Context, p *program) error {
	if (c.ImportID == "") == (len(c.What) == 0) {
		p.complaints.add(usagef("say what to revoke: addresses or ids, or --import-id"))
	}
	if c.ImportID == "" && (len(c.State) > 0 || c.DryRun || c.Report != "") {
		p.complaints.add(usagef("--state, --dry-run and --report are about an import: give --import-id"))
	}
	w := manyRun{
		p: p, name: "revoke import", options: enqueue.ManyOptions{ImportID: c.ImportID, States: p.statesAmong(c.State, enqueue.Revocable, "revoked")},
		wait: c.Wait, dry: c.DryRun, json: c.JSON,
	}
	var err error
	if w.report, err = newReport(c.Report); err != nil {
		return err
	}
	defer w.report.discard()
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	if w.conn = conn; c.ImportID != "" {
		return w.revoke(ctx)
	}
	failed, asked := false, false
	for n, target := range c.What {
		list, err := conn.client.Revoke(ctx, target)
		if errors.Is(err, enqueue.ErrNotFound) {
			p.console.note("argument %d: nothing is known of it", n+1)
			failed = true
			continue
		}
		for i, r := range list {
			p.warnTask(r.TaskErr)
			p.audit(ctx, conn, "revoke", cmp.Or(r.ID, r.RequestID), 1)
			failed = failed || r.Verdict == enqueue.TooLate
			if r.Verdict == enqueue.RevokeAsked && !asked {
				asked = true
				p.hint(ctx, conn)
			}
			if r.ID == "" && strings.Contains(target, "@") && !c.JSON {
				if known, err := conn.client.Status(ctx, target); err == nil && (known[0].State == tasks.Revoked || known[0].State == tasks.Canceled) {
					p.console.note("argument %d: %s was %s %s.", n+1, known[0].ID, known[0].State, show.Ago(time.Now(), known[0].UpdatedAt))
				}
			}
			ok, err := c.one(ctx, p, conn, n+1, r, i == len(list)-1)
			if err != nil {
				return err
			}
			failed = failed || !ok
		}
		if err != nil {
			return err
		}
	}
	if failed {
		return errTold
	}
	return nil
}

// one says what a revoke could do and, if it is to wait, what was done. The invites
// of an address have one request in common: the last of them waits for it.
func (c *revokeCommand) one(ctx context.Context, p *program, conn *connection, argument int, r enqueue.Revocation, last bool) (ok bool, err error) {
	j := revocationJSON{Verdict: r.Verdict, RequestID: r.RequestID, StatusJSON: r.JSON()}
	name := r.ID
	if name == "" {
		name = fmt.Sprintf("argument %d", argument)
	}
	if !c.JSON {
		if _, err := fmt.Fprintf(p.console.out, "%s: %s\n", name, said(r)); err != nil {
			return false, err
		}
	}
	if !c.Wait || r.RequestID != "" && !last {
		if c.JSON {
			return true, p.printJSON(j)
		}
		if r.RequestID != "" && last {
			_, err = fmt.Fprintf(p.console.out, "`inviteq status %s` tells what the revoke has done.\n", r.RequestID)
		}
		return true, err
	}
	s, err := conn.client.WaitRevoked(ctx, r)
	if ctx.Err() != nil {
		how := r.ID
		if r.RequestID != "" {
			how = r.RequestID
		}
		p.console.note("It goes on without this command: `inviteq status %s` tells.", how)
		return false, context.Canceled
	}
	if err != nil {
		return false, err
	}
	ok = s.Done() && s.TooLate == 0
	if c.JSON {
		j.Done = &s
		return ok, p.printJSON(j)
	}
	if r.RequestID == "" && r.Verdict != enqueue.RevokeAsked {
		return ok, nil // That has been said.
	}
	return ok, p.printRevoke(s)
}

// said is a verdict in words.
func said(r enqueue.Revocation) string {
	switch r.Verdict {
	case enqueue.Canceled:
		before := ""
		if at := time.Since(r.UpdatedAt); at > time.Minute {
			before = ", " + show.Duration(at) + " ago"
		}
		return "canceled" + before + "; it was never sent"
	case enqueue.RevokeAsked:
		switch {
		case r.ID == "":
			return "no invite of inviteq's stands; a worker will revoke what is pending at Clerk (" + r.RequestID + ")"
		case r.RequestID != "":
			return "a worker will revoke it (" + r.RequestID + ")"
		}
		return "a worker will revoke it; `inviteq status " + r.ID + "` tells when it has"
	case enqueue.AlreadyRevoked:
		return "it was revoked before"
	case enqueue.TooLate:
		return "too late: the person has signed up"
	case enqueue.AlreadyExpired:
		return "it had already expired"
	case enqueue.NeverInvited:
		return "Clerk had refused it (" + string(r.Reason) + "), so there is nothing to revoke"
	}
	return string(r.Verdict)
}

// printRevoke writes what a revoke has done.
func (p *program) printRevoke(s enqueue.RevokeStatus) error {
	c, now := p.console.onOut, time.Now()
	var b strings.Builder
	if s.RequestID != "" {
		fmt.Fprintf(&b, "%s: asked for %s, ", c.bold(s.RequestID), show.Ago(now, s.AskedAt))
		if s.Done() {
			fmt.Fprintf(&b, "done %s\n", show.Ago(now, *s.DoneAt))
		} else {
			fmt.Fprintln(&b, c.yellow("not done yet"))
		}
	}
	var t table
	for _, row := range []struct {
		what string
		n    int
	}{
		{"invites canceled before they were sent", s.Canceled},
		{"invitations of inviteq revoked at Clerk", s.Revoked},
		{"people invited anew", s.Renewed},
		{"not invited anew: done before, or the person has a newer invite", s.Skipped},
		{"invitations of other programs revoked at Clerk", s.Foreign},
		{"too late: accepted or expired before", s.TooLate},
		{"invites still to be revoked", s.Waiting},
	} {
		if row.n > 0 {
			t.row(number(int64(row.n)), text(row.what))
		}
	}
	if len(t) == 0 && s.Done() {
		fmt.Fprintln(&b, "There was nothing to revoke.")
	}
	for _, line := range t.lines(c) {
		fmt.Fprintln(&b, "  "+line)
	}
	for _, id := range s.Invitations {
		fmt.Fprintln(&b, "  "+c.dim("revoked")+"  "+id)
	}
	for _, r := range s.Refusals {
		fmt.Fprintln(&b, "  "+c.red(refusal(now, r)))
	}
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

// refusal says how often Clerk has refused a revoke, and when it is tried again.
func refusal(now time.Time, r enqueue.RevokeRefusal) string {
	what := r.InvitationID
	if what == "" {
		what = "an invitation that another program made"
	}
	return fmt.Sprintf("Clerk refuses to revoke %s (%s): tried %s since %s; the next try is %s", what, r.Why, show.Count(r.Tries, "time"), show.Time(r.Since), show.In(now, r.NextAt))
}
