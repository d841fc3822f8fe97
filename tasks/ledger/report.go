package ledger

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/redisconn"
)

// SaveReport keeps the last report of its kind, as JSON, and its rows, which hold no
// address. While Redis is full there are no new rows.
func (l *Ledger) SaveReport(ctx context.Context, kind string, report, rows any) error {
	b, err := json.Marshal(report)
	if err != nil {
		return err
	}
	many, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	err = l.rdb.Set(ctx, l.keys.of("found")+kind, many, 0).Err()
	if err != nil && redisconn.KindOf(err) != redisconn.Full {
		return err
	}
	return l.note(ctx, "meta", "report:"+kind, b)
}

// LastReport reads the last report of its kind, or returns ErrNotFound.
func (l *Ledger) LastReport(ctx context.Context, kind string, report any) error {
	return parseReport(report, l.rdb.HGet(ctx, l.keys.of("meta"), "report:"+kind))
}

// LastRows reads the rows that were kept last of a kind of report, or returns
// ErrNotFound.
func (l *Ledger) LastRows(ctx context.Context, kind string, rows any) error {
	return parseReport(rows, l.rdb.Get(ctx, l.keys.of("found")+kind))
}

func parseReport(into any, answer *redis.StringCmd) error {
	b, err := answer.Bytes()
	if errors.Is(err, redis.Nil) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
