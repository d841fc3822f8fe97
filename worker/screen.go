package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// screen looks for members that Clerk would refuse, because one of them sinks a
// whole bulk call: a token for reads that cost next to nothing. Whoever is ruled
// out is settled, and the places are filled from the queue under the same token.
// A lone interactive invite is not held up by it.
//
// Reads only ever rule out. If they cannot be made, the batch goes as it is.
func (w *Worker) screen(ctx context.Context, t ledger.Turn) []ledger.Record {
	alone := len(t.Batch) == 1 && t.Batch[0].Invite.Lane == tasks.Interactive
	if w.cfg.NoScreening || alone || !w.hasQuotaLimits() {
		return t.Batch
	}
	batch, fresh := []ledger.Record(nil), t.Batch
	for range 3 {
		out, err := w.ruledOut(ctx, fresh)
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
		records, err := w.ledger.SettleTurn(ctx, time.Now(), t, ledger.Ending{Members: gone})
		if err != nil {
			return batch // The claims of those who are out run out; a read settles them.
		}
		w.outcomes.tell(records)
		w.nudgeChores()
		if t.Endpoint != ledger.Bulk {
			return batch
		}
		// The new ones are screened in their turn, three rounds at the most.
		t.Batch = batch
		if fresh, err = w.ledger.TopUp(ctx, time.Now(), t, w.cfg.Ledger.Bulk-len(batch)); err != nil || len(fresh) == 0 {
			return batch
		}
	}
	return append(batch, fresh...)
}

// hasQuotaLimits reports whether tokens are scarce at all.
func (w *Worker) hasQuotaLimits() bool {
	l := w.cfg.Ledger.Limits
	return l.Single.Calls > 0 || l.Bulk.Calls > 0
}

// isolate finds out who is to blame for a refused bulk when Clerk does not say.
// Those the reads find are settled; the others go again, and if nobody is found,
// one by one.
func (w *Worker) isolate(ctx context.Context, suspects []ledger.Record) []ledger.Settlement {
	out, err := w.ruledOut(ctx, suspects)
	found := err == nil && len(out) > 0
	var members []ledger.Settlement
	for _, r := range suspects {
		s, ok := out[r.Invite.ID]
		if !ok {
			s = innocent(time.Now(), r)
			s.Solo = s.Solo || !found
		}
		members = append(members, s)
	}
	return members
}

// ruledOut reads who of the batch Clerk would refuse: people who are users
// already, and people who have a pending invitation. Those who asked for
// ignore_existing are left to Clerk.
func (w *Worker) ruledOut(ctx context.Context, batch []ledger.Record) (map[string]ledger.Settlement, error) {
	now := time.Now()
	var addresses []string
	var asked []ledger.Record
	for _, r := range batch {
		if !r.Invite.IgnoreExisting {
			asked = append(asked, r)
			addresses = append(addresses, r.Invite.EmailAddress.Raw())
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	if err := w.spendRead(ctx); err != nil {
		return nil, err
	}
	users, err := w.clerk.UsersByEmail(ctx, addresses)
	if err != nil {
		return nil, err
	}
	out := map[string]ledger.Settlement{}
	var mu sync.Mutex
	var reads sync.WaitGroup
	for _, r := range asked {
		if users.Has(r.Invite.EmailAddress.Raw()) {
			mu.Lock()
			out[r.Invite.ID] = refusal(now, r, clerk.KindExists, "", &w.cfg)
			mu.Unlock()
			continue
		}
		reads.Go(func() {
			shown, err := w.invitationsFor(ctx, r.Invite.EmailAddress)
			if err == nil && slices.ContainsFunc(shown, isPending) {
				mu.Lock()
				out[r.Invite.ID] = refusal(now, r, clerk.KindDuplicate, "", &w.cfg)
				mu.Unlock()
			}
		})
	}
	reads.Wait()
	return out, nil
}

// recall looks for those members whom an earlier call may have invited after all,
// just before they go again. Whoever is found is settled; whoever cannot be
// looked for waits, uncharged.
func (w *Worker) recall(ctx context.Context, t ledger.Turn) []ledger.Record {
	sure := slices.DeleteFunc(slices.Clone(t.Batch), func(r ledger.Record) bool { return r.Doubt })
	if len(sure) == len(t.Batch) {
		return sure
	}
	var mu sync.Mutex
	var reads sync.WaitGroup
	var gone []ledger.Settlement
	for _, r := range t.Batch {
		if !r.Doubt {
			continue
		}
		reads.Go(func() {
			s, found, err := w.lookFor(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				s = settled(r, tasks.Queued, tasks.ReasonNotSent, "")
				s.At = time.Now().Add(lookLease)
				gone = append(gone, s)
			case found:
				gone = append(gone, s)
			default:
				sure = append(sure, r)
			}
		})
	}
	reads.Wait()
	if len(gone) > 0 {
		w.settle(t, verdict{token: ledger.KeepToken, members: gone})
	}
	return sure
}

// lookFor reads whether Clerk has the invitation of one invite.
func (w *Worker) lookFor(ctx context.Context, r ledger.Record) (ledger.Settlement, bool, error) {
	shown, err := w.invitationsFor(ctx, r.Invite.EmailAddress)
	if err != nil || len(shown) == 0 {
		return ledger.Settlement{}, false, err
	}
	owners, err := w.ledger.FindInvitations(ctx, ids(shown)...)
	if err != nil {
		return ledger.Settlement{}, false, err
	}
	s, found := find(r, shown, owners)
	return s, found, nil
}

func isPending(inv clerk.Invitation) bool { return inv.Status == clerk.Pending }

// spendRead takes a token for one read, or says that there is none to spare.
func (w *Worker) spendRead(ctx context.Context) error {
	d, err := w.ledger.Spend(ctx, time.Now())
	if err != nil {
		return err
	}
	if !d.Allowed {
		return &snooze{d.RetryAt, "the read quota is spent"}
	}
	return nil
}
