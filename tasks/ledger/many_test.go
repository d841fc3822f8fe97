package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// sweepAll carries a wish on until nothing changes any more.
func sweepAll(t *testing.T, l *Ledger, now time.Time, id string) Many {
	t.Helper()
	for last := -1; ; {
		r, err := l.SweepRequest(t.Context(), now, id)
		must(t, err)
		if r.Many.Begun() && r.Many.Waiting == last {
			return *r.Many
		}
		last = r.Many.Waiting
	}
}

var revocable = []tasks.State{tasks.Queued, tasks.Sending, tasks.Unknown, tasks.Pending, tasks.Parked}

// clerkSays writes down what became of invitations at Clerk.
func clerkSays(t *testing.T, l *Ledger, now time.Time, to tasks.State, why tasks.Reason, ids ...string) {
	t.Helper()
	for _, id := range ids {
		moved, err := l.Observe(t.Context(), now, Observation{ID: id, From: tasks.Pending, To: to, Reason: why})
		if err != nil || !moved[0] {
			t.Fatalf("%s → %s: %v %v", id, to, moved, err)
		}
	}
}

// TestRevokeImport: what was not sent is canceled, what is with Clerk is revoked in the
// end, and who comes into the import afterwards is not meant. Meanwhile it stands still.
func TestRevokeImport(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	now := start
	admitList(t, l, now, "long", 1000)
	sent := delivered(t, l, now, turn(t, l, now))
	flying := turn(t, l, now)
	r, err := l.RequestMany(t.Context(), now, "long", revocable, false)
	must(t, err)
	if i, err := l.Import(t.Context(), "long"); err != nil || i.Standing() != tasks.ImportRevoking {
		t.Errorf("it is %s, %v", i.Standing(), err)
	}
	if next, err := l.Turn(t.Context(), now, tasks.NewID("turn")); err != nil || len(next.Batch) > 0 {
		t.Errorf("%d rows of it were claimed, %v", len(next.Batch), err)
	}
	admitList(t, l, now, "long", 1030)
	got := sweepAll(t, l, now, r.ID)
	if got.Rows != 1000 || got.Canceled != 980 || got.Waiting != 20 || !got.Begun() {
		t.Errorf("got %+v", got)
	}
	delivered(t, l, now, flying)
	for i, s := range sent {
		if i == 0 {
			clerkSays(t, l, now, tasks.Accepted, tasks.ReasonTooLateToRevoke, s.Invite.ID)
		} else {
			clerkSays(t, l, now, tasks.Revoked, tasks.ReasonRevokeRequested, s.Invite.ID)
		}
	}
	if got = sweepAll(t, l, now, r.ID); got.Revoked != 9 || got.TooLate != 1 || got.Waiting != 10 {
		t.Errorf("got %+v", got)
	}
	for _, s := range flying.Batch {
		clerkSays(t, l, now, tasks.Revoked, tasks.ReasonRevokeRequested, s.Invite.ID)
	}
	if got = sweepAll(t, l, now, r.ID); got.Revoked != 19 || got.Waiting != 0 {
		t.Errorf("got %+v", got)
	}
	r.Many = &got
	must(t, l.CloseRevokeRequest(t.Context(), r.ID, r.Done(nil, nil)))
	if _, err := l.SweepRequest(t.Context(), now, r.ID); !errors.Is(err, ErrNotFound) {
		t.Error("it can be carried on although it is closed", err)
	}
	if done, err := l.RevokeDone(t.Context(), r.ID); err != nil || done.Canceled != 980 || done.Revoked != 19 || len(done.Invitations) != 19 || done.ImportID != "long" {
		t.Errorf("got %+v, %v", done, err)
	}
	if order := len(sentInOrder(t, l, now, 30, listOf)); order != 30 {
		t.Errorf("of those who came after the wish %d went, want 30", order)
	}
	audit(t, l)
}

