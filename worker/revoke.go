package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

const (
	revokeLease  = 30 * time.Second
	revokeAtOnce = 20
)

// revokes asks Clerk to revoke what somebody wants revoked. The wish stands in the
// ledger until Clerk has answered, whatever becomes of this process.
type revokes struct {
	ledger   *ledger.Ledger
	clerk    *clerk.Client
	reads    *reads
	outcomes *outcomes
	log      zerolog.Logger
}

// due carries out what is due, and returns how many there were.
func (v *revokes) due(ctx context.Context) (int, error) {
	all, err := v.ledger.DueRevokes(ctx, time.Now(), revokeLease, revokeAtOnce)
	for _, r := range all {
		if ctx.Err() != nil {
			break
		}
		if e := v.one(ctx, r); e != nil {
			err = e
		}
	}
	return len(all), err
}

// one makes one call. Unlike a create it may be repeated: what took effect
// answers "already revoked".
func (v *revokes) one(ctx context.Context, r ledger.Record) error {
	if err := v.reads.spend(ctx); err != nil {
		return err
	}
	start := time.Now()
	_, err := v.clerk.Revoke(ctx, r.InvitationID)
	to, reason := tasks.Revoked, tasks.ReasonRevokeRequested
	if err != nil {
		switch asError(err).Kind {
		case clerk.KindAlreadyRevoked:
		case clerk.KindAlreadyAccepted:
			to, reason = tasks.Accepted, tasks.ReasonTooLateToRevoke
		case clerk.KindNotFound:
			reason = tasks.ReasonGoneAtClerk
		case clerk.KindRefused, clerk.KindInvalid:
			// Perhaps it has expired: Clerk's list knows.
			if to, err = v.reads.status(ctx, r.InvitationID); err != nil || to == tasks.Pending {
				return err
			}
			reason = tasks.ReasonTooLateToRevoke
		default:
			return err
		}
	}
	// The answer to the call is known and must be written.
	moved, err := v.ledger.Observe(context.WithoutCancel(ctx), time.Now(), ledger.Observation{
		ID: r.Invite.ID, From: tasks.Pending, To: to, Reason: reason,
	})
	if err == nil && len(moved) > 0 && moved[0] {
		v.log.Info().Str("id", r.Invite.ID).Str("invitation_id", r.InvitationID).Str("outcome", to.String()).
			Dur("took", time.Since(start)).Msg("revoke")
		r.State = to
		v.outcomes.tell([]ledger.Record{r})
	}
	return err
}

// target carries out the wish of a revoke task. done is false while a
// worker still has to ask Clerk, or could not.
func (v *revokes) target(ctx context.Context, p tasks.Revoke) (done bool, result map[string]string, err error) {
	target := p.Target
	if strings.HasPrefix(p.ID, "rvk_") {
		request, err := v.ledger.RevokeRequest(ctx, p.ID)
		if errors.Is(err, ledger.ErrNotFound) {
			return true, map[string]string{p.ID: "done before"}, v.ledger.CloseRevokeRequest(ctx, p.ID) // Its hint may stand.
		} else if err != nil {
			return false, nil, err
		}
		target = request.Target
	}
	records, email, err := v.recordsFor(ctx, p.ID, target)
	if err != nil {
		return false, nil, err
	}
	done, result = true, map[string]string{}
	for _, r := range records {
		if r, err = v.ledger.Cancel(ctx, time.Now(), r.Invite.ID); err != nil {
			return false, nil, err
		}
		result[r.Invite.ID] = r.State.String()
		done = done && !r.RevokeWanted
	}
	if target != "" && (len(records) == 0 || !email.IsZero()) {
		if err := v.strangers(ctx, target, email, result); err != nil {
			return false, nil, err
		}
	}
	if done && strings.HasPrefix(p.ID, "rvk_") {
		err = v.ledger.CloseRevokeRequest(ctx, p.ID)
	}
	return done, result, err
}

// recordsFor finds the invites that a revoke is about. For an address it is
// those that may still be revoked.
func (v *revokes) recordsFor(ctx context.Context, id, target string) ([]ledger.Record, tasks.Email, error) {
	var email tasks.Email
	switch {
	case target == "":
		r, err := recordOf(ctx, v.ledger, id)
		return []ledger.Record{r}, email, err
	case strings.Contains(target, "@"):
		email, err := tasks.ParseEmail(target)
		if err != nil {
			return nil, email, hopeless(err)
		}
		found, err := v.ledger.FindAddress(ctx, email)
		return slices.DeleteFunc(found, func(r ledger.Record) bool {
			return !r.State.Open() && r.State != tasks.Pending && r.State != tasks.Parked
		}), email, err
	case strings.HasPrefix(target, "inv_"):
		owners, err := v.ledger.FindInvitations(ctx, target)
		if err != nil || owners[target] == "" {
			return nil, email, err
		}
		target = owners[target]
	}
	records, err := v.ledger.Get(ctx, target)
	return records, email, err
}

// strangers revokes what somebody else has created: it is in no record.
func (v *revokes) strangers(ctx context.Context, target string, email tasks.Email, result map[string]string) error {
	targets := []string{target}
	if !email.IsZero() {
		shown, err := v.reads.about(ctx, email)
		if err != nil {
			return waitForClerk(err)
		}
		shown = slices.DeleteFunc(shown, func(inv clerk.Invitation) bool { return !verdict.IsPending(inv) })
		targets = ids(shown)
		owners, err := v.ledger.FindInvitations(ctx, targets...)
		if err != nil {
			return err
		}
		targets = slices.DeleteFunc(targets, func(id string) bool { return owners[id] != "" })
	}
	for _, id := range targets {
		if err := v.reads.spend(ctx); err != nil {
			return err
		}
		_, err := v.clerk.Revoke(ctx, id)
		if err != nil && !asError(err).Kind.Permanent() && asError(err).Kind != clerk.KindRefused {
			return waitForClerk(err)
		}
		result[id] = "revoked"
		if err != nil {
			result[id] = asError(err).Kind.String()
		}
	}
	return nil
}

// waitForClerk turns Clerk's error to a call that may be repeated into a snooze.
// Any other error is returned as it is.
func waitForClerk(err error) error {
	e, ok := errors.AsType[*clerk.Error](err)
	if !ok {
		return err
	}
	until := e.RetryAt
	if until.IsZero() {
		until = time.Now().Add(revokeLease)
	}
	return &snooze{until, e.Kind.String()}
}
