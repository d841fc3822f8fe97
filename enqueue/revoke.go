package enqueue

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Verdict says what a revoke could do.
type Verdict string

// The verdicts.
const (
	Canceled       Verdict = "canceled"        // It was never sent, and will not be.
	RevokeAsked    Verdict = "revoke_asked"    // It is with Clerk, or may be: a worker will ask Clerk to revoke it.
	AlreadyRevoked Verdict = "already_revoked" // It was revoked before.
	TooLate        Verdict = "too_late"        // The person has signed up.
	AlreadyExpired Verdict = "already_expired" // It had run out by itself.
	NeverInvited   Verdict = "never_invited"   // Clerk had refused it, so there is nothing to revoke.
)

// Revocation is the answer to Revoke for one invite, or for something that is
// not in the ledger.
type Revocation struct {
	Verdict Verdict `json:"verdict"`

	// Status is the invite as it stands now; its ID is "" when the ledger has
	// none and a worker will look at Clerk.
	Status

	// RequestID is that of the request which tells a worker to look at Clerk
	// (rvk_…), and of its task; RevokeStatus says what became of it. It is "" when
	// one invite of ours was named by its id.
	RequestID string `json:"request_id"`

	// TaskErr says why the asynq task could not be left. The wish is kept all
	// the same, and a worker acts on it within a few minutes.
	TaskErr error `json:"-"`
}

// Revoke takes invites back. The target is our id, Clerk's id (inv_…), or an
// address. An address means everything that stands for it at this moment: every
// invite that is not settled yet, and every pending invitation at Clerk, whoever
// made it. It means nothing that is asked for later, however late a worker comes
// to it.
//
// What was not sent yet is canceled at once. What is with Clerk is revoked by a
// worker, soon; Status tells when it has become revoked. A revoke repeated is
// harmless.
//
// An invitation that somebody else has made is not in the ledger: for Clerk's
// id, and for an address unless the person has signed up already, a request is
// left for a worker to look at Clerk. For an id of ours that is not known, the
// error is ErrNotFound.
//
// After an error the invites that come with it have been dealt with; call again
// for the others.
func (c *Client) Revoke(ctx context.Context, target string) ([]Revocation, error) {
	target = strings.TrimSpace(target)
	l, err := c.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("revoke: %w", err)
	}
	records, err := find(ctx, l, target)
	if err != nil {
		return nil, fmt.Errorf("revoke: %w", err)
	}
	isAddress := strings.Contains(target, "@")
	var wish *Revocation
	if isAddress {
		records = revocable(records)
	}
	tooLate := isAddress && len(records) == 1 && records[0].State == tasks.Accepted
	if isAddress && !tooLate || len(records) == 0 && isInvitationID(target) {
		r, request, err := c.requestRevoke(ctx, l, target)
		if err != nil {
			return nil, fmt.Errorf("revoke: %w", err)
		}
		wish = &r
		records = slices.DeleteFunc(records, func(r ledger.Record) bool { return !request.Means(r) })
	}
	if len(records) == 0 && wish == nil {
		return nil, fmt.Errorf("revoke %s: %w", target, ErrNotFound)
	}
	if len(records) == 0 {
		return []Revocation{*wish}, nil
	}
	out := make([]Revocation, 0, len(records))
	for _, r := range records {
		done, err := c.cancel(ctx, l, r.Invite.ID, wish)
		if err != nil {
			return out, fmt.Errorf("revoke %s: %w", r.Invite.ID, err)
		}
		out = append(out, done)
	}
	return out, nil
}

// revocable picks the invites for an address, the newest first, that a revoke
// of the address means. When nothing of ours is with Clerk or on its way, the
// newest answers if the person has signed up; otherwise Clerk may still hold an
// invitation that somebody else has made, so that none answers.
func revocable(records []ledger.Record) []ledger.Record {
	var live []ledger.Record
	for _, r := range records {
		if r.State.Open() || r.State == tasks.Pending || r.State == tasks.Parked {
			live = append(live, r)
		}
	}
	if len(live) == 0 && len(records) > 0 && records[0].State == tasks.Accepted {
		return records[:1]
	}
	return live
}

// cancel takes back an invite of ours. If it is part of a wish, that has the task.
func (c *Client) cancel(ctx context.Context, l *ledger.Ledger, id string, wish *Revocation) (Revocation, error) {
	record, err := l.Cancel(ctx, ledger.Now, id)
	if err != nil {
		return Revocation{}, err
	}
	r := Revocation{Verdict: verdictOf(record), Status: newStatus(record)}
	switch {
	case wish != nil:
		r.RequestID, r.TaskErr = wish.RequestID, wish.TaskErr
	case r.Verdict == RevokeAsked:
		r.TaskErr = c.giveRevoke(ctx, "revoke:"+id, id)
	}
	return r, nil
}

func verdictOf(r ledger.Record) Verdict {
	switch r.State {
	case tasks.Canceled:
		return Canceled
	case tasks.Revoked:
		return AlreadyRevoked
	case tasks.Accepted:
		return TooLate
	case tasks.Expired:
		return AlreadyExpired
	case tasks.Rejected:
		return NeverInvited
	default: // Sending, unknown, pending: the ledger keeps the wish.
		return RevokeAsked
	}
}

// requestRevoke leaves a request to revoke everything that the target stands for.
func (c *Client) requestRevoke(ctx context.Context, l *ledger.Ledger, target string) (Revocation, ledger.RevokeRequest, error) {
	request, err := l.RequestRevoke(ctx, ledger.Now, target)
	if err != nil {
		return Revocation{}, request, err
	}
	r := Revocation{Verdict: RevokeAsked, RequestID: request.ID}
	if isInvitationID(target) {
		r.InvitationID = target
	}
	r.TaskErr = c.giveRevoke(ctx, request.ID, request.ID)
	return r, request, nil
}

func (c *Client) giveRevoke(ctx context.Context, taskID, id string) error {
	return c.give(ctx, tasks.TypeRevoke, tasks.Revoke{ID: id}.Encode(), tasks.Options(c.queues.Control, taskID))
}
