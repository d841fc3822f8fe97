package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

// wishSettles is how long after a wish Clerk's list may still lack what was there
// when it was made: before, a clean list ends nothing.
const wishSettles = 15 * time.Second

// wish is what a revoke task is about.
type wish struct {
	ledger.RevokeRequest
	email tasks.Email // zero: one invitation, or one invite
}

// target carries out the wish of a revoke task. done is false while a worker still
// has to ask Clerk, or could not. What another program's task names is written down
// as a request, under an id that is made from the task's; that has a task of its own
// (the sweep's), so this one ends: should it run again, it would mean more.
func (v *revokes) target(ctx context.Context, p tasks.Revoke, taskID string) (done bool, result map[string]string, _ error) {
	if p.ID != "" || isOurs(p.Target) {
		return v.carry(ctx, p)
	}
	request, err := v.ledger.RequestRevokeAs(ctx, ledger.Now, requestOf(taskID), p.Target)
	if err != nil {
		return false, nil, err
	}
	done, result, err = v.carry(ctx, tasks.Revoke{ID: request.ID})
	if _, waits := errors.AsType[*snooze](err); waits || err == nil && !done {
		return true, map[string]string{request.ID: "asked"}, nil
	}
	return done, result, err
}

// isOurs reports whether a target is an id of ours.
func isOurs(target string) bool {
	return !strings.Contains(target, "@") && !strings.HasPrefix(target, "inv_")
}

// requestOf is the id of the request that a task of another program's leaves.
func requestOf(taskID string) string {
	if taskID == "" {
		return tasks.NewID("rvk")
	}
	sum := sha256.Sum256([]byte(taskID))
	return "rvk_" + hex.EncodeToString(sum[:12])
}

// carry does what a task asks for, as far as that can be done now.
func (v *revokes) carry(ctx context.Context, p tasks.Revoke) (done bool, result map[string]string, _ error) {
	w, err := v.wish(ctx, p)
	if errors.Is(err, ledger.ErrNotFound) && strings.HasPrefix(p.ID, "rvk_") {
		return true, map[string]string{p.ID: "done before"}, nil
	} else if err != nil {
		return false, nil, err
	}
	if w.Many != nil {
		return v.many(ctx, w.ID)
	}
	records, err := v.meant(ctx, p, w)
	if err != nil {
		return false, nil, err
	}
	done, result = true, map[string]string{}
	for n, r := range records {
		if !endedBefore(r) {
			if r, err = v.ledger.Cancel(ctx, ledger.Now, r.Invite.ID); err != nil {
				return false, nil, err
			}
			records[n] = r
		}
		result[r.Invite.ID] = r.State.String()
		done = done && !r.RevokeWanted
	}
	var others strangers
	if w.Target != "" && (len(records) == 0 || !w.email.IsZero()) {
		found, clean, err := v.strangers(ctx, w, result)
		if err != nil {
			return false, nil, waitForClerk(err)
		}
		others, done = found, done && clean
	}
	if done && w.ID != "" {
		end := w.Done(records, others.revoked)
		end.Gone, end.TooLate = others.gone, end.TooLate+others.late
		end.At = v.ledger.Time()
		err = v.ledger.CloseRevokeRequest(ctx, w.ID, end)
	}
	return done, result, err
}

// manyFor is how long a task is at a wish about many invites before it lets others run.
const manyFor = 15 * time.Second

// many carries on a wish about many invites: it begins with each of them, and looks
// once at those that wait for Clerk. How far it is stands in the ledger, so that it goes
// on from there, whatever becomes of this process.
func (v *revokes) many(ctx context.Context, id string) (done bool, result map[string]string, _ error) {
	start, looks := time.Now(), 0
	for {
		r, err := v.ledger.SweepRequest(ctx, ledger.Now, id)
		if errors.Is(err, ledger.ErrNotFound) {
			return true, map[string]string{id: "done before"}, nil
		}
		if err != nil {
			return false, nil, err
		}
		m := r.Many
		if m.Waiting == 0 {
			end := r.Done(nil, nil)
			end.At = v.ledger.Time()
			return true, map[string]string{id: "done"}, v.ledger.CloseRevokeRequest(ctx, id, end)
		}
		if m.Begun() {
			looks++
		}
		if looks*ledger.SweepAtOnce > m.Waiting || time.Since(start) > manyFor {
			return false, nil, nil
		}
	}
}