// TestRevokeImportInFewSteps: ten thousand that were not sent are canceled in as many steps
// as they are chunks, which takes some seconds.
func TestRevokeImportInFewSteps(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	admitList(t, l, start, "long", 10_000)
	must(t, l.PauseImport(t.Context(), start, "long")) // A person's pause stands afterwards.
	begun := time.Now()
	r, err := l.RequestMany(t.Context(), start, "long", revocable, false)
	must(t, err)
	steps := 0
	for r.Many.Canceled < 10_000 && steps < 100 {
		r, err = l.SweepRequest(t.Context(), start, r.ID)
		must(t, err)
		steps++
	}
	t.Logf("10,000 canceled in %s", time.Since(begun))
	if steps != 10_000/SweepAtOnce || r.Many.Waiting != 0 {
		t.Errorf("got %+v in %d steps", r.Many, steps)
	}
	admitList(t, l, start, "long", 10_001)
	if i, err := l.Import(t.Context(), "long"); err != nil || i.Standing() != tasks.ImportPaused {
		t.Errorf("it is %s, %v", i.Standing(), err)
	}
	audit(t, l)
}

// TestRenew: who has run out is invited anew at once, who is pending once that is
// revoked; each once, however often the wish is repeated, and nobody who has a newer
// invite or has signed up.
func TestRenew(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	now := start
	admitList(t, l, now, "list", 5)
	delivered(t, l, now, turn(t, l, now))
	id := func(n int) string { return fmt.Sprintf("list-%d", n) }
	clerkSays(t, l, now, tasks.Expired, tasks.ReasonSeenAtClerk, id(0), id(1), id(4))
	newer := invite(t, "list-4@example.com")
	admit(t, l, now, newer)
	delivered(t, l, now, turn(t, l, now))

	states := []tasks.State{tasks.Expired, tasks.Pending}
	r, err := l.RequestMany(t.Context(), now, "list", states, true)
	must(t, err)
	if got := sweepAll(t, l, now, r.ID); got.Renewed != 2 || got.Skipped != 1 || got.Waiting != 2 {
		t.Errorf("got %+v", got)
	}
	for n, s := range map[int]tasks.State{0: tasks.Expired, 2: tasks.Pending} {
		found, err := l.FindAddress(t.Context(), invite(t, id(n)+"@example.com").EmailAddress)
		must(t, err)
		if first := found[len(found)-1]; first.State != s || len(found) != 2-n/2 {
			t.Errorf("%s: %d invites, the first is %s", id(n), len(found), first.State)
		}
	}
	clerkSays(t, l, now, tasks.Revoked, tasks.ReasonRevokeRequested, id(2))
	clerkSays(t, l, now, tasks.Accepted, tasks.ReasonTooLateToRevoke, id(3))
	if got := sweepAll(t, l, now, r.ID); got.Renewed != 3 || got.Revoked != 1 || got.TooLate != 1 || got.Waiting != 0 {
		t.Errorf("got %+v", got)
	}
	again, err := l.RequestMany(t.Context(), now, "", append(states, tasks.Revoked), true, id(0), id(1), id(2), id(3), id(4))
	must(t, err)
	if got := sweepAll(t, l, now, again.ID); got.Renewed != 0 || got.Skipped != 4 || got.Waiting != 0 {
		t.Errorf("again: got %+v", got)
	}
	batch := turn(t, l, now).Batch
	if len(batch) != 3 {
		t.Fatalf("%d go, want 3", len(batch))
	}
	lines, err := l.Lines(t.Context(), "list", batch)
	must(t, err)
	for n, r := range batch {
		if want := fmt.Sprintf("list-%d@example.com", lines[n]-2); r.Invite.EmailAddress.Raw() != want {
			t.Errorf("a renewed invite stands on line %d, which is that of %s", lines[n], want)
		}
		if r.Invite.ImportID != "list" || r.Invite.Lane != tasks.Import {
			t.Errorf("%s is of import %q and goes in the %s lane", r.Invite.ID, r.Invite.ImportID, r.Invite.Lane)
		}
	}
	if i, err := l.Import(t.Context(), "list"); err != nil || i.Total != 8 {
		t.Errorf("the import has %d invites, %v", i.Total, err)
	}
	audit(t, l)
}
