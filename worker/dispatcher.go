package worker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

// dispatcher takes turns. It is level-triggered: it asks the ledger what may be
// sent, sleeps until the moment that the answer named, and a nudge only wakes it
// earlier.
type dispatcher struct {
	ledger *ledger.Ledger
	calls  *delivery
	watch  *watch
	pulse  *pulse
	health *health
	tempo  *tempo
	slots  chan struct{} // one for each call in flight
	wake   nudges
	next   string // the id of the next turn
}

// run takes turns until ctx ends, and returns when every call in flight has been
// settled.
func (d *dispatcher) run(ctx context.Context) {
	var inFlight sync.WaitGroup
	defer d.calls.ahead.running.Wait()
	defer inFlight.Wait()
	trouble := 0 // consecutive failures to take a turn
	for {
		select {
		case d.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		next, err := d.turn(ctx, &inFlight)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			trouble++
			next = time.Now().Add(min(5*time.Second, 50*time.Millisecond<<min(trouble, 7)) + rand.N(50*time.Millisecond))
			d.health.redis(err)
		} else {
			trouble = 0
			d.health.redis(nil)
		}
		d.wake.sleep(ctx, time.Until(next))
	}
}

// turnPause is how soon a turn may be asked for after one that had to wait.
const turnPause = 10 * time.Millisecond

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// turn takes one turn. The slot goes to the call, or is given back. It returns
// when to take the next one.
func (d *dispatcher) turn(ctx context.Context, inFlight *sync.WaitGroup) (time.Time, error) {
	now := time.Now()
	free := func() { <-d.slots }
	if ready, retryAt := d.watch.clerkReady(ctx); !ready {
		free()
		return retryAt, nil
	}
	if !d.pulse.trusts(ctx) {
		free()
		return now.Add(beatEvery), nil
	}
	if d.next == "" {
		d.next = tasks.NewID("turn")
	}
	t, err := d.ledger.Turn(ctx, ledger.Now, d.next)
	if err != nil {
		// The turn may have been taken and its answer lost. The same id, asked
		// again, gives the same claim.
		free()
		return now, err
	}
	d.next = ""
	if len(t.Batch) == 0 {
		free()
		if t.Why == ledger.WaitKey {
			return d.watch.askForTheKey(ctx, t.Wake), nil
		}
		if t.Why == ledger.WaitEpoch {
			d.pulse.unheard()
		}
		if t.Wake.IsZero() || t.Wake.After(now.Add(d.tempo.idle)) {
			return now.Add(d.tempo.idle), nil
		}
		// By this machine's clock it may have passed already: how far that is off
		// Redis' is known only so well.
		return latest(t.Wake, now.Add(turnPause)), nil
	}
	inFlight.Go(func() {
		defer d.wake.nudge()
		defer free()
		// The turn itself may have made a connection, to a server that knows less.
		if !d.pulse.trusts(ctx) || d.pulse.recovering() {
			d.calls.settle(t, verdict.NotSent(t))
			return
		}
		d.calls.deliver(ctx, t, now)
	})
	return now, nil
}
