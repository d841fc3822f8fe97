package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// TestReadsLeaveRoomForCreates spends the read quota to its end: four fifths of
// everything together, so that a create finds a token at any time.
func TestReadsLeaveRoomForCreates(t *testing.T) {
	limits := ClerkLimits
	limits.Other = Limit{Calls: 10, Window: 10 * time.Second}
	l := open(t, Config{Limits: limits})
	spend := func(at time.Duration, share float64) Decision {
		t.Helper()
		d, err := l.SpendShare(t.Context(), start.Add(at), share)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	span := limits.Other.span()
	for n := range 4 {
		if at := time.Duration(n) * time.Second; !spend(at, 0.4).Allowed {
			t.Fatalf("read %d of 4 that are content with less is refused", n)
		}
	}
	if d := spend(4*time.Second, 0.4); d.Allowed || !d.RetryAt.Equal(start.Add(span)) {
		t.Errorf("the fifth of them: got %+v, want to wait for the first", d)
	}
	for n := range 4 {
		if d, err := l.Spend(t.Context(), start.Add(5*time.Second)); err != nil || !d.Allowed {
			t.Fatalf("read %d of 8: got %+v, %v", 4+n, d, err)
		}
	}
	d, err := l.Spend(t.Context(), start.Add(5*time.Second))
	if err != nil || d.Allowed || !d.RetryAt.Equal(start.Add(span)) {
		t.Errorf("the ninth read: got %+v, %v; want to wait until %v", d, err, start.Add(span))
	}
	// A refused read has spent nothing, and a create still finds its token.
	admit(t, l, start.Add(5*time.Second), invite(t, "ada@example.com"))
	tn := turn(t, l, start.Add(5*time.Second))
	if len(tn.Batch) != 1 {
		t.Fatalf("got turn %+v, want the invite", tn)
	}
	delivered(t, l, start.Add(5*time.Second), tn)
	// The create counts, too: at the moment named, one token more has become free, and no read may have it.
	if d := spend(span, readShare); d.Allowed || !d.RetryAt.Equal(start.Add(span+time.Second)) {
		t.Errorf("got %+v, want to wait for the second read to leave the log", d)
	}
	if d := spend(span+time.Second, readShare); !d.Allowed {
		t.Errorf("got %+v, want it allowed", d)
	}
}

// TestReadsStopAtGates: what closes everything closes reads, too.
func TestReadsStopAtGates(t *testing.T) {
	for _, e := range []Endpoint{All, Other} {
		l := open(t, Config{Limits: ClerkLimits})
		until := start.Add(time.Minute)
		if err := l.SetGate(t.Context(), start, GateChange{Endpoint: e, Until: until, Why: tasks.CauseOverload}); err != nil {
			t.Fatal(err)
		}
		if d, err := l.Spend(t.Context(), start); err != nil || d.Allowed || !d.RetryAt.Equal(until) {
			t.Errorf("%s: got %+v, %v; want to wait for the gate", e, d, err)
		}
		if d, err := l.Spend(t.Context(), until); err != nil || !d.Allowed {
			t.Errorf("%s: got %+v, %v when the gate is due", e, d, err)
		}
	}
	l := open(t, Config{Limits: ClerkLimits})
	if err := l.SetGate(t.Context(), start, GateChange{Endpoint: Bulk, Until: start.Add(time.Minute), Why: tasks.CauseQuota}); err != nil {
		t.Fatal(err)
	}
	if d, err := l.Spend(t.Context(), start); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v: a quota is no reason not to read", d, err)
	}
}

// TestReadsWithoutLimit are never refused.
func TestReadsWithoutLimit(t *testing.T) {
	l := open(t, Config{})
	for range 5 {
		if d, err := l.Spend(t.Context(), start); err != nil || !d.Allowed {
			t.Fatalf("got %+v, %v", d, err)
		}
	}
}

// TestTwoClocks lets two workers share a limit whose clocks are as far apart as
// health allows. The one that is ahead still sends nothing while Clerk's window
// holds all that the other has sent.
func TestTwoClocks(t *testing.T) {
	limits := Limits{Single: Limit{Calls: 5, Window: time.Minute}, Bulk: Limit{Calls: 1, Window: time.Hour}}
	l := open(t, Config{Limits: limits, Bulk: 10, Reserve: 0})
	send := func(at time.Time) (answered bool) {
		t.Helper()
		tn := turn(t, l, at)
		if len(tn.Batch) == 0 {
			return false
		}
		if tn.Endpoint == Single {
			delivered(t, l, at, tn)
			return true
		}
		_, err := l.SettleTurn(t.Context(), at, tn, Ending{Token: StampToken})
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	var calls []time.Time // of Clerk's clock
	for now, n := start, 0; now.Before(start.Add(5 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		if n++; n%20 == 1 {
			admit(t, l, now, invite(t, fmt.Sprintf("p%d@example.com", n)))
		}
		for _, ahead := range []time.Duration{0, MaxSkew} {
			if send(now.Add(ahead)) {
				calls = append(calls, now)
			}
		}
	}
	if len(calls) < 20 {
		t.Fatalf("%d calls in five minutes of 5 a minute", len(calls))
	}
	for n := limits.Single.Calls; n < len(calls); n++ {
		if gap := calls[n].Sub(calls[n-limits.Single.Calls]); gap < limits.Single.Window {
			t.Errorf("call %d comes %s after the fifth before it", n, gap)
		}
	}
}
