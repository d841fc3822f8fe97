package enqueue_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// listed makes a side with invites in several states, one import among them.
func listed(t *testing.T) side {
	t.Helper()
	s := newSide(t)
	for n, to := range []tasks.State{tasks.Pending, tasks.Pending, tasks.Rejected, tasks.Parked, tasks.Pending} {
		id := fmt.Sprintf("%v-%d", to, n)
		if _, err := s.Invite(t.Context(), tasks.Invite{ID: id, EmailAddress: email(t, id+"@example.com")}); err != nil {
			t.Fatal(err)
		}
		s.drive(t, id, to)
	}
	if _, err := s.BulkInvite(t.Context(), numbered(t, 7), enqueue.BulkOptions{ImportID: "spring"}); err != nil {
		t.Fatal(err)
	}
	for _, place := range []int{2, 5} {
		if _, err := s.Revoke(t.Context(), fmt.Sprintf("p%d@example.com", place)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestListPagesLoseNobody(t *testing.T) {
	s := listed(t)
	for _, c := range []struct {
		name string
		opts enqueue.ListOptions
		want int
	}{
		{"everything", enqueue.ListOptions{}, 12},
		{"one state", enqueue.ListOptions{States: []tasks.State{tasks.Pending}}, 3},
		{"two states", enqueue.ListOptions{States: []tasks.State{tasks.Queued, tasks.Rejected}}, 6},
		{"a state with nobody", enqueue.ListOptions{States: []tasks.State{tasks.Expired}}, 0},
		{"an import", enqueue.ListOptions{ImportID: "spring"}, 7},
		{"an import's canceled", enqueue.ListOptions{ImportID: "spring", States: []tasks.State{tasks.Canceled}}, 2},
	} {
		for _, limit := range []int{0, 1, 2, 3, 1000} {
			t.Run(fmt.Sprintf("%s by %d", c.name, limit), func(t *testing.T) {
				seen := map[string]bool{}
				opts := c.opts
				opts.Limit = limit
				for pages := 0; ; pages++ {
					page, err := s.List(t.Context(), opts)
					if err != nil || pages > 100 || limit > 0 && len(page.Invites) > limit {
						t.Fatalf("page %d: got %d, %v", pages, len(page.Invites), err)
					}
					for _, i := range page.Invites {
						if seen[i.ID] || len(opts.States) > 0 && !slices.Contains(opts.States, i.State) {
							t.Errorf("got %s (%v) again or unasked", i.ID, i.State)
						}
						seen[i.ID] = true
					}
					if opts.Cursor = page.Next; page.Next == "" {
						break
					}
				}
				if len(seen) != c.want {
					t.Errorf("got %d, want %d", len(seen), c.want)
				}
			})
		}
	}
}

func TestAll(t *testing.T) {
	s := listed(t)
	for limit, want := range map[int]int{0: 7, 3: 3, 100: 7} {
		n := 0
		for i, err := range s.All(t.Context(), enqueue.ListOptions{ImportID: "spring", Limit: limit}) {
			if err != nil {
				t.Fatal(err)
			}
			if address := fmt.Sprintf("p%d@example.com", n); i.EmailAddress.Raw() != address {
				t.Errorf("place %d: got another address", n)
			}
			n++
		}
		if n != want {
			t.Errorf("limit %d: got %d, want %d", limit, n, want)
		}
	}
	for range s.All(t.Context(), enqueue.ListOptions{}) {
		break // Breaking off is allowed.
	}
}

func TestAllKeepsTheLimitBehindAFilter(t *testing.T) {
	s := listed(t)
	var got []tasks.State
	for i, err := range s.All(t.Context(), enqueue.ListOptions{ImportID: "spring", States: []tasks.State{tasks.Canceled}, Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, i.State)
	}
	if diff := cmp.Diff([]tasks.State{tasks.Canceled, tasks.Canceled}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestListRefuses(t *testing.T) {
	s := listed(t)
	if _, err := s.List(t.Context(), enqueue.ListOptions{ImportID: "nothing"}); !errors.Is(err, enqueue.ErrNotFound) {
		t.Errorf("an import that is not known: got %v, want ErrNotFound", err)
	}
	for _, o := range []enqueue.ListOptions{
		{Cursor: "nonsense"},
		{Cursor: "queued|nonsense"},
		{Cursor: "pending|0,1,x", States: []tasks.State{tasks.Queued}},
		{Cursor: "nonsense", ImportID: "spring"},
	} {
		if _, err := s.List(t.Context(), o); err == nil {
			t.Errorf("cursor %q: got no error", o.Cursor)
		}
		for _, err := range s.All(t.Context(), o) {
			if err == nil {
				t.Errorf("cursor %q: got no error from All", o.Cursor)
			}
		}
	}
}

// TestTwentyThousandFailures lets a long list miss its deadline at once. Every one
// is listed once, with its reason, although many failed in the same millisecond;
// and none is ever trimmed, because failures wait for a person.
func TestTwentyThousandFailures(t *testing.T) {
	const many = 20_000
	s := newSide(t)
	ctx, now := t.Context(), time.Now()
	late := func(yield func(tasks.Invite, error) bool) {
		for i, err := range numbered(t, many) {
			i.Deadline = now.Add(time.Hour)
			if !yield(i, err) {
				return
			}
		}
	}
	if _, err := s.BulkInvite(ctx, late, enqueue.BulkOptions{ImportID: "late"}); err != nil {
		t.Fatal(err)
	}
	for later := now.Add(2 * time.Hour); ; {
		turn, err := s.ledger.Turn(ctx, later, tasks.NewID("turn"))
		if err != nil || len(turn.Batch) > 0 {
			t.Fatalf("got %d to send, %v; want nobody", len(turn.Batch), err)
		}
		view, err := s.ledger.Overview(ctx, later)
		if err != nil {
			t.Fatal(err)
		}
		if view.States[tasks.Queued] == 0 {
			break
		}
	}
	if _, err := s.ledger.Trim(ctx, now.Add(1000*time.Hour), time.Hour, many); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, err := range s.All(ctx, enqueue.ListOptions{States: []tasks.State{tasks.Failed}}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[i.ID] || i.Reason != "too_old" {
			t.Fatalf("got %s again, or for the reason %q", i.ID, i.Reason)
		}
		seen[i.ID] = true
	}
	if len(seen) != many {
		t.Errorf("got %d failures, want %d", len(seen), many)
	}
}
