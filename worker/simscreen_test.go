package worker

import (
	"fmt"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

func TestPoisonDoesNotHarmItsNeighbours(t *testing.T) {
	for _, naming := range []clerksim.Naming{clerksim.Unnamed, clerksim.NamedFirst, clerksim.NamedAll} {
		for _, screening := range []bool{true, false} {
			for _, bad := range []int{2, 3, 9} {
				t.Run(fmt.Sprintf("%s, screening %t, %d bad", naming, screening, bad), func(t *testing.T) {
					sw := clerksim.Switches{BulkUserNaming: naming, BlockedNaming: naming}
					play(t, clerksim.Config{Switches: sw}, func(t *testing.T, w *world) { poison(t, w, screening, bad) })
				})
			}
		}
	}
}

// poison sends ten invites of whom some are refused, each for a reason of its
// own: every third a user, every third invited by somebody else, every third
// blocked.
func poison(t *testing.T, w *world, screening bool, bad int) {
	want := map[int]tasks.Reason{}
	for n := range bad {
		address := fmt.Sprintf("person%d@example.com", n)
		switch n % 3 {
		case 0:
			w.sim.AddUser(address)
			want[n] = tasks.ReasonExistingUser
		case 1:
			if _, err := w.sim.CreateForeign(address); err != nil {
				t.Fatal(err)
			}
			want[n] = tasks.ReasonAlreadyInvited
		default:
			w.sim.BlockAddress(address)
			want[n] = tasks.ReasonBlocked
		}
	}
	time.Sleep(time.Minute)
	w.change = append(w.change, func(c *Config) { c.NoScreening = !screening })
	w.mustStart()
	for n, r := range w.settle(5*time.Minute, w.give(people(0, 10)...)...) {
		state := tasks.Pending
		if want[n] != "" {
			state = tasks.Rejected
		}
		if r.State != state || r.Reason != want[n] || r.Attempts != 0 {
			t.Errorf("person %d: got %s (%s) after %d attempts, want %s (%s)", n, r.State, r.Reason, r.Attempts, state, want[n])
		}
		if mails := w.sim.Mails(r.Invite.EmailAddress.Raw()); state == tasks.Pending && mails != 1 {
			t.Errorf("person %d got %d mails", n, mails)
		}
	}
	if n := w.sim.Count(clerksim.OpBulkCreate); n > 2 {
		t.Errorf("got %d bulk calls for one batch of ten", n)
	}
}

// A bulk call is refused, and carried out in part all the same, against all that
// is documented. Before anybody knows, the dashboard has ended two of the
// invitations: only a look at all of them prevents a second mail.
func TestRefusedBulkThatTookEffect(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		t.Run(fmt.Sprintf("ignore_existing %t", ignore), func(t *testing.T) {
			sw := clerksim.Switches{BulkPartial: true, Lag: 2 * time.Second, BulkUserNaming: clerksim.Unnamed, UserBypass: clerksim.UserBypassNever}
			play(t, clerksim.Config{Switches: sw}, func(t *testing.T, w *world) {
				w.change = append(w.change, func(c *Config) { c.NoScreening = true })
				w.sim.AddUser("person3@example.com")
				invites := people(0, 10)
				for n := range invites {
					invites[n].IgnoreExisting = ignore
				}
				s := w.mustStart()
				ids := w.give(invites...)
				for w.sim.Count(clerksim.OpBulkCreate) == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				if err := w.calm.Pause(t.Context(), time.Now(), tasks.Import); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if err := w.sim.RevokeInDashboard("person5@example.com"); err != nil {
					t.Fatal(err)
				}
				if err := w.sim.Accept("person7@example.com"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				if err := w.calm.Resume(t.Context(), tasks.Import); err != nil {
					t.Fatal(err)
				}
				s.dispatcher.wake.nudge()
				for n, r := range w.settle(time.Hour, ids...) {
					want := tasks.Pending
					switch n {
					case 3:
						want = tasks.Rejected
					case 5:
						want = tasks.Revoked
					case 7:
						want = tasks.Accepted
					}
					if r.State != want {
						t.Errorf("person %d is %s (%s), want %s", n, r.State, r.Reason, want)
					}
					if mails := w.sim.Mails(r.Invite.EmailAddress.Raw()); n != 3 && mails != 1 || n == 3 && mails != 0 {
						t.Errorf("person %d got %d mails", n, mails)
					}
				}
			})
		})
	}
}

// Who is found to be a user before their turn leaves the list in it, and not when the
// claim has run out.
func TestScreenedAhead(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		list := people(0, 120)
		users := map[string]bool{}
		for n := 5; n < len(list); n += 13 {
			users[list[n].EmailAddress.Raw()] = true
			w.sim.AddUser(list[n].EmailAddress.Raw())
		}
		for n := range list {
			list[n].Lane = tasks.Import
		}
		w.mustStart()
		for _, r := range w.settle(15*time.Second, w.give(list...)...) {
			if want := users[r.Invite.EmailAddress.Raw()]; (r.State == tasks.Rejected) != want || r.Crashes > 0 {
				t.Errorf("%s is %s (%s) after %d crashes; a user: %t", r.Invite.ID, r.State, r.Reason, r.Crashes, want)
			}
		}
		if n := w.sim.CountStatus(clerksim.OpBulkCreate, 200); n != w.sim.Count(clerksim.OpBulkCreate) {
			t.Errorf("%d bulk calls, %d of them taken", w.sim.Count(clerksim.OpBulkCreate), n)
		}
	})
}

