package worker

import (
	"sync"

	"github.com/inviteq/inviteq/worker/ledger"
)

// outcomes tells handlers that wait for an invite what has become of it in this
// process. It is only a short cut: what it misses stands in the ledger.
type outcomes struct {
	mu      sync.Mutex
	waiting map[string][]chan ledger.Record
}

// await returns a channel that gets the next record of the invite, and a
// function that ends the waiting.
func (o *outcomes) await(id string) (<-chan ledger.Record, func()) {
	ch := make(chan ledger.Record, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == nil {
		o.waiting = map[string][]chan ledger.Record{}
	}
	o.waiting[id] = append(o.waiting[id], ch)
	return ch, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		left := o.waiting[id][:0]
		for _, c := range o.waiting[id] {
			if c != ch {
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
		for _, ch := range o.waiting[r.Invite.ID] {
			select {
			case ch <- r:
			default:
			}
		}
	}
}
