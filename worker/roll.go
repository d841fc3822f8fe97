package worker

import (
	"context"
	"hash/maphash"
	"math"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
	"github.com/inviteq/inviteq/worker/verdict"
)

const (
	rollBack  = ownership.MaxOffset + watchLag // before the gap: as far as clocks may differ
	rollShare = 0.9                            // of the overall limit: more than those reads take that can as well be left out
	rollRests = 10                             // times as long as the last reading took, before the next one; watchLag at the most
	rollStale = time.Minute                    // a reading that stood still for so long begins again
)

// roll is who has been invited at Clerk, by whomever, since the ledger forgot
// something. Who is not on it was invited by no call that has been forgotten, and needs
// no read of their own: after an epoch that is nearly everybody who waits. It is kept
// in memory, some twenty bytes for an invitation, and only its newest part is read
// again, until nothing that was forgotten can arrive any more.
type roll struct {
	reads *reads
	busy  chan struct{} // held by whoever reads, or looks

	on   map[uint64]struct{} // hashes of addresses, and of the ids that invitations carry
	seed maphash.Seed
	from time.Time // everything that was made since then is on it …
	upTo time.Time // … as far as a list showed it then; both by the ledger's clock
	took time.Duration

	whole, news walk
}

// walk is a reading of the list, the newest invitations first, that may stand still.
type walk struct {
	began, last time.Time
	goal        time.Time // how far back it goes
	offset      int
}

func newRoll(r *reads) *roll {
	return &roll{reads: r, busy: make(chan struct{}, 1), on: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
}

// lacks returns the ids of those whom nobody has invited since a call of theirs may
// have been forgotten. It says so of none while the roll does not reach back so far,
// or Clerk's list cannot be read as a whole. The error says that ctx has ended.
func (r *roll) lacks(ctx context.Context, records []ledger.Record, f ownership.Facts) (map[string]bool, error) {
	if len(records) == 0 {
		return nil, nil
	}
	select {
	case r.busy <- struct{}{}:
		defer func() { <-r.busy }()
	case <-ctx.Done():
		return nil, &snooze{time.Now().Add(minSnooze), "others read Clerk's list"}
	}
	since, needs := r.needs(records, f)
	for r.from.IsZero() || since.Before(r.from) || r.upTo.Before(needs) {
		done, err := r.read(ctx, since, f)
		if ctx.Err() != nil {
			return nil, &snooze{time.Now().Add(minSnooze), "Clerk's list is long"} // The next one reads on.
		}
		if err != nil || !done {
			return nil, nil
		}
	}
	absent := map[string]bool{}
	for _, rec := range records {
		if !r.has(rec.Invite.EmailAddress.Key()) && !r.has(rec.Invite.ID) {
			absent[rec.Invite.ID] = true
		}
	}
	return absent, nil
}

// needs returns from when on the roll must have everything, and how late it must have
// been read.
func (r *roll) needs(records []ledger.Record, f ownership.Facts) (since, upTo time.Time) {
	rested := f.Now.Add(-min(max(time.Second, rollRests*r.took), watchLag))
	for _, rec := range records {
		if s := ownership.ForgottenSince(rec, f); since.IsZero() || s.Before(since) {
			since = s
		}
		needs := latest(rested, ownership.ForgottenAt(rec, f))
		if wire := verdict.OnTheWire(rec, f); !f.Now.Before(wire) {
			needs = latest(needs, wire) // Nothing but this reading prevents a second mail.
		}
		if over := ownership.ForgottenUntil(rec, f).Add(watchLag); over.Before(needs) {
			needs = over
		}
		upTo = latest(upTo, needs)
	}
	return since.Add(-rollBack), upTo
}

// read reads the list on: what is new, or, if the roll does not reach back far enough,
// some pages of all of it. done says that it has come to its end.
func (r *roll) read(ctx context.Context, since time.Time, f ownership.Facts) (done bool, _ error) {
	w, goal, most := &r.news, r.upTo.Add(-watchLag-f.Clock.Uncertainty), math.MaxInt
	if r.from.IsZero() || since.Before(r.from) {
		w, goal, most = &r.whole, since, recoverPages
	}
	now := r.reads.ledger.Time()
	if w.began.IsZero() || goal.Before(w.goal) || now.Sub(w.last) > rollStale {
		*w = walk{began: now, goal: goal}
	}
	for range most {
		if err := r.reads.ledger.AwaitShare(ctx, rollShare); err != nil {
			return false, err
		}
		page, err := r.reads.newest(ctx, "", w.offset)
		if err != nil {
			return false, err
		}
		for _, inv := range r.reads.named(page) {
			r.add(inv.key)
			r.add(inv.mark)
		}
		w.offset += listAtOnce - listShift
		w.last = r.reads.ledger.Time()
		if len(page) == listAtOnce && !f.Clock.LedgerTime(page[len(page)-1].CreatedAt).Before(w.goal) {
			continue
		}
		if w == &r.whole {
			r.from = w.goal
		}
		r.upTo, r.took = latest(r.upTo, w.began), w.last.Sub(w.began)
		*w = walk{}
		return true, nil
	}
	return false, nil
}

func (r *roll) add(what string) {
	if what != "" {
		r.on[maphash.String(r.seed, what)] = struct{}{}
	}
}

func (r *roll) has(what string) bool {
	_, on := r.on[maphash.String(r.seed, what)]
	return on
}
