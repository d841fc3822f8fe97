package ledger

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Dues says which of DueUnknown, DueRevokes and DueWatches would hand out anything.
type Dues struct {
	Unknown, Revokes, Watches bool

	// Unheard says that an epoch has begun of which this process has not heard: it
	// must beat before it decides anything.
	Unheard bool
}

// Due reports what is due: one
// round trip that changes nothing, for a loop that mostly finds nothing.
func (l *Ledger) Due(ctx context.Context, now time.Time) (d Dues, err error) {
	until := strconv.FormatInt(l.at(now).UnixMilli(), 10)
	pipe := l.rdb.Pipeline()
	first := func(key string) *redis.IntCmd { return pipe.ZCount(ctx, key, "-inf", until) }
	u, r, w := first(l.keys.state(tasks.Unknown)), first(l.keys.of("revoke")), first(l.keys.of("watch"))
	epochs := pipe.HGet(ctx, l.keys.of("meta"), "epochs")
	if _, err := pipe.Exec(ctx); ignoreNil(err) != nil {
		return d, err
	}
	unheard := endOfLast(parseEpochs(epochs.Val())) > l.memory.lastEpoch()
	return Dues{u.Val() > 0, r.Val() > 0, w.Val() > 0, unheard}, nil
}

// NextLook returns when the next unknown invite will be looked up at Clerk; the zero
// time if there is none.
func (l *Ledger) NextLook(ctx context.Context) (time.Time, error) {
	first, err := l.rdb.ZRangeWithScores(ctx, l.keys.state(tasks.Unknown), 0, 0).Result()
	if err != nil || len(first) == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(first[0].Score)), nil
}

// DueUnknown hands out at most n unknown invites that should be looked up now.
// They come up again after the lease if nobody settles them.
func (l *Ledger) DueUnknown(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Record, error) {
	return l.due(ctx, now, "unknown", lease, n)
}

// DueRevokes hands out at most n pending invites whose invitation shall be
// revoked now. They come up again after the lease.
func (l *Ledger) DueRevokes(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Record, error) {
	return l.due(ctx, now, "revoke", lease, n)
}

func (l *Ledger) due(ctx context.Context, now time.Time, index string, lease time.Duration, n int) ([]Record, error) {
	reply, err := l.run(ctx, "due", millis(now), index, lease.Milliseconds(), n).StringSlice()
	if err != nil {
		return nil, err
	}
	return l.records(ctx, reply), nil
}
