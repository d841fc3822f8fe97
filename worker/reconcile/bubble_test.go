package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// bubble runs a test in virtual time: looks for what is missing are far apart.
// Redis and Clerk are at the other end of pipes.
func bubble(t *testing.T, cfg clerksim.Config, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		rdb := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:6379", Dialer: func(context.Context, string, string) (net.Conn, error) { return mini.Dial() },
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, DisableIdentity: true, Protocol: 2,
		})
		t.Cleanup(mini.Close)
		t.Cleanup(func() { _ = rdb.Close() })
		test(worldOver(t, cfg, rdb, "bubble"))
	})
}

// looks is how often Clerk was asked for one invitation.
func (w *world) looks(invitationID string) (n int) {
	for _, c := range w.sim.Calls() {
		if c.Op == clerksim.OpList && strings.Contains(c.RawQuery, "query="+invitationID) {
			n++
		}
	}
	return n
}

func TestDeletedIsConfirmedTwice(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		w.deliver(20)
		ghost := w.record("ghost@example.com", "inv_ghost", time.Now().Add(-time.Hour))

		got := w.run(Pass{Full: true, DryRun: true})
		if got.Gone != 1 || !cmp.Equal(got.MissingIDs, []string{ghost}) || got.Same != 20 || got.Missing != 0 {
			t.Errorf("got %+v", got)
		}
		if n := w.looks("inv_ghost"); n != 2 || got.Took < lookApart {
			t.Errorf("it was looked for %d times in %s, want twice, %s apart", n, got.Took, lookApart)
		}
		if got := w.state(ghost); got != tasks.Pending {
			t.Errorf("a dry run has made it %s", got)
		}
		if got := w.run(Pass{}); got.Gone != 0 || w.looks("inv_ghost") != 2 {
			t.Errorf("a recent pass speaks of what it cannot see: %+v", got)
		}
		if got := w.run(Pass{Full: true}); got.Gone != 1 {
			t.Errorf("got %+v", got)
		}
		r, err := w.ledger.Get(t.Context(), ghost)
		if err != nil || r[0].State != tasks.Revoked || r[0].Reason != tasks.ReasonGoneAtClerk || r[0].InvitationID != "inv_ghost" {
			t.Errorf("got %+v, %v", r, err)
		}
		if got := w.run(Pass{Full: true}); got.Gone != 0 || got.Missing != 0 {
			t.Errorf("the next pass: %+v", got)
		}
	})
}

// What comes into sight between the two looks is not missing.
func TestLateInvitationIsNotMissing(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		w.deliver(5)
		time.Sleep(time.Second)
		inv, err := w.sim.CreateForeign("late@example.com")
		if err != nil {
			t.Fatal(err)
		}
		id := w.record("late@example.com", inv.ID, time.Now().Add(-time.Hour))
		if err := w.sim.Accept(inv.ID); err != nil {
			t.Fatal(err)
		}
		// The list goes blind for the scan and the first look, not for the second.
		hide := &hiding{Lister: w.clerk, id: inv.ID, until: time.Now().Add(lookApart / 2)}
		got, err := (&Pass{Ledger: w.ledger, Clerk: hide, Full: true}).Run(t.Context())
		if err != nil || got.Missing != 0 || got.Settled["pending→accepted"] != 1 || w.state(id) != tasks.Accepted {
			t.Errorf("got %+v, %v; it is %s", got, err, w.state(id))
		}
	})
}

// hiding does not show one invitation until a time, nor, if gone is set, another
// one in each pass over the list.
type hiding struct {
	clerk.Lister
	id    string
	until time.Time
	gone  bool
	pass  int
}

func (h *hiding) Revoke(context.Context, string) (clerk.Invitation, error) {
	return clerk.Invitation{}, errors.New("nobody is to be revoked")
}

func (h *hiding) List(ctx context.Context, o clerk.ListOptions) (clerk.Page, error) {
	p, err := h.Lister.List(ctx, o)
	if o.Offset == 0 && o.Query == "" {
		h.pass++
	}
	var shown []clerk.Invitation
	for i, inv := range p.Data {
		hidden := inv.ID == h.id && time.Now().Before(h.until) || h.gone && i == h.pass
		if !hidden {
			shown = append(shown, inv)
		}
	}
	p.Total -= int64(len(p.Data) - len(shown))
	p.Data = shown
	return p, err
}

