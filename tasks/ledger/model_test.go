package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// world plays random operations on a ledger, and remembers what must be true
// afterwards.
type world struct {
	t       *testing.T
	r       *rand.Rand
	l       *Ledger
	now     time.Time
	ids     []string
	rows    int
	flying  []Turn
	late    []Turn                 // of workers that were thought to be dead
	settled map[string]tasks.State // by an outcome that nothing may take back
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// somebody draws from few addresses, so that many invites are for one.
func (w *world) somebody(importID string) tasks.Invite {
	i := invite(w.t, fmt.Sprintf("P%d@example.com", w.r.IntN(60)))
	w.rows++
	i.ID = fmt.Sprintf("i%d", w.rows)
	i.ImportID = importID
	if importID != "" {
		i.Lane = tasks.Import
	}
	switch w.r.IntN(8) {
	case 0:
		i.NotBefore = w.now.Add(time.Duration(w.r.IntN(7200)) * time.Second)
	case 1:
		i.Deadline = w.now.Add(time.Duration(w.r.IntN(7200)) * time.Second)
	}
	return i
}

func (w *world) admit() {
	importID := []string{"", "", "spring", "autumn"}[w.r.IntN(4)]
	some := make([]tasks.Invite, 1+w.r.IntN(20))
	for n := range some {
		some[n] = w.somebody(importID)
	}
	for range 2 { // The second time changes nothing.
		_, _, err := w.l.Admit(w.t.Context(), w.now, some)
		w.must(err)
	}
	for _, i := range some {
		w.ids = append(w.ids, i.ID)
	}
}

func (w *world) turn() {
	id := tasks.NewID("turn")
	t, err := w.l.Turn(w.t.Context(), w.now, id)
	w.must(err)
	again, err := w.l.Turn(w.t.Context(), w.now, id)
	w.must(err)
	if len(t.Batch) == 0 {
		if w.r.IntN(3) == 0 && t.Wake.After(w.now) {
			w.now = t.Wake
		}
		return
	}
	people := map[string]bool{}
	for i, r := range t.Batch {
		if people[r.address] {
			w.t.Fatal("one address twice in a batch")
		}
		people[r.address] = true
		if r.Invite.NotBefore.After(w.now) || !r.Invite.Deadline.IsZero() && r.Invite.Deadline.Before(w.now) {
			w.t.Fatalf("%s was sent at the wrong time", r.Invite.ID)
		}
		if again.Batch[i].Invite.ID != r.Invite.ID {
			w.t.Fatal("the same turn, asked twice, claims twice")
		}
	}
	if r := t.Batch[0]; t.Endpoint == Bulk && w.r.IntN(4) == 0 && len(t.Batch) > 1 {
		// Screening empties a place, and it is filled.
		w.settle(Turn{ID: t.ID, Batch: t.Batch[:1]}, KeepToken, Settlement{To: tasks.Rejected, Reason: "existing_user"})
		w.settled[r.Invite.ID] = tasks.Rejected
		t.Batch = slices.Clone(t.Batch[1:])
		more, err := w.l.TopUp(w.t.Context(), w.now, t, 1)
		w.must(err)
		t.Batch = append(t.Batch, more...)
	}
	w.flying = append(w.flying, t)
}

func (w *world) settle(t Turn, token Token, s Settlement) []Record {
	var all []Settlement
	for _, r := range t.Batch {
		s.ID, s.Turn = r.Invite.ID, r.Turn
		if s.To == tasks.Pending {
			s.InvitationID = "inv_" + s.ID
		}
		all = append(all, s)
	}
	got, err := w.l.SettleTurn(w.t.Context(), w.now, t, Ending{Token: token, Members: all})
	w.must(err)
	return got
}

func (w *world) answer() {
	if len(w.flying) == 0 {
		return
	}
	n := w.r.IntN(len(w.flying))
	t := w.flying[n]
	w.flying = slices.Delete(w.flying, n, n+1)
	var got []Record
	switch w.r.IntN(8) {
	case 0:
		got = w.settle(t, RefundToken, Settlement{To: tasks.Queued, Reason: "not_sent"})
	case 1:
		got = w.settle(t, StampToken, Settlement{To: tasks.Queued, Reason: tasks.ReasonClerkBusy, Charge: ChargeOne, At: w.now.Add(time.Minute)})
	case 2:
		got = w.settle(t, StampToken, Settlement{To: tasks.Queued, Reason: tasks.ReasonBulkRefused, Solo: true})
	case 3:
		got = w.settle(t, KeepToken, Settlement{To: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, Charge: ChargeHeld, At: w.now.Add(2 * time.Second)})
	case 4:
		w.late = append(w.late, t)
		return
	default:
		got = w.settle(t, StampToken, Settlement{To: tasks.Pending})
		for _, r := range got {
			w.settled[r.Invite.ID] = tasks.Pending
		}
	}
	if again := w.settle(t, StampToken, Settlement{To: tasks.Failed, Reason: tasks.ReasonAttempts}); len(got) > 0 {
		for _, r := range again {
			if r.State == tasks.Failed && !slices.ContainsFunc(got, func(g Record) bool { return g.Invite.ID == r.Invite.ID && g.State == tasks.Unknown }) {
				w.t.Fatalf("%s was settled twice", r.Invite.ID)
			}
		}
	}
}

// wakeTheDead lets a worker settle long after its claim has run out. It counts
// only for those whom nobody else has settled or claimed.
func (w *world) wakeTheDead() {
	for _, t := range w.late {
		for _, r := range w.settle(t, StampToken, Settlement{To: tasks.Pending}) {
			if r.Turn != t.ID {
				w.t.Fatalf("%s was settled by a turn that did not hold it", r.Invite.ID)
			}
			w.settled[r.Invite.ID] = tasks.Pending
		}
	}
	w.late = nil
}

func (w *world) readUnknowns() {
	due, err := w.l.DueUnknown(w.t.Context(), w.now, time.Minute, 5)
	w.must(err)
	for _, r := range due {
		if r.State != tasks.Unknown {
			w.t.Fatalf("%s is handed out to be read, but it is %s", r.Invite.ID, r.State)
		}
		s := Settlement{ID: r.Invite.ID, Turn: r.Turn}
		if w.r.IntN(2) == 0 {
			s.To, s.Reason, s.Charge = tasks.Queued, tasks.ReasonNotAtClerk, ChargeRelease
		} else {
			s.To, s.Reason, s.InvitationID = tasks.Pending, tasks.ReasonAlreadyAtClerk, "inv_"+s.ID
			w.settled[r.Invite.ID] = tasks.Pending
		}
		_, err := w.l.Settle(w.t.Context(), w.now, s)
		w.must(err)
	}
}

func (w *world) cancel() {
	if len(w.ids) == 0 {
		return
	}
	id := w.ids[w.r.IntN(len(w.ids))]
	before, err := w.l.Get(w.t.Context(), id)
	w.must(err)
	after, err := w.l.Cancel(w.t.Context(), w.now, id)
	w.must(err)
	switch s := before[0].State; s {
	case tasks.Queued, tasks.Parked, tasks.Failed:
		if !before[0].Doubt {
			if after.State != tasks.Canceled {
				w.t.Fatalf("canceled while %s: got %s", s, after.State)
			}
			return
		}
		// A read comes first, at once or as soon as the address is free.
		if after.State != tasks.Unknown && after.State != s || !after.RevokeWanted {
			w.t.Fatalf("canceled while %s and in doubt: got %s, wanted %t", s, after.State, after.RevokeWanted)
		}
		if _, busy := w.busy()[after.address]; after.State == s && !busy {
			w.t.Fatalf("canceled while %s and in doubt: nothing is under way for its address", s)
		}
	case tasks.Sending, tasks.Unknown, tasks.Pending:
		if after.State != s || !after.RevokeWanted {
			w.t.Fatalf("canceled while %s: got %s, wanted %v", s, after.State, after.RevokeWanted)
		}
	default:
		if after.State != s || after.RevokeWanted {
			w.t.Fatalf("canceled while %s: got %s", s, after.State)
		}
	}
}

// busy returns the addresses for which something is under way.
func (w *world) busy() map[string]string {
	m, err := w.l.rdb.HGetAll(w.t.Context(), w.l.keys.of("busy")).Result()
	w.must(err)
	return m
}

func (w *world) change() {
	if len(w.ids) == 0 {
		return
	}
	id := w.ids[w.r.IntN(len(w.ids))]
	if w.r.IntN(2) == 0 {
		back, err := w.l.Requeue(w.t.Context(), w.now, tasks.ReasonQueuedByHand, []tasks.State{tasks.Rejected, tasks.Failed, tasks.Parked, tasks.Revoked}, id)
		w.must(err)
		if back[0] {
			delete(w.settled, id)
		}
		return
	}
	to := []tasks.State{tasks.Accepted, tasks.Expired, tasks.Revoked}[w.r.IntN(3)]
	moved, err := w.l.Observe(w.t.Context(), w.now, Observation{ID: id, From: tasks.Pending, To: to, Reason: tasks.ReasonSeenAtClerk})
	w.must(err)
	if moved[0] {
		w.settled[id] = to
	}
}

// After any sequence of operations every index agrees with the records, and no
// outcome has been taken back.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(9) {
		w := &world{t: t, r: rand.New(rand.NewPCG(seed, 6)), now: start, settled: map[string]tasks.State{}}
		w.l = open(t, Config{Limits: []Limits{ClerkLimits, {Single: Limit{5, time.Minute}, Bulk: Limit{3, time.Minute}}, {}}[seed%3], Bulk: 1 + int(seed%10), Reserve: AutoReserve})
		for step := range 300 {
			switch w.r.IntN(16) {
			case 0, 1, 2:
				w.admit()
			case 3, 4, 5, 6, 7:
				w.turn()
			case 8, 9, 10:
				w.answer()
			case 11:
				w.readUnknowns()
			case 12:
				w.cancel()
			case 13:
				w.change()
				if w.r.IntN(4) == 0 {
					w.wakeTheDead()
				}
			case 14:
				lane := tasks.Lanes[w.r.IntN(2)]
				w.must(w.l.Pause(t.Context(), w.now, lane))
				tn, err := w.l.Turn(t.Context(), w.now, tasks.NewID("turn"))
				w.must(err)
				for _, r := range tn.Batch {
					if r.Invite.Lane == lane {
						t.Fatal("an invite of a paused lane was claimed")
					}
				}
				if len(tn.Batch) > 0 {
					w.flying = append(w.flying, tn)
				}
				w.must(w.l.Resume(t.Context(), lane))
			default:
				w.now = w.now.Add(time.Duration(w.r.ExpFloat64() * float64([]time.Duration{time.Second, 20 * time.Second, 10 * time.Minute}[w.r.IntN(3)])))
			}
			if step%30 == 29 {
				records := audit(t, w.l)
				for id, want := range w.settled {
					if got := records[id].State; got != want {
						t.Errorf("%s was %s and is %s", id, want, got)
					}
				}
				if t.Failed() {
					t.Fatalf("seed %d, step %d", seed, step)
				}
			}
		}
	}
}
