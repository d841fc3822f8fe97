package ledger

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

func TestEventsReachAGroupOnceAndOutliveAConsumer(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	i := invite(t, "ada@example.com")
	i.Lane, i.ImportID = tasks.Import, "imp"
	admit(t, l, start, i)
	delivered(t, l, start, turn(t, l, start))

	read := func(consumer string, n int) (got []string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for e, err := range l.ConsumeEvents(ctx, "g", consumer) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.InviteID+e.ImportID+" "+e.From+"→"+e.To)
			if len(got) == n {
				break // The last one is not confirmed.
			}
		}
		return got
	}
	want := []string{i.ID + "imp queued→sending", i.ID + "imp sending→pending", "imp →import_completed"}
	if got := read("a", 2); !slices.Equal(got, want[:2]) {
		t.Errorf("got %q, want %q", got, want[:2])
	}
	// The same consumer, restarted, goes on with what it has not confirmed.
	if got := read("a", 2); !slices.Equal(got, want[1:]) {
		t.Errorf("after a restart: got %q, want %q", got, want[1:])
	}
	recent, err := l.RecentEvents(t.Context(), 10)
	if err != nil || len(recent) != 3 || recent[1].ID != i.ID+":2" || !recent[1].At.Equal(start) {
		t.Errorf("got %+v, %v", recent, err)
	}
}
