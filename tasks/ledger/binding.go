package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bind ties a name to a value for as long as ttl, unless it is tied already, and
// returns the value that it is tied to. The HTTP API ties an Idempotency-Key to
// the request that came with it; both are hashes.
//
// It is a courtesy to whoever uses a key twice by mistake: that nobody is mailed
// twice rests on the ids that are made from the key, which last longer.
func (l *Ledger) Bind(ctx context.Context, name, value string, ttl time.Duration) (string, error) {
	key := l.keys.of("bound") + name
	for range 3 {
		isNew, err := l.rdb.SetNX(ctx, key, value, ttl).Result()
		if err != nil || isNew {
			return value, err
		}
		bound, err := l.rdb.Get(ctx, key).Result()
		if !errors.Is(err, redis.Nil) { // Else it has ended in between.
			return bound, err
		}
	}
	return "", fmt.Errorf("bind: the name keeps ending; its time (%s) is too short", ttl)
}
