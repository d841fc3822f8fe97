package ledger

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/go-redis/v9"
)

// SaveReport keeps the last report of its kind, as JSON.
func (l *Ledger) SaveReport(ctx context.Context, kind string, report any) error {
	b, err := json.Marshal(report)
	if err != nil {
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
