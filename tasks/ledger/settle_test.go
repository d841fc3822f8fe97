package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
)

// TestSettledTwice repeats what go-redis repeats when a reply was lost: the second
// time must change nothing.
func TestSettledTwice(t *testing.T) {
	claim := func(t *testing.T) (*Ledger, Turn) {
		t.Helper()
		l := open(t, Config{})
		admit(t, l, start, invite(t, "p@example.com"))
		return l, turn(t, l, start)
	}
	// twice does the same twice, and returns the record after each.
	twice := func(t *testing.T, l *Ledger, tn Turn, do func() ([]Record, error)) (first, second Record) {
		t.Helper()
		for _, r := range []*Record{&first, &second} {
			if _, err := do(); err != nil {
				t.Fatal(err)
			}
			got, err := l.Get(t.Context(), tn.Batch[0].Invite.ID)
			if err != nil {
				t.Fatal(err)
			}
			*r = got[0]
		}
		return first, second
	}
	t.Run("a clean read counts once", func(t *testing.T) {
		l, tn := claim(t)
		s := Settlement{ID: tn.Batch[0].Invite.ID, Turn: tn.ID, To: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, At: start.Add(time.Second)}
		if _, err := l.SettleTurn(t.Context(), start, tn, Ending{Members: []Settlement{s}}); err != nil {
			t.Fatal(err)
		}
		s.Absent = 1
		_, again := twice(t, l, tn, func() ([]Record, error) { return l.Settle(t.Context(), start, s) })
		if again.State != tasks.Unknown || again.Absent != 1 {
			t.Errorf("got %s, absent in %d reads; there was one", again.State, again.Absent)
		}
	})
	t.Run("a wish to revoke waits for its read", func(t *testing.T) {
		l, tn := claim(t)
		s := Settlement{ID: tn.Batch[0].Invite.ID, Turn: tn.ID, To: tasks.Queued, Reason: "refused", Call: EndedCall}
		if _, err := l.Cancel(t.Context(), start, s.ID); err != nil {
			t.Fatal(err)
		}
		_, again := twice(t, l, tn, func() ([]Record, error) {
			return l.SettleTurn(t.Context(), start, tn, Ending{Token: StampToken, Members: []Settlement{s}})
		})
		if again.State != tasks.Unknown || !again.RevokeWanted {
			t.Errorf("got %s (%s), revoke wanted %t; nobody has read yet", again.State, again.Reason, again.RevokeWanted)
		}
	})
	for _, s := range []Settlement{
		{To: tasks.Pending, InvitationID: "inv_1"},
		{To: tasks.Queued, Reason: tasks.ReasonClerkBusy, Charge: ChargeOne, At: start.Add(time.Minute)},
		{To: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, Charge: ChargeHeld, At: start.Add(time.Second)},
		{To: tasks.Rejected, Reason: "blocked"},
		{To: tasks.Parked, Reason: tasks.ReasonMalformed},
		{To: tasks.Failed, Reason: tasks.ReasonAttempts},
	} {
		t.Run(s.To.String(), func(t *testing.T) {
			l, tn := claim(t)
			s.ID, s.Turn = tn.Batch[0].Invite.ID, tn.ID
			first, again := twice(t, l, tn, func() ([]Record, error) {
				return l.SettleTurn(t.Context(), start, tn, Ending{Token: RefundToken, Members: []Settlement{s}})
			})
			if first.State != s.To {
				t.Errorf("got %s", first.State)
			}
			if diff := cmp.Diff(first, again, cmp.AllowUnexported(Record{}), cmp.Comparer(func(a, b tasks.Email) bool { return a == b })); diff != "" {
				t.Errorf("the second time changed it (-first +second):\n%s", diff)
			}
		})
	}
}

// TestClaimsAndReadingsKeepApart: a reading settles nothing that is being sent,
// and a turn that comes late nothing that a reading has settled.
func TestClaimsAndReadingsKeepApart(t *testing.T) {
	l := open(t, Config{ClaimTTL: time.Second})
	admit(t, l, start, invite(t, "p@example.com"))
	tn := turn(t, l, start)
	made := Settlement{ID: tn.Batch[0].Invite.ID, Turn: tn.ID, To: tasks.Pending, InvitationID: "inv_1"}
	none := made
	none.To, none.InvitationID = tasks.Queued, ""
	settled := func(want int, got []Record, err error) {
		t.Helper()
		if err != nil || len(got) != want {
			t.Errorf("settled %d, want %d, %v", len(got), want, err)
		}
	}
	got, err := l.Settle(t.Context(), start, none)
	settled(0, got, err)
	late := start.Add(2 * time.Second)
	turn(t, l, late) // The claim has run out.
	got, err = l.SettleTurn(t.Context(), late, tn, Ending{Members: []Settlement{made}})
	settled(1, got, err)
	got, err = l.Settle(t.Context(), late, none)
	settled(0, got, err)
}

// go-redis repeats a script whose reply was lost: the same request for more members
// of a bulk claims nobody else.
func TestToppedUpOnce(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	for n := range 30 {
		admit(t, l, start, invite(t, fmt.Sprintf("p%d@example.com", n)))
	}
	tn := turn(t, l, start)
	args := []any{millis(start), tn.ID, tn.until, 3, "topup_1"}
	var replies [2][]string
	for n := range replies {
		var err error
		if replies[n], err = l.run(t.Context(), "topup", args...).StringSlice(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(replies[0], replies[1]); diff != "" || len(replies[0]) != 1+2*3 {
		t.Errorf("the same request claimed %d, then (-first +again):\n%s", len(replies[0])/2, diff)
	}
	if seq, _ := l.memory.last(); number(replies[0][0]) <= seq {
		t.Error("the claims have not moved the ledger on")
	}
	o, err := l.Overview(t.Context(), start)
	if err != nil || o.States[tasks.Sending] != int64(len(tn.Batch)+3) {
		t.Errorf("%d are being sent, %v; want %d", o.States[tasks.Sending], err, len(tn.Batch)+3)
	}
}
