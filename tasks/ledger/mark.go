package ledger

import (
	"context"
	"time"
)

// MarkSettles is how long after a mark was first published a call may still leave
// without it: old workers go on beside new ones while a deploy is under way. A worker
// that is known to be alone publishes it with a time that is so much earlier.
const MarkSettles = 15 * time.Minute

// PublishMark notes the key of public_metadata under which calls carry the id of
// their invite ("" for none), and returns since when all of them do.
func (l *Ledger) PublishMark(ctx context.Context, now time.Time, key string) (since time.Time, _ error) {
	if key == "" {
		return since, l.rdb.HDel(ctx, l.keys.of("meta"), "mark", "mark.since").Err()
	}
	at := l.at(now).Add(MarkSettles)
	values, err := l.rdb.HMGet(ctx, l.keys.of("meta"), "mark", "mark.since").Result()
	if err != nil {
		return since, err
	}
	have, _ := values[0].(string)
	told, _ := values[1].(string)
	if have == key && told != "" {
		return timeOf(told), nil
	}
	return at, l.rdb.HSet(ctx, l.keys.of("meta"), "mark", key, "mark.since", at.UnixMilli()).Err()
}
