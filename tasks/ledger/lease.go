package ledger

import (
	"context"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Hold takes a named lease that one holder has at a time, until release is called
// or the time has passed. held is false if somebody else has it.
func (l *Ledger) Hold(ctx context.Context, name string, lease time.Duration) (release func(), held bool, err error) {
	key, mine := l.keys.of("hold")+name, tasks.NewID("hold")
	held, err = l.rdb.SetNX(ctx, key, mine, lease).Result()
	release = func() {
		ctx := context.WithoutCancel(ctx)
		if theirs, err := l.rdb.Get(ctx, key).Result(); err == nil && theirs == mine {
			l.rdb.Del(ctx, key)
		}
	}
	return release, held, err
}
