package ledger

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// ErrNotFound says that the ledger has no such invite or import.
var ErrNotFound = errors.New("not found in the ledger")

// Cancel asks that an invite be not sent, or be revoked. The record that comes
// back says how far it got: Canceled (it was never sent), or RevokeWanted (a
// worker will ask Clerk), or the state in which it had ended already.
func (l *Ledger) Cancel(ctx context.Context, now time.Time, id string) (Record, error) {
	s, err := l.accept(ctx, "cancel", millis(now), id).Text()
	if err != nil {
		return Record{}, err
	}
	if s == "" {
		return Record{}, ErrNotFound
	}
	return l.parse(ctx, id, s)
}

// Requeueable are the states in which a person may queue an invite again.
var Requeueable = []tasks.State{tasks.Failed, tasks.Parked, tasks.Rejected}

// Requeue puts invites back that are in one of the given states, with their
// attempts at zero. It says which were put back.
func (l *Ledger) Requeue(ctx context.Context, now time.Time, reason tasks.Reason, from []tasks.State, ids ...string) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	names := make([]string, len(from))
	for i, s := range from {
		names[i] = s.String()
	}
	args := []any{millis(now), string(reason), strings.Join(names, ",")}
	for _, id := range ids {
		args = append(args, id)
	}
	return l.run(ctx, "requeue", args...).BoolSlice()
}

// Observation is what was seen at Clerk about an invite.
type Observation struct {
	ID       string
	From, To tasks.State
	Reason   tasks.Reason

	// InvitationID is Clerk's, for an invite that had been given up: its call took
	// effect late. If it was canceled, a revoke is wanted from now on.
	InvitationID string
}

// Observe moves invites to the state that Clerk shows, each only if it is still
// in the state it was compared with. It says which were moved.
func (l *Ledger) Observe(ctx context.Context, now time.Time, seen ...Observation) ([]bool, error) {
	if len(seen) == 0 {
		return nil, nil
	}
	args := []any{millis(now)}
	for _, o := range seen {
		args = append(args, o.ID, o.From.String(), o.To.String(), string(o.Reason), o.InvitationID)
	}
	return l.run(ctx, "observe", args...).BoolSlice()
}

// Pause stops turns for a lane until Resume. It survives restarts.
func (l *Ledger) Pause(ctx context.Context, now time.Time, lane tasks.Lane) error {
	return l.note(ctx, "paused", lane.String(), l.at(now).UnixMilli())
}

// Resume undoes Pause.
func (l *Ledger) Resume(ctx context.Context, lane tasks.Lane) error {
	if err := l.rdb.HDel(ctx, l.keys.of("paused"), lane.String()).Err(); err != nil {
		return err
	}
	return l.note(ctx, "meta", "resumed", millis(l.Time()))
}

// Pauses returns which lanes are paused, and which were when lane and asynq queue last
// agreed about it (Agreed).
func (l *Ledger) Pauses(ctx context.Context) (paused, agreed map[tasks.Lane]bool, _ error) {
	pipe := l.rdb.Pipeline()
	var now, then []*redis.BoolCmd
	for _, lane := range tasks.Lanes {
		now = append(now, pipe.HExists(ctx, l.keys.of("paused"), lane.String()))
		then = append(then, pipe.HExists(ctx, l.keys.of("meta"), agreedField(lane)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, err
	}
	paused, agreed = map[tasks.Lane]bool{}, map[tasks.Lane]bool{}
	for i, lane := range tasks.Lanes {
		paused[lane], agreed[lane] = now[i].Val(), then[i].Val()
	}
	return paused, agreed, nil
}

// Agreed notes that a lane and its asynq queue are both paused, or both not.
func (l *Ledger) Agreed(ctx context.Context, lane tasks.Lane, paused bool) error {
	if !paused {
		return l.rdb.HDel(ctx, l.keys.of("meta"), agreedField(lane)).Err()
	}
	return l.note(ctx, "meta", agreedField(lane), "1")
}

func agreedField(lane tasks.Lane) string { return "queue_paused:" + lane.String() }

func rangeByScore(key string, until time.Time, n int) redis.ZRangeArgs {
	return redis.ZRangeArgs{Key: key, Start: "-inf", Stop: until.UnixMilli(), ByScore: true, Count: int64(n)}
}

func scored(member string, at time.Time) redis.Z {
	return redis.Z{Member: member, Score: float64(at.UnixMilli())}
}
