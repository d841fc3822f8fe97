package worker

import (
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// Observer is told what this process does, for metrics. Its functions are called
// from many goroutines and must be quick; any may be nil. What the workers do
// together is in the ledger.
type Observer struct {
	// Delivered is called for every invite that a call has delivered, with how long
	// it has waited for that call since it might have gone: since it was admitted,
	// since its not-before, or since the end of its last backoff.
	Delivered func(lane tasks.Lane, waited time.Duration)
	// Swept is called with how many records were given a task that they lacked.
	Swept func(given int)
	// Reconciled is called after every pass.
	Reconciled func(reconcile.Report)
}

// delivered tells of those members of the turn that are delivered now.
func (o *Observer) delivered(t ledger.Turn, now []ledger.Record) {
	if o.Delivered == nil {
		return
	}
	ready := make(map[string]time.Time, len(t.Batch))
	for _, r := range t.Batch {
		ready[r.Invite.ID] = r.CreatedAt
		if r.ReadyAt.After(r.CreatedAt) {
			ready[r.Invite.ID] = r.ReadyAt
		}
	}
	for _, r := range now {
		if since, ok := ready[r.Invite.ID]; ok && r.State == tasks.Pending {
			o.Delivered(r.Invite.Lane, max(0, r.SentAt.Sub(since)))
		}
	}
}

func (o *Observer) swept(given int) {
	if o.Swept != nil && given > 0 {
		o.Swept(given)
	}
}

func (o *Observer) reconciled(r reconcile.Report) {
	if o.Reconciled != nil {
		o.Reconciled(r)
	}
}
