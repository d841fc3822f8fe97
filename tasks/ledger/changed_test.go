package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// TestListNewest reads every page of a state: each invite once, the last change first,
// also where hundreds have changed at the same moment.
func TestListNewest(t *testing.T) {
	l := open(t, Config{})
	var want []string
	for n := range 1300 {
		i := invite(t, fmt.Sprintf("p%d@example.com", n))
		i.ID = fmt.Sprintf("i%04d", n)
		admit(t, l, start, i)
		if _, err := l.Cancel(t.Context(), start.Add(time.Duration(n/700)*time.Second), i.ID); err != nil {
			t.Fatal(err)
		}
		want = append(want, i.ID)
	}
	slices.Reverse(want)
	var got []string
	for cursor, n := "", 0; n < 100; n++ {
		p, err := l.ListNewest(t.Context(), tasks.Canceled, cursor, time.Time{}, 90, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Records {
			got = append(got, r.Invite.ID)
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d invites, want %d in the order of their last change", len(got), len(want))
	}
	p, err := l.ListNewest(t.Context(), tasks.Canceled, "", start, 5, func(r Record) bool { return r.Invite.ID < "i0003" })
	if err != nil || len(p.Records) != 3 || p.Next != "" {
		t.Errorf("before and wanted: %d, %q, %v", len(p.Records), p.Next, err)
	}
	if _, err := l.ListNewest(t.Context(), tasks.Canceled, "nonsense", start, 5, nil); err == nil {
		t.Error("a cursor of nobody's is taken")
	}
}
