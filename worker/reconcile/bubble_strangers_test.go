package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// foreign makes an invitation that the ledger does not know.
func (w *world) foreign(address string) clerksim.Invitation {
	w.Helper()
	inv, err := w.sim.CreateForeign(address)
	if err != nil {
		w.Fatal(err)
	}
	return inv
}

// An answer that a worker is just about to write down, or that a later attempt
// will look for, is nobody else's: it is neither foreign nor adopted.
func TestAnswerUnderWayIsNotForeign(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		w.foreign("before@example.com")
		time.Sleep(time.Hour)
		now := time.Now()
		_, before := w.claim("before@example.com", now) // sent long after that invitation was made
		_, sending := w.claim("sending@example.com", now)
		_, again := w.claim("again@example.com", now)
		w.settle(now, again, ledger.Settlement{To: tasks.Queued, Reason: tasks.ReasonNoClearAnswer, At: now.Add(time.Hour), Call: ledger.LostCall})
		w.foreign("sending@example.com")
		w.foreign("again@example.com")
		got := w.run(Pass{Full: true, Adopt: true})
		if got.Lagging != 2 || got.Foreign != 1 || got.Adopted != 1 {
			t.Errorf("got %+v", got)
		}
		for _, turn := range []ledger.Turn{sending, before} {
			if s := w.state(turn.Batch[0].Invite.ID); s != tasks.Sending {
				t.Errorf("a call that is under way has become %s", s)
			}
		}
	})
}

// What was queued again by hand because it was missing, and has another invitation since,
// is not moved by what becomes of the first one when it turns up.
func TestMissingOneThatTurnsUp(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		time.Sleep(time.Hour)
		first := w.foreign("p@example.com")
		id := w.record("p@example.com", first.ID, time.Now())
		time.Sleep(time.Minute)
		w.foreign("other@example.com")
		hide := &hiding{Lister: w.clerk, id: first.ID, until: time.Now().Add(time.Hour)}
		got, err := (&Pass{Ledger: w.ledger, Clerk: hide, Full: true}).Run(t.Context())
		if err != nil || got.Missing != 1 || w.state(id) != tasks.Pending {
			t.Fatalf("got %+v, %v", got, err)
		}
		if again, err := w.ledger.Requeue(t.Context(), time.Now(), tasks.ReasonQueuedByHand, []tasks.State{tasks.Pending}, id); err != nil || !again[0] {
			t.Fatalf("queued again: %v, %v", again, err)
		}
		turn, err := w.ledger.Turn(t.Context(), time.Now(), "again")
		if err != nil || len(turn.Batch) != 1 {
			t.Fatalf("got %+v, %v", turn, err)
		}
		second := w.foreign("p@example.com")
		w.settle(time.Now(), turn, ledger.Settlement{To: tasks.Pending, InvitationID: second.ID})
		if err := w.sim.RevokeInDashboard(first.ID); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := w.run(Pass{Full: true}); got.Foreign+got.Lagging != 2 || got.Same != 1 || w.state(id) != tasks.Pending {
				t.Errorf("got %+v; it is %s", got, w.state(id))
			}
			// The second time as if the worker had died before it could forget whose the first one was.
			if err := w.ledger.Redis().HSet(t.Context(), "inviteq:{bubble}:inv", first.ID, id).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What was settled before the ledger's memory begins is not called foreign, nor
// adopted, by any later pass: also one by hand, which is not told how long that is.
func TestForgottenIsNotForeign(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		ids := w.deliver(3)
		for _, inv := range []error{w.sim.Accept("p0@example.com"), w.sim.RevokeInDashboard("p1@example.com")} {
			if inv != nil {
				t.Fatal(inv)
			}
		}
		w.run(Pass{Full: true})
		time.Sleep(40 * 24 * time.Hour) // p2 has expired
		const retention = 30 * 24 * time.Hour
		trim := func(want int) {
			t.Helper()
			if n, err := w.ledger.Trim(t.Context(), time.Now().Add(-retention), time.Hour, 100); n != want || err != nil {
				t.Errorf("trimmed %d, want %d, %v", n, want, err)
			}
		}
		first := w.run(Pass{Full: true, Retention: retention})
		if first.Settled["pending→expired"] != 1 {
			t.Errorf("got %+v", first)
		}
		trim(2)
		w.foreign("theirs@example.com")
		for range 2 {
			got := w.run(Pass{Full: true, Adopt: true})
			if got.Forgotten != 2 || got.Foreign+got.Same != 2 || got.Retention != retention {
				t.Errorf("got %+v", got)
			}
		}
		time.Sleep(31 * 24 * time.Hour) // and theirs has, too
		w.run(Pass{Full: true, Retention: retention})
		trim(1)
		if left, err := w.ledger.Get(t.Context(), ids...); len(left) != 0 || err != nil {
			t.Errorf("%d are left, %v", len(left), err)
		}
		if got := w.run(Pass{Full: true}); got.Forgotten != 3 || got.Foreign != 0 || got.Same != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

// The ledger hears at once of an invitation of ours that a pass has revoked as an
// extra one, though a recent pass does not look at it again.
func TestRevokedExtraIsWrittenDown(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		ids := w.deliver(2)
		time.Sleep(time.Second)
		w.foreign("p1@example.com")
		got := w.run(Pass{RevokeExtra: true})
		if got.Doubled != 1 || got.Revoked != 1 || w.state(ids[1]) != tasks.Revoked || w.state(ids[0]) != tasks.Pending {
			t.Errorf("got %+v; it is %s", got, w.state(ids[1]))
		}
		if diff := cmp.Diff(map[string]int{"pending→revoked": 1}, got.Settled); diff != "" {
			t.Error(diff)
		}
		// So it does of one that the same pass has just recorded.
		time.Sleep(time.Second)
		w.foreign("new@example.com")
		time.Sleep(time.Second)
		w.foreign("new@example.com")
		got = w.run(Pass{RevokeExtra: true, Adopt: true})
		records, err := w.ledger.FindAddress(t.Context(), email(t, "new@example.com"))
		if err != nil || len(records) != 2 || got.Adopted != 3 || got.Revoked != 1 {
			t.Fatalf("got %+v and %d records, %v", got, len(records), err)
		}
		states := map[tasks.State]int{records[0].State: 1}
		states[records[1].State]++
		if diff := cmp.Diff(map[tasks.State]int{tasks.Pending: 1, tasks.Revoked: 1}, states); diff != "" {
			t.Error(diff)
		}
	})
}

