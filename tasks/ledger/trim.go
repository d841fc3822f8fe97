package ledger

import (
	"context"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// trimmed are the states that are forgotten after their retention. Pending is
// not final; failed and parked wait for a person.
var trimmed = []tasks.State{tasks.Accepted, tasks.Expired, tasks.Revoked, tasks.Rejected, tasks.Canceled}

// Trim forgets at most n settled invites that have not changed since before. Their
// ids go on deduping for as long as tombstones are kept. It returns how many went.
func (l *Ledger) Trim(ctx context.Context, before time.Time, tombstone time.Duration, n int) (int, error) {
	args := []any{before.UnixMilli(), tombstone.Milliseconds(), n}
	for _, s := range trimmed {
		args = append(args, s.String())
	}
	return l.run(ctx, "trim", args...).Int()
}
