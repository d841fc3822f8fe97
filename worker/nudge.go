package worker

import (
	"context"
	"time"
)

// nudges wake a loop that sleeps. At most one is kept until the loop next sleeps,
// which is enough: a loop looks at everything.
type nudges chan struct{}

func newNudges() nudges { return make(nudges, 1) }

// nudge never blocks.
func (n nudges) nudge() {
	select {
	case n <- struct{}{}:
	default:
	}
}

// sleep returns after the time, at a nudge, or when ctx ends. Of a nil n there are
// no nudges.
func (n nudges) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n:
	case <-ctx.Done():
	}
}
