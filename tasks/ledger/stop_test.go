package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// sent takes turns without limits until nothing can go, and returns from which list
// each invite came.
func sent(t *testing.T, l *Ledger, now time.Time) (order []string) {
	t.Helper()
	for {
		turn, err := l.Turn(t.Context(), now, tasks.NewID("turn"))
		if err != nil {
			t.Fatal(err)
		}
		if len(turn.Batch) == 0 {
			return order
		}
		for _, r := range turn.Batch {
			order = append(order, listOf(r))
		}
	}
}

func count(order []string, list string) (n int) {
	for _, from := range order {
		if from == list {
			n++
		}
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPausedImportStandsStill: its rows do not go, those of others do, no one is
// lost, and once resumed it takes turns from where the others stand.
func TestPausedImportStandsStill(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	now := start
	admitList(t, l, now, "long", 1500)
	admitList(t, l, now, "other", 30)
	sentInOrder(t, l, now, 20, listOf)
	must(t, l.PauseImport(t.Context(), now, "long"))
	if order := sent(t, l, now); count(order, "long") > 0 || len(order) != 20 {
		t.Errorf("%d rows of the paused import went, and %d in all; want 0 of 20", count(order, "long"), len(order))
	}
	audit(t, l)
	o, err := l.Overview(t.Context(), now)
	if err != nil || o.Shelved != 1490 || o.Stopped != 1 || o.Waiting[tasks.Import] != 0 || o.States[tasks.Queued] != 1490 {
		t.Errorf("got %d on the shelf, %d stopped, %v waiting, %d queued: %v", o.Shelved, o.Stopped, o.Waiting, o.States[tasks.Queued], err)
	}
	i, err := l.Import(t.Context(), "long")
	if err != nil || i.Standing() != tasks.ImportPaused || !i.PausedAt.Equal(now) {
		t.Errorf("it is %s since %v, %v", i.Standing(), i.PausedAt, err)
	}
	if eta, err := l.ImportETA(t.Context(), now, i); err != nil || !eta.IsZero() {
		t.Errorf("the ETA of a paused import is %v, %v", eta, err)
	}
	page, err := l.ListState(t.Context(), tasks.Queued, "", 1000)
	if err != nil || len(page.Records) != 1000 || page.Records[0].Invite.ID != "long-10" {
		t.Fatalf("got %d queued invites: %v", len(page.Records), err)
	}
	rest, err := l.ListState(t.Context(), tasks.Queued, page.Next, 1000)
	if err != nil || len(rest.Records) != 490 || rest.Records[489].Invite.ID != "long-1499" {
		t.Errorf("got %d on the second page: %v", len(rest.Records), err)
	}

	admitList(t, l, now, "long", 1600) // it goes on while it is paused
	admitList(t, l, now, "late", 300)
	sentInOrder(t, l, now, 100, listOf)
	if done, err := l.ResumeImport(t.Context(), now, "long"); err != nil || !done {
		t.Fatal(done, err)
	}
	var order []string
	for len(order) < 400 { // 200 rows a turn come back.
		turn, err := l.Turn(t.Context(), now, tasks.NewID("turn"))
		must(t, err)
		for _, r := range turn.Batch {
			order = append(order, listOf(r))
		}
	}
	if n := count(order, "long"); n < 190 || n > 210 {
		t.Errorf("of the first 400 the resumed import has %d, want half", n)
	}
	audit(t, l)
	if order := sent(t, l, now); len(order) != 1590+200-400 {
		t.Errorf("%d more went, want %d", len(order), 1590+200-400)
	}
	audit(t, l)
	if again, err := l.ResumeImport(t.Context(), now, "long"); err != nil || again {
		t.Error("it could be resumed twice", err)
	}
	if err := l.PauseImport(t.Context(), now, "nothing"); !errors.Is(err, ErrNotFound) {
		t.Error("an unknown import could be paused", err)
	}
}

// TestPauseBlocksNobody: a click goes in the turn after the pause, however long the
// list, and in doubt a paused row does not hold up a click for the same address.
func TestPauseBlocksNobody(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	now := start
	admitList(t, l, now, "long", 3000)
	lost := turn(t, l, now)
	for _, to := range []Settlement{
		{To: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, At: now, Call: LostCall}, {To: tasks.Queued, Reason: tasks.ReasonNotAtClerk},
	} {
		var members []Settlement
		for _, r := range lost.Batch {
			to.ID, to.Turn = r.Invite.ID, r.Turn
			members = append(members, to)
		}
		var err error
		if to.To == tasks.Unknown {
			_, err = l.SettleTurn(t.Context(), now, lost, Ending{Token: StampToken, Members: members})
		} else {
			_, err = l.Settle(t.Context(), now, members...)
		}
		must(t, err)
	}
	must(t, l.PauseImport(t.Context(), now, "long"))
	click := invite(t, lost.Batch[0].Invite.EmailAddress.Raw())
	admit(t, l, now, click)
	for n := range 3 {
		next, err := l.Turn(t.Context(), now, tasks.NewID("turn"))
		must(t, err)
		if len(next.Batch) == 0 {
			continue
		}
		if len(next.Batch) != 1 || next.Batch[0].Invite.ID != click.ID {
			t.Fatalf("turn %d took %v", n, next.Batch)
		}
		return
	}
	t.Error("the click did not go")
}

// TestHeldImport: the first row goes no sooner, and at once when it is let go.
func TestHeldImport(t *testing.T) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprint("let go early: ", early), func(t *testing.T) {
			l := open(t, Config{Bulk: 10})
			now := start
			held, err := l.HoldImport(t.Context(), now, "list", 10*time.Minute)
			if err != nil || !held {
				t.Fatal(held, err)
			}
			admitList(t, l, now, "list", 450)
			hire(t, l, now)
			if again, err := l.HoldImport(t.Context(), now, "list", time.Hour); err != nil || again {
				t.Error("an import that is there was held anew", err)
			}
			audit(t, l)
			i, err := l.Import(t.Context(), "list")
			until := now.Add(10 * time.Minute)
			if err != nil || i.Standing() != tasks.ImportHeld || !i.HeldUntil.Equal(until) {
				t.Errorf("it is %s until %v, %v", i.Standing(), i.HeldUntil, err)
			}
			if eta, err := l.ImportETA(t.Context(), now, i); err != nil || eta.Before(until) || eta.After(until.Add(time.Minute)) {
				t.Errorf("the last one goes at %v, %v", eta, err)
			}
			next, err := l.Turn(t.Context(), until.Add(-time.Millisecond), tasks.NewID("turn"))
			if err != nil || len(next.Batch) > 0 || !next.Wake.Equal(until) {
				t.Errorf("before its time: %d claimed, asked to come back at %v, %v", len(next.Batch), next.Wake, err)
			}
			if early {
				if done, err := l.ResumeImport(t.Context(), now, "list"); err != nil || !done {
					t.Fatal(done, err)
				}
			} else {
				now = until
			}
			if order := sent(t, l, now); len(order) != 450 {
				t.Errorf("%d rows went, want 450", len(order))
			}
			audit(t, l)
		})
	}
}

