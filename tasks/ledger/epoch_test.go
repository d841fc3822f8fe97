package ledger

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

func beat(t testing.TB, l *Ledger, now time.Time, server string) Pulse {
	t.Helper()
	p, err := l.Beat(t.Context(), now, server)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// other returns a ledger on the same keys, as another process has it.
func other(t testing.TB, l *Ledger) *Ledger {
	t.Helper()
	o, err := Open(t.Context(), l.rdb, l.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestNoGapIsForgotten: Redis that is restarted all day long. Only so many epochs are
// kept, and together they still cover every gap.
func TestNoGapIsForgotten(t *testing.T) {
	l := open(t, Config{})
	beat(t, l, start, "run0")
	now := start
	var gaps []Epoch
	for n := 1; n <= 30; n++ {
		now = now.Add(time.Duration(n%5+1) * time.Minute)
		began := now
		beat(t, l, began, fmt.Sprint("run", n-1))
		now = now.Add(2 * time.Second)
		p := beat(t, l, now, fmt.Sprint("run", n))
		last := p.Epochs[len(p.Epochs)-1]
		if !p.Began || !last.Start.Equal(began) || !last.End.Equal(now) {
			t.Fatalf("epoch %d is %+v", n, p)
		}
		gaps = append(gaps, last)
		if len(p.Epochs) > 8 {
			t.Fatalf("%d epochs are kept", len(p.Epochs))
		}
		for i, g := range gaps {
			if !slices.ContainsFunc(p.Epochs, func(e Epoch) bool { return !e.Start.After(g.Start) && !e.End.Before(g.End) }) {
				t.Fatalf("after %d epochs the gap of number %d is forgotten", n, i+1)
			}
		}
	}
}

// wipe deletes every key of the ledger's, as FLUSHALL does.
func wipe(t testing.TB, l *Ledger) {
	t.Helper()
	keys, err := l.rdb.Keys(t.Context(), l.keys.prefix+"*").Result()
	if err == nil {
		err = l.rdb.Del(t.Context(), keys...).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot remembers what says how far the ledger has come; back sets it back.
func snapshot(t testing.TB, l *Ledger) (back func()) {
	t.Helper()
	meta, err := l.rdb.HGetAll(t.Context(), l.keys.of("meta")).Result()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := l.rdb.Del(t.Context(), l.keys.of("meta")).Err(); err != nil {
			t.Fatal(err)
		}
		if err := l.rdb.HSet(t.Context(), l.keys.of("meta"), meta).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingIsForgottenOnAQuietDay(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	second := other(t, l)
	for n := range 5 {
		now := start.Add(time.Duration(n) * time.Second)
		for _, one := range []*Ledger{l, second} {
			if p := beat(t, one, now, "run1"); p.Began || p.Recovery || len(p.Epochs) > 0 {
				t.Fatalf("beat %d: got %+v", n, p)
			}
		}
		admit(t, l, now, invite(t, "ada@example.com"))
		delivered(t, second, now, turn(t, second, now))
	}
}

func TestEpochs(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for name, c := range map[string]struct {
		happens   func(t *testing.T, l *Ledger)
		server    string
		noWitness bool // the process that lived through it is gone
		why       string
		from      time.Time
	}{
		"restarted": {
			happens: func(*testing.T, *Ledger) {}, server: "run2", why: "restarted", from: at(20),
		},
		"restarted, and every worker with it": {
			happens: func(*testing.T, *Ledger) {}, server: "run2", noWitness: true, why: "restarted", from: at(20),
		},
		"emptied": {
			happens: func(t *testing.T, l *Ledger) { wipe(t, l) }, server: "run1", why: "went_back", from: at(0),
		},
		"emptied, and Redis does not tell who it is": {
			happens: func(t *testing.T, l *Ledger) { wipe(t, l) }, why: "went_back", from: at(0),
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, Config{Limits: ClerkLimits})
			beat(t, l, at(0), "run1")
			beat(t, l, at(20), "run1")
			c.happens(t, l)
			if c.noWitness {
				l = other(t, l)
			}
			p := beat(t, l, at(30), c.server)
			if !p.Began || !p.Recovery || len(p.Epochs) != 1 {
				t.Fatalf("got %+v, want an epoch", p)
			}
			if e := p.Epochs[0]; e.Why != c.why || !e.Start.Equal(c.from) || !e.End.Equal(at(30)) {
				t.Errorf("got %s from %s to %s, want %s from %s", e.Why, e.Start.Sub(start), e.End.Sub(start), c.why, c.from.Sub(start))
			}
			admit(t, l, at(31), invite(t, "ada@example.com"))
			if tn := turn(t, l, at(31)); len(tn.Batch) > 0 || tn.Why != "epoch" {
				t.Errorf("before recovery: got turn %+v", tn)
			}
			if err := l.Recover(t.Context(), at(32), p.Epochs[0], nil); err != nil {
				t.Fatal(err)
			}
			if tn := turn(t, l, at(33)); len(tn.Batch) != 1 {
				t.Errorf("after recovery: got turn %+v", tn)
			}
			if p := beat(t, l, at(34), c.server); p.Began || p.Recovery || len(p.Epochs) != 1 {
				t.Errorf("afterwards: got %+v", p)
			}
			if p := beat(t, l, at(34).Add(epochMatters), c.server); len(p.Epochs) != 0 {
				t.Errorf("a month later: got %+v", p)
			}
		})
	}
}

// A claim moves the ledger on by itself: if it is lost, so is what the worker has
// seen, and the next turn notices although no beat was lost.
func TestLedgerThatGoesBackBetweenTwoBeats(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	beat(t, l, start, "run1")
	admit(t, l, start, invite(t, "ada@example.com"))
	back := snapshot(t, l)
	if tn := turn(t, l, start.Add(100*time.Millisecond)); len(tn.Batch) != 1 {
		t.Fatalf("got turn %+v", tn)
	}
	back()
	if tn := turn(t, l, start.Add(200*time.Millisecond)); tn.Why != "epoch" {
		t.Errorf("got turn %+v, want to wait for a recovery", tn)
	}
	if p := beat(t, l, start.Add(time.Second), "run1"); !p.Began || !p.Epochs[0].Start.Equal(start) {
		t.Errorf("got %+v", p)
	}
	// Another process has seen as much. It finds that somebody has noticed.
	if p := beat(t, other(t, l), start.Add(2*time.Second), "run1"); p.Began {
		t.Errorf("the same epoch began twice: %+v", p)
	}
}

// A process that has not heard of an epoch would send without looking: it gets no
// turn, although another has recovered from it.
func TestNoTurnForWhoHasNotHeardOfAnEpoch(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	second := other(t, l)
	for _, one := range []*Ledger{l, second} {
		beat(t, one, start, "run1")
	}
	admit(t, l, start, invite(t, "ada@example.com"))
	p := beat(t, l, start.Add(time.Second), "run2")
	if err := l.Recover(t.Context(), start.Add(time.Second), p.Epochs[0], nil); err != nil {
		t.Fatal(err)
	}
	due, err := second.Due(t.Context(), start.Add(time.Second))
	if tn := turn(t, second, start.Add(2*time.Second)); tn.Why != WaitEpoch || err != nil || !due.Unheard {
		t.Errorf("before it beats: got turn %+v, unheard %t, %v", tn, due.Unheard, err)
	}
	beat(t, second, start.Add(3*time.Second), "run2")
	due, err = second.Due(t.Context(), start.Add(3*time.Second))
	if tn := turn(t, second, start.Add(3*time.Second)); len(tn.Batch) != 1 || err != nil || due.Unheard {
		t.Errorf("afterwards: got turn %+v, unheard %t, %v", tn, due.Unheard, err)
	}
}

// A ledger that is emptied a second time has forgotten the first as well. The workers
// have not: what was sent before the first is still looked for.
func TestEmptiedTwice(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	var p Pulse
	for n := range 3 {
		if n > 0 {
			wipe(t, l)
		}
		p = beat(t, l, start.Add(time.Duration(n)*time.Hour), "run1")
	}
	covered := func(at time.Time) bool {
		return slices.ContainsFunc(p.Epochs, func(e Epoch) bool { return e.Covers(at, 0) })
	}
	for _, at := range []time.Time{start.Add(time.Minute), start.Add(90 * time.Minute)} {
		if !p.Began || !covered(at) {
			t.Errorf("%s lies in no gap of %+v", at.Sub(start), p.Epochs)
		}
	}
}

// A new worker founds an emptied ledger again. One that has lived through it gets no
// turn there before it has said so.
func TestEmptiedAndFoundedAgain(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	beat(t, l, start, "run1")
	wipe(t, l)
	fresh := other(t, l)
	beat(t, fresh, start.Add(time.Second), "run1")
	admit(t, l, start.Add(time.Second), invite(t, "ada@example.com"))
	if tn := turn(t, l, start.Add(2*time.Second)); tn.Why != WaitEpoch {
		t.Errorf("got turn %+v", tn)
	}
	if p := beat(t, l, start.Add(3*time.Second), "run1"); !p.Began || !p.Recovery {
		t.Errorf("got %+v, want an epoch", p)
	}
	if tn := turn(t, fresh, start.Add(4*time.Second)); tn.Why != WaitEpoch {
		t.Errorf("the new worker: got turn %+v", tn)
	}
}

func TestTwoWitnessesOfAWipeBeginOneEpoch(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	second := other(t, l)
	for _, one := range []*Ledger{l, second} {
		beat(t, one, start, "run1")
	}
	wipe(t, l)
	first := beat(t, l, start.Add(time.Second), "run1")
	again := beat(t, second, start.Add(2*time.Second), "run1")
	if !first.Began || again.Began || len(again.Epochs) != 1 {
		t.Errorf("got %+v, then %+v; want one epoch", first, again)
	}
	if third := beat(t, second, start.Add(3*time.Second), "run1"); third.Began || len(third.Epochs) != 1 {
		t.Errorf("later: got %+v", third)
	}
}

// After a recovery no more is spent than was certainly left.
func TestRecoveryCountsWhatMayHaveBeenForgotten(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	beat(t, l, start, "run1")
	wipe(t, l)
	p := beat(t, l, start.Add(time.Minute), "run1")
	var made []time.Time
	for n := range 30 {
		made = append(made, start.Add(time.Duration(n)*time.Second))
	}
	made = append(made, start.Add(-time.Hour), start.Add(-2*time.Minute)) // from before the gap
	if err := l.Recover(t.Context(), start.Add(time.Minute), p.Epochs[0], made); err != nil {
		t.Fatal(err)
	}
	o, err := l.Overview(t.Context(), start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if o.Quotas[Single].Spent != 30 || o.Quotas[Bulk].Free() != 0 {
		t.Errorf("got %d singles spent, %d bulks free; want 30 and none", o.Quotas[Single].Spent, o.Quotas[Bulk].Free())
	}
	if o.Quotas[Single].Gate.CarefulUntil.IsZero() {
		t.Error("want the endpoint to be careful")
	}
}

// A worker that was told a shorter window does not make the others forget.
func TestLongestWindowTrims(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	short := other(t, l)
	short.cfg.Limits = Limits{Single: Limit{100, time.Minute}, Bulk: Limit{25, time.Minute}}
	for n := range 3 {
		admit(t, l, start, invite(t, "ada"+string(rune('a'+n))+"@example.com"))
		delivered(t, l, start, turn(t, l, start))
	}
	if tn := turn(t, short, start.Add(5*time.Minute)); len(tn.Batch) != 0 {
		t.Fatalf("got %+v", tn)
	}
	o, err := l.Overview(t.Context(), start.Add(6*time.Minute))
	if err != nil || o.Quotas[Single].Spent != 3 {
		t.Errorf("got %d calls in the log, %v; want 3", o.Quotas[Single].Spent, err)
	}
	// Nor does it count what lies before its own window.
	admit(t, short, start.Add(6*time.Minute), invite(t, "eve@example.com"))
	if tn := turn(t, short, start.Add(6*time.Minute)); len(tn.Batch) != 1 {
		t.Errorf("got %+v", tn)
	}
}

func TestEpochConcerns(t *testing.T) {
	e := Epoch{Start: start, End: start.Add(time.Minute)}
	for _, c := range []struct {
		what    string
		id, imp string
		created time.Time
		now     time.Time
		want    bool
	}{
		{"it waited", idMadeAt(start), "", start, start.Add(time.Hour), true},
		{"it came later, under a new id", idMadeAt(start.Add(time.Hour)), "", start.Add(time.Hour), start.Add(time.Hour), false},
		{"it came later, under the caller's id", "signup-1", "", start.Add(time.Hour), start.Add(time.Hour), true},
		{"it came later, from a list", idMadeAt(start.Add(time.Hour)), "team", start.Add(time.Hour), start.Add(time.Hour), true},
		{"it came later, under the id of a request's key", tasks.ImportInviteID("key", tasks.Email{}), "", start.Add(time.Hour), start.Add(time.Hour), true},
		{"it came later, from an outbox that had kept it", idMadeAt(start), "", start.Add(time.Hour), start.Add(time.Hour), true},
		{"a month later", "signup-1", "", start.Add(time.Hour), start.Add(31 * 24 * time.Hour), false},
	} {
		r := Record{Invite: tasks.Invite{ID: c.id, ImportID: c.imp}, CreatedAt: c.created}
		if got := e.Concerns(r, c.now); got != c.want {
			t.Errorf("%s: got %t", c.what, got)
		}
	}
	if id := tasks.NewID("inq"); time.Since(tasks.MadeAt(id)).Abs() > time.Minute {
		t.Errorf("%s was made at %s", id, tasks.MadeAt(id))
	}
}

// idMadeAt is an id that NewID might have made then.
func idMadeAt(at time.Time) string {
	var b [15]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16)
	rand.Read(b[6:])
	return "inq_" + tasks.IDText.EncodeToString(b[:])
}

// TestScriptsKnowWhomAnEpochConcerns: cancel.lua reads first for the same invites for
// which Epoch.Concerns looks before a call; the two say it in two languages.
func TestScriptsKnowWhomAnEpochConcerns(t *testing.T) {
	for _, later := range []time.Duration{time.Minute, epochMatters - time.Hour, epochMatters + time.Hour} {
		l := open(t, Config{Limits: ClerkLimits})
		began := time.Now()
		beat(t, l, began, "one")
		own, made := tasks.NewID("inq"), map[string]time.Time{}
		admit := func(at time.Time, ids ...string) {
			for _, id := range ids {
				made[id] = at
				i := invite(t, id+"@example.com")
				i.ID = id
				if _, _, err := l.Admit(t.Context(), at, []tasks.Invite{i}); err != nil {
					t.Fatal(err)
				}
			}
		}
		admit(began, own, "before")
		epoch := beat(t, l, began.Add(time.Second), "another").Epochs[0]
		at := began.Add(later)
		admit(at, idMadeAt(at), idMadeAt(began), idMadeAt(at.Add(time.Hour)), tasks.ImportInviteID("key", tasks.Email{}), tasks.NewID("inq")+"x", "inq_short", "after")
		for id := range made {
			got, err := l.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want := tasks.Canceled
			if epoch.Concerns(got[0], at) {
				want = tasks.Unknown
			}
			if r, err := l.Cancel(t.Context(), at, id); err != nil || r.State != want {
				t.Errorf("%s later: %s is %s, %v, want %s", later, id, r.State, err, want)
			}
		}
	}
}
