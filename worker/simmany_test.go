package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestWishAboutManyOutlivesWorkers kills the workers that carry wishes on, again and
// again, after milliseconds and seconds.
func TestWishAboutManyOutlivesWorkers(t *testing.T) {
	carried := func(t *testing.T, w *world, states []tasks.State, renew bool) ledger.RevokeDone {
		t.Helper()
		wish, err := w.calm.RequestMany(t.Context(), ledger.Now, "team", states, renew)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 200 {
			s := w.mustStart()
			ended := make(chan struct{})
			go func() { // as the task does
				defer close(ended)
				_, _, _ = s.handlers.revokes.target(t.Context(), tasks.Revoke{ID: wish.ID}, wish.ID)
			}()
			if time.Sleep(time.Duration(3+17*n) * time.Millisecond); n > 12 {
				time.Sleep(time.Minute)
			}
			done, err := w.calm.RevokeDone(t.Context(), wish.ID)
			w.kill(s)
			<-ended
			if err == nil {
				return done
			}
			if !errors.Is(err, ledger.ErrNotFound) {
				t.Fatal(err)
			}
		}
		t.Fatalf("the wish is never done\n%s", w.logs())
		return ledger.RevokeDone{}
	}
	list := func(n int) []tasks.Invite {
		all := people(0, n)
		for n := range all {
			all[n].ImportID, all[n].Lane = "team", tasks.Import
		}
		return all
	}
	t.Run("renew", func(t *testing.T) {
		play(t, clerksim.Config{}, func(t *testing.T, w *world) {
			w.tempo.deaf = false
			s := w.mustStart()
			w.delivered(w.settle(4*time.Hour, w.give(list(60)...)...))
			w.kill(s)
			done := carried(t, w, []tasks.State{tasks.Pending}, true)
			if done.Renewed != 60 || done.Revoked != 60 || done.Rows != 60 {
				t.Errorf("got %+v", done)
			}
			w.mustStart()
			ids, err := w.calm.Members(t.Context(), tasks.BulkCreate{ImportID: "team", Count: 200})
			if err != nil || len(ids) != 120 {
				t.Fatalf("%d members, %v", len(ids), err)
			}
			w.settle(4*time.Hour, ids...)
			for _, i := range list(60) {
				live := 0
				for _, inv := range w.sim.ByAddress(i.EmailAddress.Raw()) {
					if inv.Status == clerksim.StatusPending {
						live++
					}
				}
				if mails := w.sim.Mails(i.EmailAddress.Raw()); live != 1 || mails != 2 {
					t.Errorf("%d live links after %d mails, want 1 after 2", live, mails)
				}
			}
		})
	})
	t.Run("revoke", func(t *testing.T) {
		play(t, clerksim.Config{}, func(t *testing.T, w *world) {
			w.tempo.deaf = false
			s := w.mustStart()
			w.give(list(500)...)
			time.Sleep(3 * time.Second)
			w.kill(s)
			done := carried(t, w, []tasks.State{tasks.Queued, tasks.Sending, tasks.Unknown, tasks.Pending}, false)
			if done.Canceled+done.Revoked != 500 || done.Revoked == 0 || done.Canceled == 0 {
				t.Errorf("got %+v", done)
			}
			w.mustStart()
			time.Sleep(time.Hour)
			for _, inv := range w.sim.Invitations() {
				if inv.Status != clerksim.StatusRevoked {
					t.Errorf("%s is %s", inv.ID, inv.Status)
				}
			}
		})
	})
}
