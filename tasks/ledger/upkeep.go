package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Stranger is an invitation at Clerk that is in no record.
type Stranger struct {
	Invite       tasks.Invite
	InvitationID string
	State        tasks.State // Pending, Accepted, Expired or Revoked
	CreatedAt    time.Time
}

// Adopt writes records for invitations that somebody else has created. It
// returns how many were new.
func (l *Ledger) Adopt(ctx context.Context, now time.Time, strangers ...Stranger) (int, error) {
	if len(strangers) == 0 {
		return 0, nil
	}
	bodies := make([]string, len(strangers))
	for n := range strangers {
		var err error
		if bodies[n], err = encodeContent(&strangers[n].Invite); err != nil {
			return 0, err
		}
	}
	cmd, err := l.runSalted(ctx, "adopt", func(key salt) []any {
		args := []any{millis(now)}
		for n, s := range strangers {
			person := key.person(s.Invite.EmailAddress)
			args = append(args, s.Invite.ID, person, addressBucket(person), bodies[n], s.InvitationID, s.State.String(), millis(s.CreatedAt))
		}
		return args
	})
	if err != nil {
		return 0, err
	}
	adopted, err := cmd.BoolSlice()
	n := 0
	for _, yes := range adopted {
		if yes {
			n++
		}
	}
	return n, err
}

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
