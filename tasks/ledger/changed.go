package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// newestScanned is how many invites ListNewest looks at for one page.
const newestScanned = 5000

// ListNewest returns invites in one state that is not queued: those that have changed
// last come first (those that are sending or unknown by when they are due, the latest
// first). Cursor "" begins with those that have changed before a time; the zero time is
// now. Only those that wanted, if it is not nil, says yes to are returned. A page may hold
// fewer than limit, or none, although more follow: it looks at 5,000 at most.
func (l *Ledger) ListNewest(ctx context.Context, s tasks.State, cursor string, before time.Time, limit int, wanted func(Record) bool) (Page, error) {
	at, skip := "+inf", int64(0)
	if !before.IsZero() {
		at = strconv.FormatInt(before.UnixMilli(), 10)
	}
	if cursor != "" {
		var ms int64
		if n, err := fmt.Sscanf(cursor, "%d,%d", &ms, &skip); err != nil || n != 2 || skip < 0 {
			return Page{}, errCursor
		}
		at = strconv.FormatInt(ms, 10)
	}
	count := browseChunk
	if wanted == nil {
		count = min(count, limit) // Almost every one is one for the page.
	}
	var p Page
	for scanned := 0; scanned < newestScanned; {
		zs, err := l.rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: l.keys.state(s), Start: at, Stop: "-inf", ByScore: true, Rev: true, Offset: skip, Count: int64(count),
		}).Result()
		if err != nil || len(zs) == 0 {
			return p, err
		}
		ids := make([]string, len(zs))
		for i, z := range zs {
			ids[i], _ = z.Member.(string)
		}
		records, err := l.Get(ctx, ids...)
		if err != nil {
			return p, err
		}
		byID := make(map[string]Record, len(records))
		for _, r := range records {
			byID[r.Invite.ID] = r
		}
		for i, id := range ids {
			if r, ok := byID[id]; ok && r.State == s && (wanted == nil || wanted(r)) {
				p.Records = append(p.Records, r)
			}
			// Those of the same moment that have been passed are left out next time.
			if ms := strconv.FormatFloat(zs[i].Score, 'f', 0, 64); ms == at {
				skip++
			} else {
				at, skip = ms, 1
			}
			if scanned++; len(p.Records) == limit {
				break
			}
		}
		p.Next = fmt.Sprintf("%s,%d", at, skip)
		if len(p.Records) == limit {
			return p, nil
		}
		if len(zs) < count {
			p.Next = ""
			return p, nil
		}
	}
	return p, nil
}
