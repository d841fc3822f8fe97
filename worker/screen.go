package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

// recall looks for those members whom an earlier call may have invited after all,
// just before they go again. Whoever is found is settled; whoever cannot be
// looked for waits, uncharged.
func (d *delivery) recall(ctx context.Context, t ledger.Turn) []ledger.Record {
	sure := slices.DeleteFunc(slices.Clone(t.Batch), func(r ledger.Record) bool { return r.Doubt })
	if len(sure) == len(t.Batch) {
		return sure
	}
	var mu sync.Mutex
	var reading sync.WaitGroup
	var gone []ledger.Settlement
	for _, r := range t.Batch {
		if !r.Doubt {
			continue
		}
		reading.Go(func() {
			s, found, err := d.reads.find(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				s = verdict.Settled(r, tasks.Queued, tasks.ReasonNotSent, "")
				s.At = time.Now().Add(lookLease)
				gone = append(gone, s)
			case found:
				gone = append(gone, s)
			default:
				sure = append(sure, r)
			}
		})
	}
	reading.Wait()
	if len(gone) > 0 {
		d.settle(t, ledger.Ending{Members: gone})
	}
	return sure
}

// screen looks for members that Clerk would refuse, because one of them sinks a
// whole bulk call: a token for reads that cost next to nothing. Whoever is ruled
// out is settled, and the places are filled from the queue under the same token.
// A lone interactive invite is not held up by it.
//
// Reads only ever rule out. If they cannot be made, the batch goes as it is.
func (d *delivery) screen(ctx context.Context, t ledger.Turn) []ledger.Record {
	alone := len(t.Batch) == 1 && t.Batch[0].Invite.Lane == tasks.Interactive
	if !d.screening || alone {
		return t.Batch
	}
	batch, fresh := []ledger.Record(nil), t.Batch
	for range 3 {
		out, err := d.reads.ruledOut(ctx, fresh)
		if err != nil {
			return append(batch, fresh...)
		}
		var gone []ledger.Settlement
		for _, r := range fresh {
			if s, ok := out[r.Invite.ID]; ok {
				gone = append(gone, s)
			} else {
				batch = append(batch, r)
			}
		}
		if len(gone) == 0 {
			return batch
		}
		records, err := d.ledger.SettleTurn(ctx, time.Now(), t, ledger.Ending{Members: gone})
		if err != nil {
			return batch // The claims of those who are out run out; a read settles them.
		}
		d.outcomes.tell(records)
		d.wakeChores()
		if t.Endpoint != ledger.Bulk {
			return batch
		}
		// The new ones are screened in their turn, three rounds at the most.
		t.Batch = batch
		if fresh, err = d.ledger.TopUp(ctx, time.Now(), t, d.bulk-len(batch)); err != nil || len(fresh) == 0 {
			return batch
		}
	}
	return append(batch, fresh...)
}
