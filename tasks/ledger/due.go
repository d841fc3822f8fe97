package ledger

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Due reports whether DueUnknown and DueRevokes would hand out anything: one
// round trip that changes nothing, for a loop that mostly finds nothing.
func (l *Ledger) Due(ctx context.Context, now time.Time) (unknown, revokes bool, err error) {
	until := strconv.FormatInt(now.UnixMilli(), 10)
	pipe := l.rdb.Pipeline()
	first := func(key string) *redis.IntCmd { return pipe.ZCount(ctx, key, "-inf", until) }
	u, r := first(l.keys.state(tasks.Unknown)), first(l.keys.of("revoke"))
	if _, err := pipe.Exec(ctx); err != nil {
		return false, false, err
	}
	return u.Val() > 0, r.Val() > 0, nil
}
