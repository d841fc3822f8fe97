package worker

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// With ignore_existing the second reading comes when nothing can arrive any more: the
// latest call is found by it, and can be taken back.
func TestLatestCallIsFoundBeforeItIsParked(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.mustStart()
		i := person(1)
		i.IgnoreExisting = true
		w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Delay: ledger.ArrivalBound}, 1)
		id := w.give(i)[0]
		time.Sleep(20 * time.Minute)
		if r := w.records(id)[0]; r.State != tasks.Pending || r.Reason != tasks.ReasonAlreadyAtClerk {
			t.Fatalf("it is %s (%s), want pending", r.State, r.Reason)
		}
		if _, err := w.producer.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r := w.records(id)[0]
		if all := w.sim.ByAddress("person1@example.com"); r.State != tasks.Revoked || len(all) != 1 || all[0].Status != clerksim.StatusRevoked {
			t.Errorf("it is %s (%s), and at Clerk %+v", r.State, r.Reason, all)
		}
	})
}

// A call arrives when everybody has given it up: its invite was taken back, or has
// used up its attempts. The next pass finds what it made, and ends it if it is
// unwanted.
func TestCallThatArrivesLate(t *testing.T) {
	for _, c := range []struct {
		name   string
		revoke bool
		before tasks.State
		after  tasks.State
	}{
		{"taken back", true, tasks.Canceled, tasks.Revoked},
		{"out of attempts", false, tasks.Failed, tasks.Pending},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, clerksim.Config{}, func(t *testing.T, w *world) {
				w.tempo.deaf = false
				w.change = append(w.change, func(c *Config) { c.MaxAttempts = 1 })
				w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Delay: 2 * time.Minute}, 1)
				w.mustStart()
				id := w.give(person(1))[0]
				time.Sleep(3 * time.Second)
				if c.revoke {
					if _, err := w.producer.Revoke(t.Context(), id); err != nil {
						t.Fatal(err)
					}
				}
				if r := w.settle(time.Minute, id)[0]; r.State != c.before {
					t.Fatalf("it is %s (%s), want %s", r.State, r.Reason, c.before)
				}
				time.Sleep(15 * time.Minute)
				r := w.records(id)[0]
				all := w.sim.ByAddress("person1@example.com")
				if r.State != c.after || r.RevokeWanted || len(all) != 1 || all[0].ID != r.InvitationID || string(all[0].Status) != c.after.String() {
					t.Errorf("it is %s (%s), and at Clerk %+v", r.State, r.Reason, all)
				}
			})
		})
	}
}

// Somebody else invites a person whose invite was taken back in doubt: that
// invitation is theirs, and stays.
func TestInvitationAfterACanceledOneIsLeftAlone(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropBefore}, 1)
		w.mustStart()
		id := w.give(person(1))[0]
		time.Sleep(time.Second)
		if _, err := w.producer.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if r := w.settle(time.Minute, id)[0]; r.State != tasks.Canceled || !r.Doubt {
			t.Fatalf("it is %s (%s), in doubt %t, want canceled in doubt", r.State, r.Reason, r.Doubt)
		}
		time.Sleep(20 * time.Minute)
		theirs, err := w.sim.CreateForeign("person1@example.com")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		all := w.sim.ByAddress("person1@example.com")
		if r := w.records(id)[0]; r.State != tasks.Canceled || len(all) != 1 || all[0].ID != theirs.ID || all[0].Status != clerksim.StatusPending {
			t.Errorf("it is %s (%s), and at Clerk %+v", r.State, r.Reason, all)
		}
	})
}

// TestWatchLeavesTheNextInviteAlone: an invite was taken back in doubt, and the next
// one for the address, with the same content, has invited: its answer was lost. When
// the watch for the first one reads just then, the invitation is not taken for late.
func TestWatchLeavesTheNextInviteAlone(t *testing.T) {
	for offset := time.Duration(0); offset < 30*time.Second; offset += 3 * time.Second {
		play(t, clerksim.Config{}, func(t *testing.T, w *world) {
			w.tempo.deaf = false
			w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropBefore}, 1)
			w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropAfter, Delay: 8 * time.Second}, 1)
			w.mustStart()
			first := w.give(person(1))[0]
			time.Sleep(time.Second)
			if _, err := w.producer.Revoke(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if r := w.settle(time.Minute, first)[0]; r.State != tasks.Canceled || !r.Doubt {
				t.Fatalf("the first is %s (%s), in doubt %t", r.State, r.Reason, r.Doubt)
			}
			time.Sleep(20*time.Second + offset)
			second := w.give(person(1))[0]
			w.settle(5*time.Minute, second)
			time.Sleep(20 * time.Minute)
			r := w.records(second)[0]
			all := w.sim.ByAddress("person1@example.com")
			if r.State != tasks.Pending || len(all) != 1 || all[0].ID != r.InvitationID || all[0].Status != clerksim.StatusPending {
				t.Errorf("%s later, the second is %s (%s), and at Clerk %+v", offset, r.State, r.Reason, all)
			}
		})
	}
}

// TestRevokeMeansWhatStoodABreathBefore: somebody else invites a person, and within
// a few milliseconds everything for the address is to be revoked. Clerk's clock is
// known to a fraction of a second only; the wish means that invitation all the same,
// and not the next one.
func TestRevokeMeansWhatStoodABreathBefore(t *testing.T) {
	for phase := time.Duration(0); phase < time.Second; phase += 90 * time.Millisecond {
		play(t, clerksim.Config{Latency: clerksim.Latency{Median: 2 * time.Millisecond, P999: 3 * time.Millisecond}}, func(t *testing.T, w *world) {
			w.tempo.deaf = false
			time.Sleep(phase)
			w.mustStart()
			time.Sleep(time.Second)
			before, err := w.sim.CreateForeign("person1@example.com")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Millisecond)
			if _, err := w.producer.Revoke(t.Context(), "person1@example.com"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			after, err := w.sim.CreateForeignFrom(`{"email_address":"person1@example.com","ignore_existing":true}`)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			for _, inv := range w.sim.ByAddress("person1@example.com") {
				want := map[string]clerksim.Status{before.ID: clerksim.StatusRevoked, after.ID: clerksim.StatusPending}[inv.ID]
				if inv.Status != want {
					t.Errorf("%s into a second, %s is %s, want %s", phase, inv.ID, inv.Status, want)
				}
			}
		})
	}
}
