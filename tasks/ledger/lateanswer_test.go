package ledger

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// TestLateAnswerBeginsReadingsAnew: a call's worker is taken for dead, one clean
// reading counts, and then the worker settles the turn as unknown. What was read
// before says nothing about a call that ended only now.
func TestLateAnswerBeginsReadingsAnew(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	i := invite(t, "ada@example.com")
	admit(t, l, start, i)
	claimed := turn(t, l, start)
	now := claimed.Deadline.Add(time.Second)
	turn(t, l, now) // finds that the claim has run out
	get := func() Record {
		t.Helper()
		records, err := l.Get(t.Context(), i.ID)
		if err != nil || len(records) != 1 || records[0].State != tasks.Unknown {
			t.Fatal(records, err)
		}
		return records[0]
	}
	r := get()
	reading := Settlement{ID: i.ID, Turn: r.Turn, To: tasks.Unknown, Reason: r.Reason, At: now.Add(15 * time.Second), Absent: 1}
	if _, err := l.Settle(t.Context(), now, reading); err != nil {
		t.Fatal(err)
	}
	if r = get(); r.Absent != 1 {
		t.Fatalf("%d clean readings, want 1", r.Absent)
	}
	answer := Ending{Members: []Settlement{{ID: i.ID, Turn: r.Turn, To: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, Call: LostCall}}}
	if _, err := l.SettleTurn(t.Context(), now, claimed, answer); err != nil {
		t.Fatal(err)
	}
	if r = get(); r.Absent != 0 {
		t.Errorf("%d clean readings after a late answer, want 0", r.Absent)
	}
}
