package ledger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// RevokeRequest is the wish to revoke something that is not in the ledger: an
// invitation by Clerk's id, or whatever is pending for an address.
type RevokeRequest struct {
	ID        string // rvk_…
	Target    string // Clerk's id or an address: never logged.
	CreatedAt time.Time
	Position  int64 // Its place in the order of admission: who comes later is not meant. 0: not known.
	Many      *Many // What has been done so far, if it is about many invites; then there is no target.
}

// Many is a wish about the invites of a list, those that an import had when it was
// asked for or those that were named: to revoke them, or to invite them anew.
type Many struct {
	ImportID string `json:"import"`
	Rows     int    `json:"rows"`     // Invites on the list.
	From     int    `json:"from"`     // Of those, how many have been begun with.
	Waiting  int    `json:"waiting"`  // Not begun with, or to be revoked by a worker.
	Canceled int    `json:"canceled"` // Before they were sent.
	Revoked  int    `json:"revoked"`
	TooLate  int    `json:"too_late"` // Accepted, or run out, before the revoke came.
	Renewed  int    `json:"renewed"`
	Skipped  int    `json:"skipped"` // Not invited anew: they have been, or there is a newer invite for the address.
	List     string `json:"list"`
	Found    string `json:"invitations"` // Clerk's ids of what was revoked, the first hundred, each with a space behind it.
}

// Begun reports whether every invite of the list has been begun with.
func (m Many) Begun() bool { return m.From >= m.Rows }

// Means reports whether the request is about an invite, if its target is.
func (r RevokeRequest) Means(invite Record) bool {
	if r.Position > 0 {
		return invite.Position < r.Position
	}
	return !invite.CreatedAt.After(r.CreatedAt)
}

// String names the request without its target.
func (r RevokeRequest) String() string { return "revoke request " + r.ID }

// GoString is String.
func (r RevokeRequest) GoString() string { return r.String() }

