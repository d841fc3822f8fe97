package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// ForgottenFor is how long the id of a forgotten invite goes on deduping.
const ForgottenFor = 365 * 24 * time.Hour

// Erased is an invite that Forget has looked at.
type Erased struct {
	ID           string
	State        tasks.State // That it was in.
	InvitationID string      // Clerk's; "" if it has none.

	// ArrivesUntil is when the invite can be forgotten, if it was not: it is taken
	// back, and a call of it may still make an invitation. Zero: it is forgotten.
	ArrivesUntil time.Time
}

// Forget forgets a person: the records of all invites for the address, what leads to
// them, and requests to revoke that name the address. Of each invite a tombstone
// stays, which holds a keyed hash, so that the same request under the same id is not
// sent again. What has not been sent is canceled first. Adopt takes up nothing that
// Clerk has of the person from before.
//
// Tasks of asynq are not the ledger's (see enqueue.Client.Forget). It may be repeated.
func (l *Ledger) Forget(ctx context.Context, now time.Time, e tasks.Email) (all []Erased, dropped []RevokeRequest, _ error) {
	if err := l.loadSalt(ctx, l.currentSalt()); err != nil {
		return nil, nil, err
	}
	records, err := l.FindAddress(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range records {
		one, err := l.ForgetInvite(ctx, now, r.Invite.ID)
		if err != nil {
			return all, nil, err
		}
		all = append(all, one)
	}
	if err := l.rdb.ZAdd(ctx, l.keys.of("forgotten"), scored(l.currentSalt().forgotten(e), l.at(now))).Err(); err != nil {
		return all, nil, err
	}
	dropped, err = l.RevokeRequestsFor(ctx, e)
	for _, r := range dropped {
		if err == nil {
			done := r.Done(nil, nil)
			done.At = l.at(now)
			err = l.CloseRevokeRequest(ctx, r.ID, done)
		}
	}
	return all, dropped, err
}

// ForgetInvite is Forget for one record, which may be one that cannot be read.
func (l *Ledger) ForgetInvite(ctx context.Context, now time.Time, id string) (e Erased, _ error) {
	cmd, err := l.runSalted(ctx, "forget", func(s salt) []any { return []any{millis(now), id, ForgottenFor.Milliseconds()} })
	if err != nil {
		return e, err
	}
	reply, err := cmd.Slice()
	if err != nil || len(reply) != 3 {
		return e, errors.Join(err, errRecord)
	}
	name, _ := reply[0].(string)
	e.ID = id
	e.State, _ = tasks.ParseState(name)
	e.InvitationID, _ = reply[1].(string)
	if until, _ := reply[2].(int64); until > 0 {
		e.ArrivesUntil = time.UnixMilli(until)
	}
	return e, nil
}

// forgotten returns what stands for a person who was forgotten: a keyed hash of which
// no two people have the same.
func (s salt) forgotten(e tasks.Email) string {
	member := base64.RawURLEncoding.EncodeToString(hashOf([]byte(s.public()), "forgotten", e.Key())[:forgottenLen])
	if s.secret != nil {
		return s.reforgotten(member)
	}
	return member
}

// reforgotten makes what stands for a person in an encrypted ledger from what does in
// one that is not.
func (s salt) reforgotten(member string) string {
	return base64.RawURLEncoding.EncodeToString(hashOf(s.secret.Hash, "forgotten", member)[:forgottenLen+4])
}

// forgottenLen is in bytes; in an encrypted ledger there are more, which tells them apart.
const forgottenLen = 16

// lateAtClerk is how long after a person was forgotten an invitation of before may still
// have been made.
const lateAtClerk = time.Hour

// remembered leaves out the invitations of people who have been forgotten since.
func (l *Ledger) remembered(ctx context.Context, strangers []Stranger) ([]Stranger, error) {
	forgotten, key := l.keys.of("forgotten"), l.currentSalt()
	if n, err := l.rdb.ZCard(ctx, forgotten).Result(); err != nil || n == 0 {
		return strangers, err
	}
	kept := make([]Stranger, 0, len(strangers))
	for some := range slices.Chunk(strangers, 20) {
		pipe := l.rdb.Pipeline()
		scores := make([]*redis.FloatCmd, len(some))
		for n, s := range some {
			scores[n] = pipe.ZScore(ctx, forgotten, key.forgotten(s.Invite.EmailAddress))
		}
		if err := execute(ctx, pipe); err != nil {
			return nil, err
		}
		for n, s := range some {
			at := time.UnixMilli(int64(scores[n].Val()))
			if scores[n].Err() != nil || s.CreatedAt.After(at.Add(lateAtClerk)) {
				kept = append(kept, s)
			}
		}
	}
	return slices.Clip(kept), nil
}
