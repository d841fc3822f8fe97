package enqueuetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker"
	"github.com/inviteq/inviteq/worker/reconcile"
)

const (
	// longest is how far time may run ahead in one Deliver, and stuck for how long nothing
	// may change: attempts are an hour apart at most.
	longest = 400 * 24 * time.Hour
	stuck   = 24 * time.Hour
	// soon is for how long a worker may be idle; longer waits are skipped.
	soon = 3 * time.Minute
	// Deliver looks after a step, and then ever more rarely.
	step    = 20 * time.Millisecond
	slowest = 30 * time.Second
	// subscriptionsEnd is how long go-redis takes to notice that a subscription is closed.
	subscriptionsEnd = time.Second
)

// Deliver plays a worker until all is settled: every invite has ended in some way or
// is with Clerk, every revoke is carried out, and the ledger knows what has become of
// the invitations at Clerk. Time passes as that needs, within Clerk's published limits:
// a list of 500 takes more than an hour of the test's time. What is paused stays where
// it is.
//
// Calls of the client may be made meanwhile. If there is an end that Deliver cannot
// reach, the test fails.
func Deliver(t *testing.T, c *enqueue.Client) {
	t.Helper()
	k := kitOf(t, c)
	var err error
	if k.bubbled {
		err = k.deliver(k.dial, k.sim.DialContext)
	} else {
		err = k.inside(t, func(b *bubble) error { return k.deliver(b.dialRedis, b.dialClerk) })
	}
	if err != nil {
		t.Fatalf("enqueuetest: %v", err)
	}
}

// Advance lets time pass, in which no worker works. Invitations run out, and limits
// renew themselves.
func Advance(t *testing.T, c *enqueue.Client, d time.Duration) {
	t.Helper()
	k := kitOf(t, c)
	if k.bubbled {
		time.Sleep(d)
		return
	}
	_ = k.inside(t, func(*bubble) error {
		time.Sleep(d)
		return nil
	})
}

// inside runs something in a bubble whose time is the kit's, and keeps how far that
// has got.
func (k *kit) inside(t *testing.T, f func(*bubble) error) (err error) {
	start, end := k.time(), time.Time{}
	synctest.Test(t, func(*testing.T) {
		time.Sleep(time.Until(start))
		b := newBubble(k)
		err = f(b)
		b.close()
		k.sim.Now() // Clerk's clock never goes back.
		end = time.Now()
		k.tell(end)
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ahead = time.Until(end.Round(0))
	return err
}

type dialer = func(context.Context, string, string) (net.Conn, error)

// play is one Deliver.
type play struct {
	redis, clerk dialer
	ledger       *ledger.Ledger
	began        time.Time
}

func (k *kit) deliver(toRedis, toClerk dialer) error {
	ctx := context.Background()
	rdb := redis.NewClient(options(toRedis).Simple())
	defer rdb.Close()
	l, err := ledger.Open(ctx, rdb, ledger.Config{})
	if err != nil {
		return err
	}
	p := play{toRedis, toClerk, l, time.Now()}
	for {
		next, err := p.work(ctx)
		if err != nil || next.IsZero() {
			return err
		}
		if next.Sub(p.began) > longest {
			return fmt.Errorf("an invite is not to be sent before %s", next.Format(time.DateTime))
		}
		time.Sleep(time.Until(next.Add(-time.Second)))
	}
}

// work plays a worker until all is settled, or nothing happens until a later time,
// which it returns.
func (p *play) work(ctx context.Context) (next time.Time, err error) {
	cl, err := client(p.clerk)
	if err != nil {
		return next, err
	}
	defer cl.Close()
	w, err := worker.New(ctx, worker.Config{
		Redis: options(p.redis), Clerk: cl,
		Ledger:             ledger.Config{Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve},
		Unhurried:          true,
		ReconcileFullEvery: time.Second, // What it compares at its start is everything.
	})
	if err != nil {
		return next, err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	next, err = p.watch(ctx, time.Now())
	stop()
	err = errors.Join(err, <-ended)
	time.Sleep(subscriptionsEnd)
	return next, err
}

// watch returns when all is settled, or nothing happens until a later time.
func (p *play) watch(ctx context.Context, from time.Time) (time.Time, error) {
	var last map[tasks.State]int64
	changed := from
	for pause := step; ; {
		time.Sleep(pause)
		o, err := p.ledger.Overview(ctx, ledger.Now)
		if err != nil {
			return time.Time{}, err
		}
		if !maps.Equal(o.States, last) {
			last, changed, pause = o.States, time.Now(), step
			continue
		}
		pause = min(2*pause, slowest)
		now := time.Now()
		if now.Sub(changed) > stuck {
			return now, fmt.Errorf("nothing has changed for a day, and %d invites are queued, %d sending, %d unknown, and %d to be revoked",
				last[tasks.Queued], last[tasks.Sending], last[tasks.Unknown], o.Revoking)
		}
		if o.States[tasks.Sending]+o.States[tasks.Unknown]+o.Revoking > 0 {
			continue
		}
		if o.States[tasks.Queued] > 0 {
			next, waits, err := p.nextSend(ctx)
			if err != nil || next.Sub(now) > soon {
				return next, err
			}
			if waits {
				continue
			}
		}
		if compared, err := p.compared(ctx, from); err != nil || compared {
			return time.Time{}, err
		}
	}
}

// nextSend is when the next queued invite may go, if that is known, and whether any
// may go some time.
func (p *play) nextSend(ctx context.Context) (next time.Time, waits bool, err error) {
	for cursor := ""; ; {
		page, err := p.ledger.ListState(ctx, tasks.Queued, cursor, 10)
		if err != nil {
			return next, waits, err
		}
		etas, err := p.ledger.ETAs(ctx, ledger.Now, page.Records...)
		if err != nil {
			return next, waits, err
		}
		for i, r := range page.Records {
			if eta := etas[i]; !eta.IsZero() && (next.IsZero() || eta.Before(next)) {
				next = eta
			}
			if !waits && etas[i].IsZero() {
				waits, err = p.mayGo(ctx, r.Invite.ImportID)
			}
			if err != nil {
				return next, waits, err
			}
		}
		waits = waits || !next.IsZero()
		if cursor = page.Next; cursor == "" || waits {
			return next, waits, nil
		}
	}
}

// mayGo reports whether the rows of an import are not paused.
func (p *play) mayGo(ctx context.Context, importID string) (bool, error) {
	if importID == "" {
		return true, nil
	}
	i, err := p.ledger.Import(ctx, importID)
	return i.Standing() != tasks.ImportPaused, err
}

// compared reports whether the ledger has been compared with Clerk since.
func (p *play) compared(ctx context.Context, since time.Time) (bool, error) {
	var last reconcile.Report
	err := p.ledger.LastReport(ctx, "full", &last)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return false, fmt.Errorf("the last comparison with Clerk: %w", err)
	}
	return !last.StartedAt.Before(since), nil
}
