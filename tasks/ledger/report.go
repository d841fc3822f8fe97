package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/redisconn"
)

// SaveReport keeps the last report of its kind, as JSON, and its rows, which hold no
// address. While Redis is full there are no new rows.
func (l *Ledger) SaveReport(ctx context.Context, kind string, report any, rows []string) error {
	b, err := json.Marshal(report)
	if err != nil {
		return err
	}
	key := l.keys.of("found") + kind
	err = l.rdb.Del(ctx, key).Err()
	for part := range slices.Chunk(rows, browseChunk) {
		if err == nil {
			err = l.rdb.RPush(ctx, key, part).Err()
		}
	}
	if err != nil && redisconn.KindOf(err) != redisconn.Full {
		return err
	}
	return l.note(ctx, "meta", "report:"+kind, b)
}

// LastReport reads the last report of its kind, or returns ErrNotFound.
func (l *Ledger) LastReport(ctx context.Context, kind string, report any) error {
	b, err := l.rdb.HGet(ctx, l.keys.of("meta"), "report:"+kind).Bytes()
	if errors.Is(err, redis.Nil) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, report)
}

// LastRows reads n rows that were kept last of a kind of report, and the first one of all.
func (l *Ledger) LastRows(ctx context.Context, kind string, from, n int) (first string, rows []string, err error) {
	key, pipe := l.keys.of("found")+kind, l.rdb.Pipeline()
	head, found := pipe.LRange(ctx, key, 0, 0), pipe.LRange(ctx, key, int64(from), int64(from+n-1))
	if err := execute(ctx, pipe); err != nil || len(head.Val()) == 0 {
		return "", nil, err
	}
	return head.Val()[0], found.Val(), nil
}
