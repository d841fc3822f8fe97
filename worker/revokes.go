package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

const (
	revokeLease  = 30 * time.Second
	revokeAtOnce = 100
	revokeCalls  = 8           // of them at the same time
	refusedFirst = time.Minute // after Clerk has refused a revoke; twice as long each time
	refusedMost  = 2 * time.Hour
)

// revokes asks Clerk to revoke what is not wanted any more.
type revokes struct {
	ledger   *ledger.Ledger
	clerk    *clerk.Client
	reads    *reads
	outcomes *outcomes
	log      zerolog.Logger
}

// carryOut revokes the invitations of invites whose revoke is wanted. The wish
// stands in the ledger until Clerk has answered, whatever becomes of this process.
// It returns how many there were.
func (v *revokes) carryOut(ctx context.Context) (int, error) {
	due, err := v.ledger.DueRevokes(ctx, ledger.Now, revokeLease, revokeAtOnce)
	var failed atomic.Pointer[error] // The others would fail as well.
	together(revokeCalls, due, func(r ledger.Record) {
		if ctx.Err() != nil || failed.Load() != nil {
			return
		}
		if err := v.one(ctx, r); err != nil {
			failed.Store(&err)
		}
	})
	if e := failed.Load(); e != nil {
		err = *e
	}
	return len(due), err
}

// one revokes the invitation of one invite.
func (v *revokes) one(ctx context.Context, r ledger.Record) error {
	start := time.Now()
	end, err := v.ask(ctx, r.InvitationID)
	var refused *refusal
	if errors.As(err, &refused) {
		tries, err := v.ledger.RevokeRefused(ctx, ledger.Now, r.Invite.ID, refused.kind.String(), refusedFirst, refusedMost)
		v.log.Warn().Str("id", r.Invite.ID).Str("invitation_id", r.InvitationID).Str("outcome", refused.kind.String()).Str("code", refused.code).
			Int("tries", tries.Count).Msg("Clerk refuses to revoke an invitation; it is tried again ever more rarely")
		return err
	}
	if err != nil {
		return err
	}
	// The answer to the call is known and must be written.
	moved, err := v.ledger.Observe(context.WithoutCancel(ctx), ledger.Now, ledger.Observation{
		ID: r.Invite.ID, From: tasks.Pending, To: end.state, Reason: end.reason,
	})
	if err == nil && len(moved) > 0 && moved[0] {
		v.log.Info().Str("id", r.Invite.ID).Str("invitation_id", r.InvitationID).Str("outcome", end.state.String()).
			Dur("took", time.Since(start)).Msg("revoke")
		r.State = end.state
		v.outcomes.tell([]ledger.Record{r})
	}
	return err
}

// ending is where an invitation stands once Clerk was asked to revoke it.
type ending struct {
	state  tasks.State
	reason tasks.Reason
}

// refusal says that Clerk would not revoke an invitation that is pending.
type refusal struct {
	kind clerk.Kind
	code string
}

func (r *refusal) Error() string { return "clerk refuses to revoke: " + r.kind.String() }

// ask makes one call. Unlike a create it may be repeated: what took effect answers
// "already revoked". If Clerk refuses although the invitation is pending, the error
// is a *refusal.
func (v *revokes) ask(ctx context.Context, invitationID string) (ending, error) {
	if err := v.reads.spend(ctx); err != nil {
		return ending{}, err
	}
	_, err := v.clerk.Revoke(ctx, invitationID)
	if err == nil {
		return ending{tasks.Revoked, tasks.ReasonRevokeRequested}, nil
	}
	switch e := asError(err); e.Kind {
	case clerk.KindAlreadyRevoked:
		return ending{tasks.Revoked, tasks.ReasonRevokeRequested}, nil
	case clerk.KindAlreadyAccepted:
		return ending{tasks.Accepted, tasks.ReasonTooLateToRevoke}, nil
	case clerk.KindNotFound:
		return ending{tasks.Revoked, tasks.ReasonGoneAtClerk}, nil
	case clerk.KindRefused, clerk.KindInvalid, clerk.KindMalformed, clerk.KindBlocked:
		// Perhaps it has expired: Clerk's list knows.
		state, err := v.statusOf(ctx, invitationID)
		if err != nil {
			return ending{}, err
		}
		if state == tasks.Pending {
			return ending{}, &refusal{e.Kind, e.Code}
		}
		return ending{state, tasks.ReasonTooLateToRevoke}, nil
	default:
		return ending{}, err
	}
}

// statusOf reads where an invitation stands.
func (v *revokes) statusOf(ctx context.Context, invitationID string) (tasks.State, error) {
	if err := v.reads.spend(ctx); err != nil {
		return tasks.Pending, err
	}
	page, err := v.clerk.List(ctx, clerk.ListOptions{Statuses: clerk.AllStatuses(), Query: invitationID, Limit: 10})
	if err != nil {
		return tasks.Pending, err
	}
	for _, inv := range page.Data {
		if inv.ID == invitationID {
			return verdict.StateOf(inv.Status), nil
		}
	}
	return tasks.Revoked, nil // Gone: there is nothing left to revoke.
}
