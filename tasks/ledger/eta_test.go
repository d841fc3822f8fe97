package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// importOf admits n invites of one import.
func importOf(t testing.TB, l *Ledger, now time.Time, n int) []tasks.Invite {
	t.Helper()
	all := make([]tasks.Invite, n)
	for i := range all {
		all[i] = invite(t, fmt.Sprintf("row%d@example.com", i))
		all[i].Lane, all[i].ImportID = tasks.Import, "imp"
	}
	for from := 0; from < n; from += 100 {
		admit(t, l, now, all[from:min(n, from+100)]...)
	}
	return all
}

// What is told about every waiting invite is compared with what happens: with full
// bulk calls, with calls that are smaller for an hour, and with none for an hour.
func TestETAIsWhatHappens(t *testing.T) {
	for refusals, name := range []string{"full bulk calls", "five aboard", "two aboard", "no bulk calls"} {
		t.Run(name, func(t *testing.T) { etaIsWhatHappens(t, refusals) })
	}
}

func etaIsWhatHappens(t *testing.T, refusals int) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	importOf(t, l, start, 1200)
	now := start
	for range 20 { // Some of the quota is spent already.
		delivered(t, l, now.Add(200*time.Millisecond), turn(t, l, now))
		now = now.Add(time.Second)
	}
	for range refusals {
		tn := turn(t, l, now)
		for len(tn.Batch) < 2 {
			delivered(t, l, now, tn)
			now = now.Add(time.Second)
			tn = turn(t, l, now)
		}
		var back []Settlement
		for _, r := range tn.Batch {
			back = append(back, Settlement{ID: r.Invite.ID, Turn: r.Turn, To: tasks.Queued, Reason: tasks.ReasonBulkRefused})
		}
		if _, err := l.SettleTurn(t.Context(), now, tn, Ending{Token: StampToken, Bulk: BulkUnreadable, Members: back}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	hire(t, l, now)
	o, err := l.Overview(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{10, 5, 2, 1}[refusals]; o.BulkNow() != want {
		t.Fatalf("a bulk call may hold %d, want %d", o.BulkNow(), want)
	}
	if g := o.Quotas[Bulk].Gate; g.Closed() != (refusals == 3) || g.Smaller() != (refusals == 1 || refusals == 2) {
		t.Errorf("the gate is %+v", g)
	}
	told := make([]time.Time, o.Waiting[tasks.Import])
	for i := range told {
		told[i] = o.ETA(tasks.Import, int64(i))
		if told[i].Before(now) || i > 0 && told[i].Before(told[i-1]) {
			t.Fatalf("rank %d: ETA %v after %v", i, told[i].Sub(now), told[max(0, i-1)].Sub(now))
		}
	}
	asked := now
	for sent := 0; sent < len(told); {
		tn := turn(t, l, now)
		for range tn.Batch {
			left, off := now.Sub(asked), now.Sub(told[sent]).Abs()
			if off > max(time.Minute, left/10) {
				t.Fatalf("rank %d: told %v, sent after %v", sent, told[sent].Sub(asked), left)
			}
			sent++
		}
		if len(tn.Batch) > 0 {
			delivered(t, l, now.Add(200*time.Millisecond), tn)
			now = now.Add(300 * time.Millisecond)
		} else {
			now = tn.Wake
		}
	}
	if got := o.ETA(tasks.Import, 1_000_000); got.Before(asked.Add(2500*time.Hour)) || got.After(asked.Add(3000*time.Hour)) {
		t.Errorf("a rank of a million: got %v, want about 2870 h", got.Sub(asked))
	}
}

// hire has a worker there.
func hire(t testing.TB, l *Ledger, now time.Time) {
	t.Helper()
	if _, err := l.Announce(t.Context(), now, Fellow{Name: "one", Since: now}); err != nil {
		t.Fatal(err)
	}
}

// TestNothingGoesWithoutAWorker: before the first has come, once it has left, and when
// it has died.
func TestNothingGoesWithoutAWorker(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	i := invite(t, "ada@example.com")
	i.ImportID, i.Lane = "list", tasks.Import
	admit(t, l, start, i)
	goes := func(now time.Time) (n int) {
		t.Helper()
		o, err := l.Overview(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		list, err := l.Import(t.Context(), "list")
		if err != nil {
			t.Fatal(err)
		}
		last, err := l.ImportETA(t.Context(), now, list)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{o.ETA(tasks.Import, 0), o.Drain(), last} {
			if !at.IsZero() {
				n++
			}
		}
		return n + o.Plan(1)[0]
	}
	ask := func(when string, now time.Time, want int) {
		t.Helper()
		if got := goes(now); got != want {
			t.Errorf("%s: %d of ETA, drain, import and plan say that it goes, want %d", when, got, want)
		}
	}
	ask("before the first worker", start, 0)
	hire(t, l, start)
	ask("with a worker", start, 4)
	if err := l.Leave(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	ask("it has left", start, 0)
	hire(t, l, start)
	ask("it has died", start.Add(time.Minute), 0)
}

func TestETAMovesWithGatesAndReadiness(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	i := invite(t, "ada@example.com")
	later := invite(t, "bob@example.com")
	later.NotBefore = start.Add(3 * time.Hour)
	admit(t, l, start, i, later)
	hire(t, l, start)
	ask := func() (time.Duration, time.Duration) {
		t.Helper()
		records, err := l.Get(t.Context(), i.ID, later.ID)
		if err != nil {
			t.Fatal(err)
		}
		etas, err := l.ETAs(t.Context(), start, records...)
		if err != nil {
			t.Fatal(err)
		}
		return etas[0].Sub(start), etas[1].Sub(start)
	}
	if err := l.Pause(t.Context(), start, tasks.Interactive); err != nil {
		t.Fatal(err)
	}
	records, err := l.Get(t.Context(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	if etas, err := l.ETAs(t.Context(), start, records...); err != nil || !etas[0].IsZero() {
		t.Errorf("in a paused lane: got %v, %v; want that nobody knows", etas, err)
	}
	if err := l.Resume(t.Context(), tasks.Interactive); err != nil {
		t.Fatal(err)
	}
	if a, b := ask(); a != 0 || b != 3*time.Hour {
		t.Errorf("free quota: got %v and %v, want 0 and 3h", a, b)
	}
	for _, e := range []Endpoint{Single, Bulk} {
		if err := l.SetGate(t.Context(), start, GateChange{Endpoint: e, Until: start.Add(10 * time.Minute), Why: tasks.CauseOverload}); err != nil {
			t.Fatal(err)
		}
	}
	if a, _ := ask(); a != 10*time.Minute {
		t.Errorf("gates closed for 10 min: got %v", a)
	}
	if err := l.SetGate(t.Context(), start, GateChange{Endpoint: All, Until: start.Add(time.Hour), Why: tasks.CauseUnauthorized}); err != nil {
		t.Fatal(err)
	}
	if etas, err := l.ETAs(t.Context(), start, records...); err != nil || !etas[0].IsZero() {
		t.Errorf("the key is refused, so there is no telling when: got %v, %v", etas, err)
	}
}
