package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/ledger"
)

// store keeps in Redis what is the API's own and neither the ledger's nor that of
// tasks/access. Its keys stand beside theirs, under the same prefix:
//
//	bound:…  string: an Idempotency-Key, hashed → hash of the request that came with it
//
// A store is safe for concurrent use.
type store struct {
	rdb   redis.UniversalClient
	bound string
}

func newStore(rdb redis.UniversalClient, instance string) *store {
	return &store{rdb, ledger.KeyPrefix(instance) + "bound:"}
}

// bind ties a name to a value for as long as ttl, unless it is tied already, and
// returns the value that it is tied to: an Idempotency-Key and the request that came
// with it. Both are hashes.
//
// It is a courtesy to whoever uses a key twice by mistake: that nobody is mailed
// twice rests on the ids that are made from the key, which last longer.
func (s *store) bind(ctx context.Context, name, value string, ttl time.Duration) (string, error) {
	key := s.bound + name
	for range 3 {
		isNew, err := s.rdb.SetNX(ctx, key, value, ttl).Result()
		if err != nil || isNew {
			return value, err
		}
		bound, err := s.rdb.Get(ctx, key).Result()
		if !errors.Is(err, redis.Nil) { // Else it has ended in between.
			return bound, err
		}
	}
	return "", fmt.Errorf("bind: the name keeps ending; its time (%s) is too short", ttl)
}