// TestPauseIsCheap: to pause a list takes the same time however long it is, and a
// turn moves no more than some hundred rows.
func TestPauseIsCheap(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	admitList(t, l, start, "long", 19_900)
	begun := time.Now()
	must(t, l.PauseImport(t.Context(), start, "long"))
	pause := time.Since(begun)
	if onShelf := l.rdb.ZCard(t.Context(), l.keys.of("shelf")).Val(); onShelf != 0 || pause > time.Second {
		t.Errorf("the pause itself moved %d rows in %s", onShelf, pause)
	}
	begun = time.Now()
	if order := sent(t, l, start); len(order) != 0 {
		t.Errorf("%d rows went", len(order))
	}
	t.Logf("paused in %s; 19,900 rows on the shelf after %s", pause, time.Since(begun))
	if fair := l.rdb.ZCard(t.Context(), l.keys.of("fair1")).Val(); fair != 0 {
		t.Error("it keeps its place in the order of the lists")
	}
	audit(t, l)
	if done, err := l.ResumeImport(t.Context(), start, "long"); err != nil || !done {
		t.Fatal(done, err)
	}
	begun = time.Now()
	for l.rdb.HLen(t.Context(), l.keys.of("shelving")).Val() > 0 {
		turn(t, l, start)
	}
	t.Logf("back in the lane after %s", time.Since(begun))
	audit(t, l)
}
