package worker

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/inviteq/inviteq/tasks/ledger"
)

// outcomes tells handlers that wait for an invite what has become of it in this
// process. It is only a short cut: what it misses stands in the ledger.
type outcomes struct {
	mu      sync.Mutex
	waiting map[string][]waiter
}

// waiter is a task that waits, and the trace that it belongs to.
type waiter struct {
	told  chan ledger.Record
	trace trace.SpanContext
}

// await returns a channel that gets the next record of the invite, and a
// function that ends the waiting.
func (o *outcomes) await(ctx context.Context, id string) (<-chan ledger.Record, func()) {
	ch := make(chan ledger.Record, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == nil {
		o.waiting = map[string][]waiter{}
	}
	o.waiting[id] = append(o.waiting[id], waiter{ch, trace.SpanContextFromContext(ctx)})
	return ch, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		left := o.waiting[id][:0]
		for _, c := range o.waiting[id] {
			if c.told != ch {
				left = append(left, c)
			}
		}
		if o.waiting[id] = left; len(left) == 0 {
			delete(o.waiting, id)
		}
	}
}

// tell passes records on to whoever waits for them.
func (o *outcomes) tell(records []ledger.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range records {
		if r.State.Open() {
			continue
		}
		for _, one := range o.waiting[r.Invite.ID] {
			select {
			case one.told <- r:
			default:
			}
		}
	}
}

// awaitedBy returns the trace of a task that waits for the invite, if there is one.
func (o *outcomes) awaitedBy(id string) trace.SpanContext {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, one := range o.waiting[id] {
		return one.trace
	}
	return trace.SpanContext{}
}
