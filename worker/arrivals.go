package worker

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
	"github.com/inviteq/inviteq/worker/verdict"
)

const (
	watchEvery  = 30 * time.Second // what arrives late is revoked within a minute
	watchAtOnce = 200
	watchLag    = 30 * time.Second // how long a list may lag: so much longer it is watched
)

// arrivals looks after settled invites of which a lost call may still arrive.
type arrivals struct {
	ledger *ledger.Ledger
	clerk  *clerk.Client
	reads  *reads
	log    zerolog.Logger
}

// look reads once for all that are due, and returns how many there were.
func (a *arrivals) look(ctx context.Context) (int, error) {
	due, err := a.ledger.DueWatches(ctx, ledger.Now, watchEvery, watchAtOnce)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	shown, facts, failed := a.reads.look(ctx, due)
	for _, r := range due {
		s, read := shown[r.Invite.ID]
		if !read {
			continue
		}
		waits := false
		for _, inv := range s.Invitations {
			if _, owned := s.Owners[inv.ID]; owned || ownership.Of(r, s.Calls, inv, facts) != ownership.Ours {
				continue
			}
			if wait, err := a.mayBeAnothers(ctx, r, inv, facts); err != nil || wait {
				waits = true // What the other one is told decides; the watch goes on.
				continue
			}
			if err := a.arrived(ctx, r, inv); err != nil {
				return len(due), err
			}
		}
		if !waits && over(r, s.Calls, facts) {
			if err := a.ledger.EndWatch(ctx, ledger.Now, r.Invite.ID); err != nil {
				return len(due), err
			}
		}
	}
	return len(due), failed
}

// mayBeAnothers reports whether a call of another invite for the address, which has
// left and has not been settled, may have made the invitation as well. Only a mark
// tells them apart. The watch reads again once that one is settled.
func (a *arrivals) mayBeAnothers(ctx context.Context, r ledger.Record, inv clerk.Invitation, facts ownership.Facts) (bool, error) {
	if _, marked := ownership.MarkOf(inv, facts.Mark); marked {
		return false, nil
	}
	others, err := a.ledger.FindAddress(ctx, r.Invite.EmailAddress)
	return slices.ContainsFunc(others, func(o ledger.Record) bool {
		switch {
		case o.Invite.ID == r.Invite.ID || !o.State.Open():
			return false
		case o.State == tasks.Unknown && o.Reason == tasks.ReasonInvitationExists:
			return ownership.MayArrive(o, facts) // Its last call was refused, and made nothing.
		}
		return o.State != tasks.Queued || ownership.MayArrive(o, facts)
	}), err
}

// over reports whether nothing can arrive any more, and a list shows what has.
func over(r ledger.Record, calls []ledger.Call, f ownership.Facts) bool {
	known, forgotten := verdict.LastBound(calls), ownership.ForgottenUntil(r, f)
	return !f.Now.Before(known.Add(watchLag)) && !f.Now.Before(forgotten.Add(watchLag))
}

// arrived deals with an invitation that a lost call has made after its invite had
// ended. If the invite was given up, it is the answer; otherwise nobody wants it.
func (a *arrivals) arrived(ctx context.Context, r ledger.Record, inv clerk.Invitation) error {
	switch {
	case r.State == tasks.Failed || r.State == tasks.Parked:
		return a.write(ctx, r, inv, verdict.StateOf(inv.Status), tasks.ReasonAlreadyAtClerk)
	case inv.Status != clerk.Pending:
		return nil // revoked already, or too late
	}
	if err := a.reads.spend(ctx); err != nil {
		return err
	}
	if _, err := a.clerk.Revoke(ctx, inv.ID); err != nil && !asError(err).Kind.Permanent() {
		return err
	}
	a.log.Warn().Str("id", r.Invite.ID).Str("invitation_id", inv.ID).Stringer("state", r.State).
		Msg("a lost call arrived late; its invitation was revoked")
	if r.State == tasks.Canceled {
		return a.write(ctx, r, inv, tasks.Revoked, tasks.ReasonArrivedLate)
	}
	return a.ledger.Arrived(ctx)
}

func (a *arrivals) write(ctx context.Context, r ledger.Record, inv clerk.Invitation, to tasks.State, reason tasks.Reason) error {
	_, err := a.ledger.Observe(ctx, ledger.Now, ledger.Observation{ID: r.Invite.ID, From: r.State, To: to, Reason: reason, InvitationID: inv.ID})
	if err != nil {
		return err
	}
	return a.ledger.Arrived(ctx)
}