// A list that lags shows nothing newer than its newest, and is believed only as
// far as that, whatever the lag; at an hour it is believed in any case.
func TestListIsBelievedAsFarAsItGoes(t *testing.T) {
	for name, c := range map[string]struct {
		age     time.Duration // of an invitation that Clerk does not have
		newest  time.Duration // of the newest that it has; 0: it has none
		missing int
	}{
		"older than the newest":         {10 * time.Minute, 5 * time.Minute, 1},
		"newer than the newest":         {10 * time.Minute, 20 * time.Minute, 0},
		"as old, as clocks go":          {10*time.Minute + 20*time.Second, 10 * time.Minute, 0},
		"newer, but an hour old":        {61 * time.Minute, 90 * time.Minute, 1},
		"nothing there, and new":        {10 * time.Minute, 0, 0},
		"nothing there, and an hour":    {61 * time.Minute, 0, 1},
		"nothing there, nearly an hour": {60 * time.Minute, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, clerksim.Config{}, func(w *world) {
				end := time.Now().Add(2 * time.Hour)
				if c.newest > 0 {
					time.Sleep(time.Until(end.Add(-c.newest)))
					w.foreign("newest@example.com")
				}
				time.Sleep(time.Until(end))
				w.record("ghost@example.com", "inv_ghost", end.Add(-c.age))
				if got := w.run(Pass{Full: true}); got.Missing != c.missing || !got.Agreed {
					w.Errorf("got %+v", got)
				}
			})
		})
	}
}

// A key of another instance makes everything missing: a pass looks for a part of
// it, says how much there is beyond, and comes to an end.
func TestTooManyAreMissing(t *testing.T) {
	bubble(t, clerksim.Config{Limits: clerksim.Limits{Other: clerksim.Unlimited}}, func(w *world) {
		t := w.T
		ctx, then := t.Context(), time.Now()
		var all []ledger.Stranger
		for n := range mostLooked + 30 {
			all = append(all, ledger.Stranger{
				Invite:       tasks.Invite{ID: fmt.Sprintf("id-%d", n), EmailAddress: email(t, fmt.Sprintf("p%d@example.com", n))},
				InvitationID: fmt.Sprintf("inv_%d", n), State: tasks.Pending, CreatedAt: then,
			})
		}
		if n, err := w.ledger.Adopt(ctx, then, all...); n != len(all) || err != nil {
			t.Fatalf("made %d, %v", n, err)
		}
		time.Sleep(2 * time.Hour)
		got := w.run(Pass{Full: true})
		if got.Missing != mostLooked || got.Unconfirmed != 30 || len(got.MissingIDs) != idsKept || got.Reads != 2+2*mostLooked {
			t.Errorf("got %d missing, %d unconfirmed, %d ids, %d reads", got.Missing, got.Unconfirmed, len(got.MissingIDs), got.Reads)
		}
	})
}