// endedBefore reports whether there is nothing to take back any more. A failed
// invite counts as ended for an address: nobody waits for it.
func endedBefore(r ledger.Record) bool {
	return !r.State.Open() && r.State != tasks.Pending && r.State != tasks.Parked
}

// wish finds out what a revoke task is about: a request of the ledger's, which has
// a time, or the id of an invite.
func (v *revokes) wish(ctx context.Context, p tasks.Revoke) (wish, error) {
	w := wish{RevokeRequest: ledger.RevokeRequest{Target: p.Target, CreatedAt: v.ledger.Time()}}
	if strings.HasPrefix(p.ID, "rvk_") {
		request, err := v.ledger.RevokeRequest(ctx, p.ID)
		if err != nil {
			return w, err
		}
		w.RevokeRequest = request
	}
	if strings.Contains(w.Target, "@") {
		email, err := tasks.ParseEmail(w.Target)
		if err != nil {
			return w, hopeless(err)
		}
		w.email = email
	}
	return w, nil
}

// meant finds the invites that a wish is about.
func (v *revokes) meant(ctx context.Context, p tasks.Revoke, w wish) ([]ledger.Record, error) {
	id := w.Target
	switch {
	case isOurs(w.Target): // "", too: then the task names it
		id = cmp.Or(w.Target, p.ID)
		r, err := recordOf(ctx, v.ledger, id)
		return []ledger.Record{r}, err
	case !w.email.IsZero():
		found, err := v.ledger.FindAddress(ctx, w.email)
		return slices.DeleteFunc(found, func(r ledger.Record) bool { return !w.Means(r) }), err
	case strings.HasPrefix(w.Target, "inv_"):
		owners, err := v.ledger.FindInvitations(ctx, w.Target)
		if err != nil || owners[w.Target] == "" {
			return nil, err
		}
		id = owners[w.Target]
	}
	return v.ledger.Get(ctx, id)
}

// strangers are invitations that are not in the ledger, which a wish has come to.
type strangers struct {
	revoked []string // by Clerk, for this wish
	gone    int      // Clerk does not have them
	late    int      // accepted, or run out
}

// strangers revokes invitations that are in no record: somebody else has made them.
// clean says that none is left that the wish means.
func (v *revokes) strangers(ctx context.Context, w wish, result map[string]string) (found strangers, clean bool, _ error) {
	targets, clean := []string{w.Target}, true
	if !w.email.IsZero() {
		shown, err := v.reads.about(ctx, w.email)
		if err != nil {
			return found, false, err
		}
		owners, err := v.ledger.FindInvitations(ctx, idsOf(shown)...)
		if err != nil {
			return found, false, err
		}
		clock := v.reads.facts().Clock
		targets = nil
		for _, inv := range shown {
			switch {
			case owners[inv.ID] != "" || !clock.MayPrecede(inv.CreatedAt, w.CreatedAt):
			case verdict.IsPending(inv):
				targets = append(targets, inv.ID)
			case inv.Status == clerk.Revoked && clock.MayFollow(inv.UpdatedAt, w.CreatedAt):
				found.revoked = append(found.revoked, inv.ID) // by an earlier run
			}
		}
		clean = !v.ledger.Time().Before(w.CreatedAt.Add(wishSettles))
	}
	var refused *refusal // the last one; it holds up nobody else
	for _, id := range targets {
		end, err := v.ask(ctx, id)
		switch {
		case errors.As(err, &refused):
			v.log.Warn().Str("request", w.ID).Str("invitation_id", id).Str("outcome", refused.kind.String()).Str("code", refused.code).
				Msg("Clerk refuses to revoke an invitation; it is tried again ever more rarely")
			result[id] = refused.kind.String()
			continue
		case err != nil:
			return found, false, err
		case end.reason == tasks.ReasonGoneAtClerk:
			found.gone++
		case end.state == tasks.Revoked:
			found.revoked = append(found.revoked, id)
		default:
			found.late++
		}
		result[id] = end.state.String()
	}
	if refused == nil {
		return found, clean, nil
	}
	tries, err := v.ledger.RevokeRefused(ctx, ledger.Now, w.ID, refused.kind.String(), refusedFirst, refusedMost)
	if err != nil {
		return found, false, err
	}
	return found, false, &snooze{time.Now().Add(tries.NextAt.Sub(v.ledger.Time())), "Clerk refuses to revoke"}
}

func idsOf(invitations []clerk.Invitation) []string {
	s := make([]string, len(invitations))
	for i, inv := range invitations {
		s[i] = inv.ID
	}
	return s
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