// The place of a user in a bulk call is filled with one who, as it turns out, was
// invited before Redis was emptied: that one leaves the call as well.
func TestPlaceIsFilledAfterAnEpoch(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.mustStart()
		sent := people(100, 110)
		for n := range sent {
			sent[n].Lane = tasks.Import
		}
		w.delivered(w.settle(time.Minute, w.give(sent...)...))
		time.Sleep(time.Minute)
		w.setBack(nil)
		list := append(people(0, 10), sent...)
		for n := range list {
			list[n].Lane, list[n].ImportID = tasks.Import, "again"
		}
		w.sim.AddUser(list[3].EmailAddress.Raw())
		for n, r := range w.settle(5*time.Minute, w.give(list...)...) {
			want := tasks.Pending
			if n == 3 {
				want = tasks.Rejected
			}
			if mails := w.sim.Mails(r.Invite.EmailAddress.Raw()); r.State != want || mails > 1 {
				t.Errorf("%s is %s (%s) after %d mails, want %s", r.Invite.ID, r.State, r.Reason, mails, want)
			}
		}
	})
}

// Whom the ledger knows to have an open invitation is looked for, one after the other
// and four at once: Clerk is not asked to refuse them, and no token is spent.
func TestKnownInvitationCostsNoToken(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.mustStart()
		w.delivered(w.settle(time.Minute, w.give(person(1))...))
		for _, n := range []int{1, 1, 4} {
			var ids []string
			for range n {
				ids = append(ids, w.give(person(1))...)
			}
			for _, r := range w.settle(5*time.Minute, ids...) {
				if r.State != tasks.Rejected || r.Reason != tasks.ReasonAlreadyInvited {
					t.Errorf("got %s (%s), want rejected (already_invited)", r.State, r.Reason)
				}
			}
		}
		if n := w.sim.Count(clerksim.OpCreate) + w.sim.Count(clerksim.OpBulkCreate); n != 1 {
			t.Errorf("%d calls for one invitation, want 1", n)
		}
		o, err := w.calm.Overview(t.Context(), time.Now())
		if spent := o.Quotas[ledger.Single].Spent + o.Quotas[ledger.Bulk].Spent; err != nil || spent != 1 {
			t.Errorf("spent %d tokens, want 1: %v", spent, err)
		}
		// Who was revoked at Clerk meanwhile is invited: the ledger alone decides nothing.
		if err := w.sim.RevokeInDashboard("person1@example.com"); err != nil {
			t.Fatal(err)
		}
		if r := w.settle(time.Minute, w.give(person(1))...)[0]; r.State != tasks.Pending {
			t.Errorf("revoked at Clerk and invited again: %s (%s)", r.State, r.Reason)
		}
	})
}
