package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// TestSamplesOfTheHour: the charts get the highest of what rises and falls, the sum of what
// many workers have seen, and every gate that was closed.
func TestSamplesOfTheHour(t *testing.T) {
	l, err := Open(t.Context(), redistest.Shared(t), Config{Instance: redistest.Instance(), Limits: ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 31, 10, 0, 1, 0, time.UTC)
	var one []tasks.Invite
	for _, address := range []string{"ada@example.com", "bob@example.com", "cy@example.com"} {
		e, err := tasks.ParseEmail(address)
		if err != nil {
			t.Fatal(err)
		}
		one = append(one, tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: e})
	}
	if _, _, err := l.Admit(t.Context(), at, one); err != nil {
		t.Fatal(err)
	}
	sample := func(now time.Time, version string, w Waits) {
		t.Helper()
		if err := l.Sample(t.Context(), now, version, w); err != nil {
			t.Fatal(err)
		}
	}
	sample(at, "v1.0:rc", Waits{0: 1, 3: 2})
	turn, err := l.Turn(t.Context(), at.Add(time.Minute), tasks.NewID("turn"))
	if err != nil || len(turn.Batch) == 0 {
		t.Fatalf("turn: %+v, %v", turn, err)
	}
	sample(at.Add(2*time.Minute), "v2", Waits{3: 1})
	sample(at.Add(2*time.Hour), "", nil)
	for _, g := range []GateChange{
		{Endpoint: Bulk, Until: at.Add(time.Hour), Why: tasks.CauseQuota, Surprise: true}, {Endpoint: Other, Until: at.Add(time.Hour), Why: tasks.CauseQuota},
		{Endpoint: All, Until: at.Add(time.Hour), Why: tasks.CauseUnauthorized},
	} {
		if err := l.SetGate(t.Context(), at.Add(time.Hour), g); err != nil {
			t.Fatal(err)
		}
	}
	hours, err := l.Hours(t.Context(), at.Add(2*time.Hour), 3)
	if err != nil {
		t.Fatal(err)
	}
	first := hours[0]
	if first.Waiting != 3 || first.Spent[Single]+first.Spent[Bulk] != 1 || !first.Versions["v1.0:rc"] || !first.Versions["v2"] || len(first.Versions) != 2 {
		t.Errorf("the first hour: %+v", first)
	}
	if diff := cmp.Diff(Waits{0: 1, 3: 3}, first.Waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if hours[1].Refused() != 2 || hours[1].Closed[All][tasks.CauseUnauthorized] != 1 {
		t.Errorf("gates: %+v", hours[1].Closed)
	}
	if last := hours[2]; !last.Versions["unknown"] || last.Waiting > 2 || last.Refused() != 0 {
		t.Errorf("the last hour: %+v", last)
	}
}

func TestQuantiles(t *testing.T) {
	w := Waits{}
	if got := w.Quantile(0.5); got != 0 {
		t.Errorf("of nobody: %s", got)
	}
	for range 98 {
		w.Add(900 * time.Millisecond)
	}
	w.Add(time.Hour)
	w.Add(1000 * time.Hour)
	if got := w.Quantile(0.5); got < 500*time.Millisecond || got > time.Second {
		t.Errorf("p50 is %s", got)
	}
	if got := w.Quantile(0.99); got < 34*time.Minute || got > 69*time.Minute {
		t.Errorf("p99 is %s", got)
	}
	if got := w.Quantile(1); got < 10*24*time.Hour {
		t.Errorf("the longest is %s", got)
	}
	instant := Waits{}
	instant.Add(0)
	if got := instant.Quantile(0.99); got > firstWait {
		t.Errorf("at once: %s", got)
	}
}
