package ledger

import (
	"context"
	"strconv"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Settled are the states in which an invite is forgotten after its retention, and Stuck
// those in which it waits for a person, and is forgotten after a longer one. Pending is
// not final.
var (
	Settled = []tasks.State{tasks.Accepted, tasks.Expired, tasks.Revoked, tasks.Rejected, tasks.Canceled}
	Stuck   = []tasks.State{tasks.Failed, tasks.Parked}
)

// Trim forgets at most n invites that have not changed since before. The states that they
// are in default to Settled. Their ids go on deduping for as long as tombstones are kept. It returns how many went.
func (l *Ledger) Trim(ctx context.Context, before time.Time, tombstone time.Duration, n int, states ...tasks.State) (int, error) {
	if len(states) == 0 {
		states = Settled
	}
	args := []any{before.UnixMilli(), tombstone.Milliseconds(), n}
	for _, s := range states {
		args = append(args, s.String())
	}
	return l.run(ctx, "trim", args...).Int()
}

// Unchanged returns how many invites in some states have not changed since before.
func (l *Ledger) Unchanged(ctx context.Context, states []tasks.State, before time.Time) (n int64, _ error) {
	for _, s := range states {
		found, err := l.rdb.ZCount(ctx, l.keys.state(s), "-inf", "("+strconv.FormatInt(before.UnixMilli(), 10)).Result()
		if err != nil {
			return n, err
		}
		n += found
	}
	return n, nil
}