// A list that every pass shows otherwise proves no absence.
func TestNothingIsMissingInAListThatMoves(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		w.deliver(20)
		ghost := w.record("ghost@example.com", "inv_ghost", time.Now().Add(-time.Hour))
		got, err := (&Pass{Ledger: w.ledger, Clerk: &hiding{Lister: w.clerk, gone: true}, Full: true}).Run(t.Context())
		if err != nil || got.Agreed || got.Doubt == "" || got.Missing != 0 || w.state(ghost) != tasks.Pending || w.looks("inv_ghost") != 0 {
			t.Errorf("got %+v, %v; the ghost is %s", got, err, w.state(ghost))
		}
		_, err = (&Pass{Ledger: w.ledger, Clerk: &hiding{Lister: w.clerk, gone: true}}).Desired(t.Context(), nil)
		if !errors.Is(err, ErrListMoves) {
			t.Errorf("a plan from it: got %v, want ErrListMoves", err)
		}
	})
}

// People are invited, accept and are revoked while Clerk is listed, and the list
// lags behind, evenly or not. Nobody is called missing.
func TestLagMakesNobodyMissing(t *testing.T) {
	passes, agreed := 0, 0
	for seed := range uint64(8) {
		dice := rand.New(rand.NewPCG(seed, 7))
		cfg := clerksim.Config{Seed: seed, Latency: clerksim.Latency{Median: 150 * time.Millisecond, P999: 2 * time.Second}}
		cfg.Switches.Lag = []time.Duration{0, 10 * time.Second, 40 * time.Second, 5 * time.Minute}[seed%4]
		cfg.Switches.LagVaries = dice.IntN(2) == 0
		cfg.Switches.UnstableTies = dice.IntN(2) == 0
		bubble(t, cfg, func(w *world) {
			t := w.T
			n := 0
			invite := func(many int) {
				var all []ledger.Stranger
				for range many {
					address := fmt.Sprintf("p%d@example.com", n)
					n++
					inv, err := w.sim.CreateForeign(address)
					if err != nil {
						t.Error(err)
					}
					all = append(all, ledger.Stranger{
						Invite:       tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: email(t, address)},
						InvitationID: inv.ID, State: tasks.Pending, CreatedAt: inv.CreatedAt,
					})
				}
				if made, err := w.ledger.Adopt(t.Context(), time.Now(), all...); err != nil || made != many {
					t.Errorf("made %d, %v", made, err)
				}
			}
			for n < 550+dice.IntN(200) {
				time.Sleep(time.Duration(dice.IntN(2000)) * time.Millisecond)
				invite(1 + dice.IntN(10))
			}
			ctx, stop := context.WithCancel(t.Context())
			var world sync.WaitGroup
			world.Go(func() {
				for ctx.Err() == nil {
					time.Sleep(time.Duration(dice.IntN(300)) * time.Millisecond)
					someone := fmt.Sprintf("p%d@example.com", dice.IntN(n))
					switch dice.IntN(4) {
					case 0:
						_ = w.sim.Accept(someone) // they may have accepted already
					case 1:
						_ = w.sim.RevokeInDashboard(someone) // they may have been revoked already
					default:
						invite(1)
					}
				}
			})
			for range 3 {
				r := w.run(Pass{Full: true})
				passes++
				if r.Agreed {
					agreed++
				}
				if r.Missing > 0 {
					t.Errorf("seed %d: %d are called missing: %+v", seed, r.Missing, r)
				}
			}
			stop()
			world.Wait()
		})
	}
	if agreed < passes/10 {
		t.Errorf("%d of %d passes agreed, too few to have shown anything", agreed, passes)
	}
	t.Logf("%d passes, %d agreed, none called anybody missing", passes, agreed)
}

// An invite without an answer is found by a pass, too: same address, created
// after it was sent.
func TestPassFindsTheAnswerToAnUnknown(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		time.Sleep(time.Hour)
		for _, address := range []string{"older@example.com", "answer@example.com"} {
			if _, err := w.sim.CreateForeign(address); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		unknown := func(address string, sent time.Time) string {
			id, turn := w.claim(address, sent)
			w.settle(sent, turn, ledger.Settlement{To: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, At: time.Now().Add(time.Hour), Call: ledger.LostCall})
			return id
		}
		answer := unknown("answer@example.com", time.Now().Add(-11*time.Minute))
		older := unknown("older@example.com", time.Now().Add(-5*time.Minute))
		dry := w.run(Pass{Full: true, DryRun: true})
		if w.state(answer) != tasks.Unknown {
			t.Error("a dry run has changed the ledger")
		}
		got := w.run(Pass{Full: true})
		for _, r := range []Report{dry, got} {
			if r.Settled["unknown→pending"] != 1 || r.Foreign != 1 {
				t.Errorf("got %+v", r)
			}
		}
		if w.state(answer) != tasks.Pending || w.state(older) != tasks.Unknown {
			t.Errorf("the answer's is %s, the other %s", w.state(answer), w.state(older))
		}
	})
}

