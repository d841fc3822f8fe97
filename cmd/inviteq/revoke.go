package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/inviteq/inviteq/enqueue"
)

type revokeCommand struct {
	What []string `arg:"" help:"Addresses, or ids of inviteq (inq_…) or of Clerk (inv_…)."`
	instanceFlag
	jsonFlag
}

func (revokeCommand) Help() string {
	return `An invite that was not sent yet is canceled at once. An invitation at Clerk is revoked by a worker, even if another program made it. The exit code is 1 if the person has signed up already, or if nothing is known of the argument.

Examples:

  inviteq revoke ada@example.com
  inviteq revoke inv_2a7b4c`
}

// revocationJSON is a revoke in --json: a status, and what the revoke could do.
type revocationJSON struct {
	Verdict   enqueue.Verdict `json:"verdict"`
	RequestID string          `json:"request_id"` // "" unless a worker was asked to look at Clerk
	enqueue.StatusJSON
}

// Run revokes each, and says how that went.
func (c *revokeCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	failed, asked := false, false
	for n, target := range c.What {
		list, err := conn.client.Revoke(ctx, target)
		if errors.Is(err, enqueue.ErrNotFound) {
			p.console.note("argument %d: nothing is known of it", n+1)
			failed = true
			continue
		}
		for _, r := range list {
			p.warnTask(r.TaskErr)
			failed = failed || r.Verdict == enqueue.TooLate
			asked = asked || r.Verdict == enqueue.RevokeAsked
			if err := c.print(p, n+1, r); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	if asked {
		p.hint(ctx, conn)
	}
	if failed {
		return errTold
	}
	return nil
}

func (c *revokeCommand) print(p *program, argument int, r enqueue.Revocation) error {
	if c.JSON {
		return p.printJSON(revocationJSON{r.Verdict, r.RequestID, r.Status.JSON()})
	}
	name := r.ID
	if name == "" {
		name = fmt.Sprintf("argument %d", argument)
	}
	_, err := fmt.Fprintf(p.console.out, "%s: %s\n", name, said(r))
	return err
}

// said is a verdict in words.
func said(r enqueue.Revocation) string {
	switch r.Verdict {
	case enqueue.Canceled:
		return "canceled; it was never sent"
	case enqueue.RevokeAsked:
		if r.RequestID != "" {
			return "inviteq did not make it; a worker will revoke what is pending at Clerk (" + r.RequestID + ")"
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
