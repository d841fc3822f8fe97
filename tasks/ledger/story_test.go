package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// TestAStoryIsWhole follows an invite through doubt, a hand and a comparison with
// Clerk, among others of the same moments.
func TestAStoryIsWhole(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	ctx := t.Context()
	i := invite(t, "ada@example.com")
	i.ImportID, i.Lane = "imp", tasks.Import
	var all []tasks.Invite
	for n := range 25 {
		other := invite(t, fmt.Sprintf("other%d@example.com", n))
		other.ImportID, other.Lane = "imp", tasks.Import
		all = append(all, other)
	}
	admit(t, l, Now, append(all[:7:7], append([]tasks.Invite{i}, all[7:]...)...)...)
	s, err := l.Story(ctx, Now, i.ID)
	if err != nil || !s.ETA.IsZero() || s.Waits != "No worker is running for this instance." {
		t.Fatalf("before the first worker: %+v, %v", s, err)
	}
	if _, err := l.Announce(ctx, Now, Fellow{Name: "one", NoClerk: true}); err != nil {
		t.Fatal(err)
	}
	s, err = l.Story(ctx, Now, i.ID)
	if err != nil || !s.ETA.IsZero() || !strings.HasPrefix(s.Waits, "Clerk does not answer") {
		t.Fatalf("while Clerk does not answer: %+v, %v", s, err)
	}
	hire(t, l, Now) // Clerk answers it.
	s, err = l.Story(ctx, Now, i.ID)
	if err != nil || s.Row != 8 || !s.Whole || len(s.Moments) != 1 || s.ETA.IsZero() || !strings.HasPrefix(s.Waits, "7 wait before it in the import lane") {
		t.Fatalf("before: %+v, %v", s, err)
	}
	for step, did := range []func() ([]bool, error){
		func() ([]bool, error) {
			for range 3 { // The first one claims ten.
				delivered(t, l, Now, turn(t, l, Now))
			}
			return []bool{true}, nil
		},
		func() ([]bool, error) {
			return l.Observe(ctx, Now, Observation{ID: i.ID, From: tasks.Pending, To: tasks.Expired, Reason: tasks.ReasonSeenAtClerk})
		},
		func() ([]bool, error) {
			return l.Observe(ctx, Now, Observation{ID: i.ID, From: tasks.Expired, To: tasks.Accepted, Reason: tasks.ReasonSeenAtClerk})
		},
	} {
		if done, err := did(); err != nil || !done[0] {
			t.Fatalf("step %d: %v, %v", step, done, err)
		}
		time.Sleep(2 * time.Millisecond) //nolint:forbidigo // Redis' own clock must go on
	}
	s, err = l.Story(ctx, Now, i.ID)
	if err != nil || !s.Whole || s.Row != 8 || s.Waits != "" {
		t.Fatalf("got %+v, %v", s, err)
	}
	var got []string
	for _, m := range s.Moments {
		got = append(got, m.State.String())
	}
	if want := "queued sending pending expired accepted"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	alone := invite(t, "alone@example.com")
	admit(t, l, Now, alone)
	delivered(t, l, Now, turn(t, l, Now))
	if s, err := l.Story(ctx, Now, alone.ID); err != nil || !s.Whole || s.Record.State == tasks.Queued {
		t.Errorf("of no import, asked for by nobody: %+v, %v", s, err)
	}
	// What is trimmed away is said to be missing; the last word stands in the record.
	if err := l.rdb.XTrimMaxLen(ctx, l.keys.of("events"), 0).Err(); err != nil {
		t.Fatal(err)
	}
	s, err = l.Story(ctx, Now, i.ID)
	if err != nil || s.Whole || s.Moments[len(s.Moments)-1].State != tasks.Accepted {
		t.Errorf("trimmed: %+v, %v", s, err)
	}
	if _, err := l.Story(ctx, Now, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// TestAStoryTellsThatCallsAreSpaced: an invite waits although calls are left.
func TestAStoryTellsThatCallsAreSpaced(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	hire(t, l, Now)
	const spaced = "They are spaced"
	first, last := waitsOf(t, l, 0, 340)
	if strings.Contains(first, spaced) || !strings.Contains(last, spaced) {
		t.Errorf("the first of 340 goes at once, the last is paced; got\n%s\n%s", first, last)
	}
	if _, last = waitsOf(t, l, 340, 1000); strings.Contains(last, spaced) {
		t.Errorf("there are not as many calls as people before it; got\n%s", last)
	}
}

// waitsOf admits rows of an import, and returns what the first and the last wait for.
func waitsOf(t *testing.T, l *Ledger, from, to int) (first, last string) {
	t.Helper()
	var all []tasks.Invite
	for n := from; n < to; n++ {
		i := invite(t, fmt.Sprintf("row%d@example.com", n))
		i.ImportID, i.Lane = "imp", tasks.Import
		all = append(all, i)
	}
	for some := range slices.Chunk(all, 100) {
		admit(t, l, Now, some...)
	}
	a, err := l.Story(t.Context(), Now, all[0].ID)
	b, err2 := l.Story(t.Context(), Now, all[len(all)-1].ID)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return a.Waits, b.Waits
}