func TestTombstonesDedupe(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		ids := w.deliver(6)
		ago := time.Now().Add(-40 * time.Minute)
		for i, to := range []tasks.State{tasks.Accepted, tasks.Expired, tasks.Revoked} {
			if ok, err := w.ledger.Observe(t.Context(), ago, ledger.Observation{ID: ids[i], From: tasks.Pending, To: to}); err != nil || !ok[0] {
				t.Fatal(ok, err)
			}
		}
		fresh, err := w.sim.CreateForeign("fresh@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.sim.Accept(fresh.ID); err != nil {
			t.Fatal(err)
		}
		w.record("fresh@example.com", fresh.ID, time.Now().Add(-time.Hour)) // accepted as of this pass
		id, turn := w.claim("parked@example.com", ago)
		w.settle(ago, turn, ledger.Settlement{To: tasks.Parked})

		w.run(Pass{Full: true, Retention: 30 * time.Minute})
		if n, err := w.ledger.Trim(t.Context(), time.Now().Add(-30*time.Minute), time.Hour, 100); n != 3 || err != nil {
			t.Errorf("%d were trimmed, want the 3 that were settled long ago: %v", n, err)
		}
		if left, err := w.ledger.Get(t.Context(), append(ids, id)...); err != nil || len(left) != 4 {
			t.Errorf("%d records are left, %v", len(left), err)
		}
		admit := func(address string) ledger.Admission {
			t.Helper()
			a, _, err := w.ledger.Admit(t.Context(), time.Now(), []tasks.Invite{{ID: ids[0], EmailAddress: email(t, address)}})
			if err != nil {
				t.Fatal(err)
			}
			return a[0]
		}
		if got := admit("p0@example.com"); got != ledger.Known {
			t.Errorf("the same again: got %d, want %d", got, ledger.Known)
		}
		if got := admit("other@example.com"); got != ledger.Conflict {
			t.Errorf("other content under the id: got %d, want %d", got, ledger.Conflict)
		}
		if again := w.run(Pass{Full: true}); again.Missing != 0 || again.Foreign != 3 {
			t.Errorf("what is forgotten is somebody else's: got %+v", again)
		}
	})
}

func TestExtraInvitationsAreRevoked(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		ids := w.deliver(3)
		for range 2 {
			time.Sleep(time.Second)
			if _, err := w.sim.CreateForeign("P1@example.com"); err != nil {
				t.Fatal(err)
			}
		}
		status := func() (all []clerksim.Status) {
			for _, inv := range w.sim.ByAddress("p1@example.com") {
				all = append(all, inv.Status)
			}
			return all
		}
		pending, revoked := clerksim.Status("pending"), clerksim.Status("revoked")
		for _, p := range []Pass{{Full: true}, {Full: true, RevokeExtra: true, DryRun: true}} {
			if got := w.run(p); got.Doubled != 2 || got.Revoked != 0 || got.Foreign != 2 {
				t.Errorf("got %+v", got)
			}
		}
		if diff := cmp.Diff([]clerksim.Status{pending, pending, pending}, status()); diff != "" {
			t.Error(diff)
		}
		if got := w.run(Pass{Full: true, RevokeExtra: true}); got.Doubled != 2 || got.Revoked != 2 {
			t.Errorf("got %+v", got)
		}
		if diff := cmp.Diff([]clerksim.Status{revoked, revoked, pending}, status()); diff != "" {
			t.Error(diff)
		}
		got := w.run(Pass{Full: true, RevokeExtra: true})
		if got.Doubled != 0 || w.state(ids[1]) != tasks.Revoked || w.state(ids[0]) != tasks.Pending {
			t.Errorf("got %+v; the older one is %s", got, w.state(ids[1]))
		}
	})
}

// TestWaitsOutARefusedRead: others read, too, and Clerk refuses some reads for a few
// seconds. A pass waits them out; a refusal for longer ends it.
func TestWaitsOutARefusedRead(t *testing.T) {
	bubble(t, clerksim.Config{}, func(w *world) {
		t := w.T
		w.deliver(20)
		w.sim.Inject(clerksim.OpList, clerksim.Fault{Kind: clerksim.Throttle, RetryAfter: "7"}, 2)
		if got := w.run(Pass{Full: true}); got.Same != 20 || !got.Agreed || got.Took < 14*time.Second {
			t.Errorf("got %+v", got)
		}
		w.sim.Inject(clerksim.OpList, clerksim.Fault{Kind: clerksim.Throttle, RetryAfter: "3600"}, 1)
		pass := Pass{Ledger: w.ledger, Clerk: w.clerk, Full: true}
		if got, err := pass.Run(t.Context()); !errors.Is(err, clerk.KindQuota) || got.Took > time.Minute {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
