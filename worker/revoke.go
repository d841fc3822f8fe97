package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	revokeLease  = 30 * time.Second
	revokeAtOnce = 20
)

// revokes asks Clerk to revoke what somebody wants revoked. The wish stands in
// the ledger until Clerk has answered, whatever becomes of this process. It
// returns how many there were.
func (w *Worker) revokes(ctx context.Context) (int, error) {
	due, err := w.ledger.DueRevokes(ctx, time.Now(), revokeLease, revokeAtOnce)
	for _, r := range due {
		if ctx.Err() != nil {
			break
		}
		if e := w.revoke(ctx, r); e != nil {
			err = e
		}
	}
	return len(due), err
}

// revoke makes one call. Unlike a create it may be repeated: what took effect
// answers "already revoked".
func (w *Worker) revoke(ctx context.Context, r ledger.Record) error {
	if err := w.spendRead(ctx); err != nil {
		return err
	}
	start := time.Now()
	_, err := w.clerk.Revoke(ctx, r.InvitationID)
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
			if to, err = w.statusOf(ctx, r.InvitationID); err != nil || to == tasks.Pending {
				return err
			}
			reason = tasks.ReasonTooLateToRevoke
		default:
			return err
		}
	}
	// The answer to the call is known and must be written.
	moved, err := w.ledger.Observe(context.WithoutCancel(ctx), time.Now(), ledger.Observation{
		ID: r.Invite.ID, From: tasks.Pending, To: to, Reason: reason,
	})
	if err == nil && len(moved) > 0 && moved[0] {
		w.log.Info().Str("id", r.Invite.ID).Str("invitation_id", r.InvitationID).Str("outcome", to.String()).
			Dur("took", time.Since(start)).Msg("revoke")
		r.State = to
		w.outcomes.tell([]ledger.Record{r})
	}
	return err
}

// statusOf reads where an invitation stands.
func (w *Worker) statusOf(ctx context.Context, invitationID string) (tasks.State, error) {
	if err := w.spendRead(ctx); err != nil {
		return tasks.Pending, err
	}
	page, err := w.clerk.List(ctx, clerk.ListOptions{Statuses: clerk.AllStatuses(), Query: invitationID, Limit: 10})
	if err != nil {
		return tasks.Pending, err
	}
	for _, inv := range page.Data {
		if inv.ID == invitationID {
			return stateOf(inv.Status), nil
		}
	}
	return tasks.Revoked, nil // Gone: there is nothing left to revoke.
}

// revokeTarget carries out the wish of a revoke task. done is false while a
// worker still has to ask Clerk, or could not.
func (w *Worker) revokeTarget(ctx context.Context, p tasks.Revoke) (done bool, result map[string]string, err error) {
	target := p.Target
	if strings.HasPrefix(p.ID, "rvk_") {
		request, err := w.ledger.RevokeRequest(ctx, p.ID)
		if errors.Is(err, ledger.ErrNotFound) {
			return true, map[string]string{p.ID: "done before"}, w.ledger.CloseRevokeRequest(ctx, p.ID) // Its hint may stand.
		} else if err != nil {
			return false, nil, err
		}
		target = request.Target
	}
	records, email, err := w.recordsFor(ctx, p.ID, target)
	if err != nil {
		return false, nil, err
	}
	done, result = true, map[string]string{}
	for _, r := range records {
		if r, err = w.ledger.Cancel(ctx, time.Now(), r.Invite.ID); err != nil {
			return false, nil, err
		}
		result[r.Invite.ID] = r.State.String()
		done = done && !r.RevokeWanted
	}
	if target != "" && (len(records) == 0 || !email.IsZero()) {
		if err := w.revokeStrangers(ctx, target, email, result); err != nil {
			return false, nil, err
		}
	}
	if done && strings.HasPrefix(p.ID, "rvk_") {
		err = w.ledger.CloseRevokeRequest(ctx, p.ID)
	}
	return done, result, err
}

// recordsFor finds the invites that a revoke is about. For an address it is
// those that may still be revoked.
func (w *Worker) recordsFor(ctx context.Context, id, target string) ([]ledger.Record, tasks.Email, error) {
	var email tasks.Email
	switch {
	case target == "":
		r, err := w.record(ctx, id)
		return []ledger.Record{r}, email, err
	case strings.Contains(target, "@"):
		email, err := tasks.ParseEmail(target)
		if err != nil {
			return nil, email, hopeless(err)
		}
		found, err := w.ledger.FindAddress(ctx, email)
		return slices.DeleteFunc(found, func(r ledger.Record) bool {
			return !r.State.Open() && r.State != tasks.Pending && r.State != tasks.Parked
		}), email, err
	case strings.HasPrefix(target, "inv_"):
		owners, err := w.ledger.FindInvitations(ctx, target)
		if err != nil || owners[target] == "" {
			return nil, email, err
		}
		target = owners[target]
	}
	records, err := w.ledger.Get(ctx, target)
	return records, email, err
}

// revokeStrangers revokes what somebody else has created: it is in no record.
func (w *Worker) revokeStrangers(ctx context.Context, target string, email tasks.Email, result map[string]string) error {
	targets := []string{target}
	if !email.IsZero() {
		targets = nil
		if err := w.spendRead(ctx); err != nil {
			return err
		}
		page, err := w.clerk.List(ctx, clerk.ListOptions{Statuses: []clerk.Status{clerk.Pending}, Query: email.Raw(), Limit: listAtOnce})
		if err != nil {
			return waitForClerk(err)
		}
		owners, err := w.ledger.FindInvitations(ctx, ids(page.Data)...)
		if err != nil {
			return err
		}
		for _, inv := range page.Data {
			if tasks.EmailKey(inv.EmailAddress) == email.Key() && owners[inv.ID] == "" {
				targets = append(targets, inv.ID)
			}
		}
	}
	for _, id := range targets {
		if err := w.spendRead(ctx); err != nil {
			return err
		}
		_, err := w.clerk.Revoke(ctx, id)
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
