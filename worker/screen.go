package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
	"github.com/inviteq/inviteq/worker/verdict"
)

const screensAtOnce = 16 // reads of single addresses

// recall looks for those members whom an earlier call may have invited after all,
// or a call that the ledger has forgotten, just before they go. Those who are found
// are settled; those who cannot be looked for wait, uncharged.
func (d *delivery) recall(ctx context.Context, t ledger.Turn) []ledger.Record {
	facts := d.reads.facts()
	var doubtful, sure []ledger.Record
	for _, r := range t.Batch {
		if r.Doubt || ownership.MayBeForgotten(r, facts) {
			doubtful = append(doubtful, r)
		} else {
			sure = append(sure, r)
		}
	}
	if len(doubtful) == 0 {
		return t.Batch
	}
	shown, facts, failed := d.reads.look(ctx, doubtful) // An error leaves them out.
	again := facts.Now.Add(readAgain)
	if s, waits := errors.AsType[*snooze](failed); waits {
		again = facts.Now.Add(max(time.Until(s.until), time.Second))
	}
	var gone verdict.Verdict
	for _, r := range doubtful {
		s, read := shown[r.Invite.ID]
		if !read {
			w := verdict.Settled(r, tasks.Queued, tasks.ReasonNotSent, "")
			w.At = again
			gone.Members = append(gone.Members, w)
			continue
		}
		settled, stays := verdict.Recall(r, s, facts)
		if stays {
			sure = append(sure, r)
		} else {
			gone.Members = append(gone.Members, settled)
		}
	}
	if len(gone.Members) > 0 {
		d.settle(t, gone)
	}
	return sure
}

// screen looks for members that Clerk would refuse, because one of them sinks a
// whole bulk call: a token for reads that cost next to nothing. Those who are ruled
// out are settled, and the places are filled from the queue under the same token.
// A lone interactive invite is held up by it only if the ledger knows an open
// invitation for the person: Clerk would refuse the call and count it.
//
// Reads only ever rule out. If they cannot be made, the batch goes as it is.
func (d *delivery) screen(ctx context.Context, t ledger.Turn) []ledger.Record {
	if len(t.Batch) == 0 {
		return t.Batch
	}
	if alone := len(t.Batch) == 1 && t.Batch[0].Invite.Lane == tasks.Interactive; alone {
		if !d.invited(ctx, t.Batch[0]) {
			return t.Batch
		}
	} else if !d.screens {
		return t.Batch
	}
	ofImport := t.Endpoint == ledger.Bulk && t.Batch[len(t.Batch)-1].Invite.Lane == tasks.Import // rows board last
	batch, fresh := []ledger.Record(nil), t.Batch
	for round := range 3 {
		out, unread := d.ahead.known(ctx, fresh)
		read, err := d.ruledOut(ctx, unread)
		if err != nil {
			return append(batch, fresh...)
		}
		maps.Copy(out, read)
		if ofImport && round == 0 {
			d.ahead.look(ctx, d) // Clerk answers, and the call comes next.
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
		records, err := d.ledger.SettleTurn(ctx, ledger.Now, t, ledger.Ending{Members: gone})
		if err != nil {
			return batch // The claims of those who are out run out; a read settles them.
		}
		d.outcomes.tell(records)
		d.doubtful()
		if t.Endpoint != ledger.Bulk {
			return batch
		}
		// The new ones are screened in their turn, three rounds at the most.
		t.Batch = batch
		if fresh, err = d.ledger.TopUp(ctx, ledger.Now, t, d.ledger.Config().Bulk-len(batch)); err != nil || len(fresh) == 0 {
			return batch
		}
		fresh = d.recall(ctx, ledger.Turn{ID: t.ID, Endpoint: t.Endpoint, Deadline: t.Deadline, Batch: fresh})
	}
	return append(batch, fresh...)
}

// invited reports whether the ledger knows an open invitation for the person. It may
// have been revoked at Clerk a minute ago, so this alone decides nothing.
func (d *delivery) invited(ctx context.Context, r ledger.Record) bool {
	if r.Invite.IgnoreExisting {
		return false
	}
	others, err := d.ledger.FindAddress(ctx, r.Invite.EmailAddress)
	return err == nil && slices.ContainsFunc(others, func(o ledger.Record) bool { return o.State == tasks.Pending })
}

// isolate finds out who is to blame for a refused bulk when Clerk does not say.
// Those the reads find are settled; the others go again, and if nobody is found,
// one by one.
func (d *delivery) isolate(ctx context.Context, v verdict.Verdict) verdict.Verdict {
	out, err := d.ruledOut(ctx, v.Suspect)
	found := err == nil && len(out) > 0
	if !found {
		v.Bulk = ledger.BulkRefused
	}
	for _, r := range v.Suspect {
		s, ok := out[r.Invite.ID]
		if !ok {
			s = verdict.Innocent(d.ledger.Time(), r)
			s.Solo = s.Solo || !found
		}
		s.Call = ledger.EndedCall // It may be the invitation of this very call that was found.
		v.Members = append(v.Members, s)
	}
	return v
}

// ruledOut reads who of the batch Clerk would refuse: people who are users
// already, and people who have a pending invitation. Those who asked for
// ignore_existing are left to Clerk.
func (d *delivery) ruledOut(ctx context.Context, batch []ledger.Record) (map[string]ledger.Settlement, error) {
	now := d.ledger.Time()
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
	if err := d.reads.spend(ctx); err != nil {
		return nil, err
	}
	users, err := d.clerk.UsersByEmail(ctx, addresses)
	if err != nil {
		return nil, err
	}
	out := map[string]ledger.Settlement{}
	unread := asked[:0]
	for _, r := range asked {
		if users.Has(r.Invite.EmailAddress.Raw()) {
			out[r.Invite.ID] = verdict.Refusal(now, r, clerk.KindExists, "", d.policy)
		} else {
			unread = append(unread, r)
		}
	}
	var mu sync.Mutex
	together(screensAtOnce, unread, func(r ledger.Record) {
		shown, err := d.reads.about(ctx, r.Invite.EmailAddress)
		if err == nil && slices.ContainsFunc(shown, verdict.IsPending) {
			mu.Lock()
			defer mu.Unlock()
			out[r.Invite.ID] = verdict.Refusal(now, r, clerk.KindDuplicate, "", d.policy)
		}
	})
	return out, nil
}
