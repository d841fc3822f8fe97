package ledger

import (
	"context"
	"strconv"
	"time"
)

// RevokeRefused notes that Clerk has refused to revoke the invitation of an invite,
// and when to ask again: after first, then twice as long each time, at most after
// most. It returns how often that has been.
func (l *Ledger) RevokeRefused(ctx context.Context, now time.Time, id, why string, first, most time.Duration) (int, error) {
	tries, err := l.rdb.HIncrBy(ctx, l.keys.of("tries"), id, 1).Result()
	if err != nil {
		return 0, err
	}
	wait := most
	if tries < 20 {
		wait = min(most, first<<(tries-1))
	}
	pipe := l.rdb.Pipeline()
	pipe.ZAddXX(ctx, l.keys.of("revoke"), scored(id, l.at(now).Add(wait)))
	pipe.HSet(ctx, l.keys.of("tries"), id+":why", why)
	_, err = pipe.Exec(ctx)
	return int(tries), err
}

// RevokeTries says how often Clerk has refused to revoke the invitation of an
// invite, and with which kind of error the last time.
func (l *Ledger) RevokeTries(ctx context.Context, id string) (tries int, why string, _ error) {
	values, err := l.rdb.HMGet(ctx, l.keys.of("tries"), id, id+":why").Result()
	if err != nil || len(values) != 2 {
		return 0, "", ignoreNil(err)
	}
	n, _ := values[0].(string)
	why, _ = values[1].(string)
	tries, _ = strconv.Atoi(n)
	return tries, why, nil
}