// MarshalText is String.
func (r RevokeRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

type revokeRequestJSON struct {
	Target   string `json:"target"`
	Created  int64  `json:"created"` // Unix milliseconds
	Position int64  `json:"pos"`
	Many
}

// RequestRevoke writes a revoke request, together with the hint that its task
// is missing, and returns it with a new id. It stands until CloseRevokeRequest.
func (l *Ledger) RequestRevoke(ctx context.Context, now time.Time, target string) (RevokeRequest, error) {
	return l.RequestRevokeAs(ctx, now, tasks.NewID("rvk"), target)
}

// RequestRevokeAs is RequestRevoke under a given id. While a request stands, the same
// again changes nothing, its place in the order of admission included.
func (l *Ledger) RequestRevokeAs(ctx context.Context, now time.Time, id, target string) (RevokeRequest, error) {
	cmd, err := l.runSalted(ctx, "wish", func(s salt) []any { return []any{millis(now), id, s.targetOf(target)} })
	if err != nil {
		return RevokeRequest{}, err
	}
	reply, err := cmd.StringSlice()
	if err != nil || len(reply) != 2 {
		return RevokeRequest{}, err
	}
	return RevokeRequest{ID: id, Target: target, CreatedAt: timeOf(reply[0]), Position: number(reply[1])}, nil
}

// RevokeRequest returns a request that is not closed yet, or ErrNotFound.
func (l *Ledger) RevokeRequest(ctx context.Context, id string) (RevokeRequest, error) {
	s, err := l.rdb.HGet(ctx, l.keys.of("revreq"), id).Result()
	if errors.Is(err, redis.Nil) {
		return RevokeRequest{}, ErrNotFound
	}
	if err != nil {
		return RevokeRequest{}, err
	}
	return l.parseRevokeRequest(id, s)
}

// targetOf is a target as it stands in a request: an address is sealed, where the ledger
// is encrypted.
func (s salt) targetOf(target string) string {
	if s.secret == nil || !strings.Contains(target, "@") {
		return target
	}
	return sealedTarget + base64.RawStdEncoding.EncodeToString([]byte(s.secret.Seal(target)))
}

const sealedTarget = "$"

func (s salt) target(stands string) string {
	text, sealed := strings.CutPrefix(stands, sealedTarget)
	if s.secret == nil || !sealed || strings.Contains(text, "@") {
		return stands
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return stands
	}
	if target, err := s.secret.Open(string(b)); err == nil {
		return target
	}
	return stands
}

func (l *Ledger) parseRevokeRequest(id, s string) (RevokeRequest, error) {
	var j revokeRequestJSON
	if json.Unmarshal([]byte(s), &j) != nil { // Its own error may quote the target.
		return RevokeRequest{}, fmt.Errorf("%w: %s", errRecord, id)
	}
	r := RevokeRequest{ID: id, Target: l.currentSalt().target(j.Target), CreatedAt: time.UnixMilli(j.Created), Position: j.Position}
	if j.List != "" {
		r.Many = &j.Many
	}
	return r, nil
}

// RequestMany writes the wish to revoke all invites of an import that are in one of
// the states, or, with renew, to invite those people anew: what is pending is revoked
// first. Without an import it is about the invites that ids names, of which there is
// at least one. SweepRequest carries it on. While the queued invites of an import are
// canceled, it stands still.
func (l *Ledger) RequestMany(ctx context.Context, now time.Time, importID string, states []tasks.State, renew bool, ids ...string) (RevokeRequest, error) {
	id, list, again := tasks.NewID("rvk"), importID, ""
	if importID == "" {
		list = id + namedIDs
		for some := range slices.Chunk(ids, 1000) {
			pipe := l.rdb.Pipeline()
			pipe.RPush(ctx, l.keys.importIDs(list), toAny(some)...)
			pipe.Expire(ctx, l.keys.importIDs(list), doneKept) // should this end before the wish is written
			if _, err := pipe.Exec(ctx); err != nil {
				return RevokeRequest{}, err
			}
		}
	}
	if renew {
		again = "1"
	}
	names := make([]string, len(states))
	for n, s := range states {
		names[n] = s.String()
	}
	wish := []any{millis(now), id, "", list, strings.Join(names, ","), again, importID}
	if _, err := l.runSalted(ctx, "wish", func(salt) []any { return wish }); err != nil {
		return RevokeRequest{}, err
	}
	if importID == "" {
		if err := l.rdb.Persist(ctx, l.keys.importIDs(list)).Err(); err != nil {
			return RevokeRequest{}, err
		}
	}
	return l.RevokeRequest(ctx, id)
}

// namedIDs is the end of the name of a list of ids that a wish names.
const namedIDs = ":named"

func toAny(ids []string) []any {
	all := make([]any, len(ids))
	for n, id := range ids {
		all[n] = id
	}
	return all
}

// SweepRequest carries a wish about many invites on, by at most some hundred of them.
// Any number of processes may do so at once. It is done when none waits. The error is
// ErrNotFound when it has been closed.
func (l *Ledger) SweepRequest(ctx context.Context, now time.Time, id string) (RevokeRequest, error) {
	s, err := l.run(ctx, "sweep", millis(now), id, SweepAtOnce).Text()
	if err != nil {
		return RevokeRequest{}, err
	}
	if s == "" {
		return RevokeRequest{}, ErrNotFound
	}
	return l.parseRevokeRequest(id, s)
}

// SweepAtOnce is how many invites SweepRequest takes.
const SweepAtOnce = 200

// ManyLeft returns the first n invites that such a wish still waits for.
func (l *Ledger) ManyLeft(ctx context.Context, id string, n int) ([]Record, error) {
	ids, err := l.rdb.LRange(ctx, l.keys.importIDs(id), 0, int64(n-1)).Result()
	if err != nil {
		return nil, err
	}
	return l.Get(ctx, ids...)
}

// RevokeRequests returns the requests that are not closed yet, except those that
// cannot be read.
func (l *Ledger) RevokeRequests(ctx context.Context) ([]RevokeRequest, error) {
	all, err := l.rdb.HGetAll(ctx, l.keys.of("revreq")).Result()
	if err != nil {
		return nil, err
	}
	var found []RevokeRequest
	for id, s := range all {
		if r, err := l.parseRevokeRequest(id, s); err == nil {
			found = append(found, r)
		}
	}
	return found, nil
}

// RevokeRequestsFor is RevokeRequests of one address.
func (l *Ledger) RevokeRequestsFor(ctx context.Context, e tasks.Email) ([]RevokeRequest, error) {
	all, err := l.RevokeRequests(ctx)
	return slices.DeleteFunc(all, func(r RevokeRequest) bool { return tasks.EmailKey(r.Target) != e.Key() }), err
}

// CloseRevokeRequest forgets a request that has been dealt with, its target
// included. What was done, in words without an address, can be asked for a week.
// To close one twice is harmless.
func (l *Ledger) CloseRevokeRequest(ctx context.Context, id string, done RevokeDone) error {
	b, err := json.Marshal(done)
	if err != nil {
		return err
	}
	pipe := l.rdb.Pipeline()
	pipe.SetNX(ctx, l.keys.of("done")+id, b, doneKept)
	pipe.HDel(ctx, l.keys.of("revreq"), id)
	pipe.Del(ctx, l.keys.importIDs(id), l.keys.importIDs(id+namedIDs))
	pipe.HDel(ctx, l.keys.of("tries"), id)
	pipe.ZRem(ctx, l.keys.of("untasked"), revokeHint(id))
	_, err = pipe.Exec(ctx)
	return err
}

// RevokeDone says what became of a revoke request.
type RevokeDone struct {
	At       time.Time `json:"at"`
	Asked    time.Time `json:"asked"`
	Canceled int       `json:"canceled"`      // invites that had not been sent
	Revoked  int       `json:"revoked"`       // invitations of ours that Clerk has revoked
	Foreign  int       `json:"foreign"`       // invitations of others that Clerk has revoked
	TooLate  int       `json:"too_late"`      // accepted, or run out, before the revoke came
	Gone     int       `json:"gone,omitzero"` // invitations that were asked for by Clerk's id, which Clerk does not have

	ImportID string `json:"import,omitzero"` // of a wish about many, as what follows
	Rows     int    `json:"rows,omitzero"`
	Renewed  int    `json:"renewed,omitzero"`
	Skipped  int    `json:"skipped,omitzero"`

	// Invitations are Clerk's ids of what was revoked, the first hundred.
	Invitations []string `json:"invitations"`
}

// Done counts what the request has come to so far: records are the invites that it
// means, foreign the invitations of others that Clerk has revoked for it.
func (r RevokeRequest) Done(records []Record, foreign []string) RevokeDone {
	d := RevokeDone{Asked: r.CreatedAt, Foreign: len(foreign)}
	if m := r.Many; m != nil {
		d.Canceled, d.Revoked, d.TooLate, d.Invitations = m.Canceled, m.Revoked, m.TooLate, strings.Fields(m.Found)
		d.ImportID, d.Rows, d.Renewed, d.Skipped = m.ImportID, m.Rows, m.Renewed, m.Skipped
		return d
	}
	for _, one := range records {
		if one.UpdatedAt.Before(r.CreatedAt) {
			continue // It had ended before.
		}
		switch one.State {
		case tasks.Canceled:
			d.Canceled++
		case tasks.Revoked:
			d.Revoked++
			d.Invitations = append(d.Invitations, one.InvitationID)
		case tasks.Accepted, tasks.Expired:
			d.TooLate++
		default:
		}
	}
	d.Invitations = append(d.Invitations, foreign...)
	d.Invitations = d.Invitations[:min(len(d.Invitations), 100)]
	return d
}

const doneKept = 7 * 24 * time.Hour

// RevokeDone returns what became of a request that is closed, or ErrNotFound.
func (l *Ledger) RevokeDone(ctx context.Context, id string) (RevokeDone, error) {
	var d RevokeDone
	b, err := l.rdb.Get(ctx, l.keys.of("done")+id).Bytes()
	if errors.Is(err, redis.Nil) {
		return d, ErrNotFound
	}
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(b, &d)
}

// Tries says how often Clerk has refused a revoke. The zero value: never.
type Tries struct {
	Count  int       `json:"tries"`
	Why    string    `json:"why"` // the kind of the last refusal (clerk.Kind)
	Since  time.Time `json:"since"`
	NextAt time.Time `json:"next_at"`
}

// RevokeRefused notes that Clerk has refused to revoke what an invite, or a revoke
// request, is about. It is tried again after first, then twice as long each time, at
// most after most. What is returned counts this refusal.
func (l *Ledger) RevokeRefused(ctx context.Context, now time.Time, id, why string, first, most time.Duration) (Tries, error) {
	now = l.at(now)
	t, err := l.RevokeTries(ctx, id)
	if err != nil {
		return t, err
	}
	if t.Count == 0 {
		t.Since = now
	}
	t.Count++
	wait := most
	if t.Count < 20 {
		wait = min(most, first<<(t.Count-1))
	}
	t.Why, t.NextAt = why, now.Add(wait)
	b, err := json.Marshal(t)
	if err != nil {
		return t, err
	}
	pipe := l.rdb.Pipeline()
	pipe.ZAddXX(ctx, l.keys.of("revoke"), scored(id, t.NextAt))
	pipe.HSet(ctx, l.keys.of("tries"), id, b)
	_, err = pipe.Exec(ctx)
	return t, err
}

// RevokeTries says how often Clerk has refused to revoke what an invite, or a revoke
// request that is not closed yet, is about. That of an invite counts while its revoke
// is wanted.
func (l *Ledger) RevokeTries(ctx context.Context, id string) (t Tries, _ error) {
	b, err := l.rdb.HGet(ctx, l.keys.of("tries"), id).Bytes()
	if errors.Is(err, redis.Nil) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	if json.Unmarshal(b, &t) != nil {
		return t, fmt.Errorf("%w: refused revokes of %s", errRecord, id)
	}
	return t, nil
}
