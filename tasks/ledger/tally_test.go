package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestTallyCountsByHourAndForEver(t *testing.T) {
	l, err := Open(t.Context(), redistest.Shared(t), Config{Instance: redistest.Instance(), Limits: ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	// The last two seconds of a day, so that the hours lie in two hashes.
	at := time.Date(2026, 5, 31, 23, 59, 58, 0, time.UTC)
	var last string
	for i, address := range []string{"ada@example.com", "bob@example.com", "cy@example.com"} {
		e, err := tasks.ParseEmail(address)
		if err != nil {
			t.Fatal(err)
		}
		now := at.Add(time.Duration(i) * 90 * time.Second)
		last = tasks.NewID("inq")
		if _, _, err := l.Admit(t.Context(), now, []tasks.Invite{{ID: last, EmailAddress: e}}); err != nil {
			t.Fatal(err)
		}
		turn, err := l.Turn(t.Context(), now, tasks.NewID("turn"))
		if err != nil || len(turn.Batch) != 1 {
			t.Fatalf("turn: %+v, %v", turn, err)
		}
		s := Settlement{ID: last, Turn: turn.ID, To: tasks.Pending, InvitationID: "inv_" + last}
		if i == 1 {
			s = Settlement{ID: last, Turn: turn.ID, To: tasks.Rejected, Reason: "existing_user"}
		}
		if _, err := l.SettleTurn(t.Context(), now, turn, Ending{Token: StampToken, Members: []Settlement{s}}); err != nil {
			t.Fatal(err)
		}
	}
	end := at.Add(4 * time.Minute)
	if _, err := l.Observe(t.Context(), end, Observation{ID: last, From: tasks.Pending, To: tasks.Accepted, Reason: tasks.ReasonSeenAtClerk}); err != nil {
		t.Fatal(err)
	}

	totals, err := l.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Totals{
		Moves: map[Move]int64{
			{tasks.Queued, tasks.Sending}: 3, {tasks.Sending, tasks.Pending}: 2, {tasks.Sending, tasks.Rejected}: 1, {tasks.Pending, tasks.Accepted}: 1,
		},
		Outcomes: map[Outcome]int64{{tasks.Pending, ""}: 2, {tasks.Rejected, "existing_user"}: 1, {tasks.Accepted, "seen_at_clerk"}: 1},
	}
	if diff := cmp.Diff(want, totals); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if totals.Delivered() != 2 {
		t.Errorf("got %d delivered, want 2", totals.Delivered())
	}

	hours, err := l.Hours(t.Context(), end, 3)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, h := range hours {
		got = append(got, h.Delivered())
	}
	if diff := cmp.Diff([]int64{0, 1, 1}, got); diff != "" {
		t.Errorf("deliveries by hour (-want +got):\n%s", diff)
	}
	if n := hours[2].Moves[Move{tasks.Sending, tasks.Rejected}]; n != 1 {
		t.Errorf("got %d rejected in the last hour, want 1", n)
	}
	if ttl := l.rdb.PTTL(t.Context(), l.keys.of("day")+"20604").Val(); ttl <= 39*24*time.Hour {
		t.Errorf("the day is kept for %s", ttl)
	}
}
