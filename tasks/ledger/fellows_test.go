package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// TestFellows lets two workers of one ledger announce themselves, the second with
// other limits, until the first has not been there for a while.
func TestFellows(t *testing.T) {
	one := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	limits := ClerkLimits
	limits.Single, limits.Bulk = Limit{50, time.Hour}, Limit{5, 10 * time.Minute}
	two, err := Open(t.Context(), redistest.Shared(t), Config{Instance: one.Instance(), Limits: limits, Reserve: 7})
	if err != nil {
		t.Fatal(err)
	}
	announce := func(l *Ledger, after time.Duration, name string, since time.Duration, want int) string {
		t.Helper()
		all, err := l.Announce(t.Context(), start.Add(after), Fellow{Name: name, Since: start.Add(since)})
		if err != nil || len(all) != want {
			t.Fatalf("got %v, %v; want %d", all, err, want)
		}
		return Disagreement(all)
	}
	if said := announce(one, 0, "one", 0, 1); said != "" {
		t.Errorf("alone: %s", said)
	}
	said := announce(two, 10*time.Second, "two", 10*time.Second, 2)
	for _, want := range []string{
		"one (single 100/1h, bulk 25/1h of 10, all calls 1000/10s, reserve auto)",
		"two (single 50/1h, bulk 5/10m of 10, all calls 1000/10s, reserve 7)",
		"up to the highest: single 100/1h, bulk 5/10m, all calls 1000/10s", "follow two", "INVITEQ_LIMIT_SINGLE",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want it to say %q", said, want)
		}
	}
	if said := announce(two, time.Minute, "two", 10*time.Second, 1); said != "" {
		t.Errorf("once the first is gone: %s", said)
	}
	announce(two, 2*time.Hour, "two", 10*time.Second, 1)
	if n, err := one.rdb.HLen(t.Context(), one.keys.of("workers")).Result(); n != 1 || err != nil {
		t.Errorf("got %d entries, %v; want the other forgotten", n, err)
	}
	if (higher(Limit{100, time.Hour}, Limit{}) != Limit{}) {
		t.Error("no limit is higher than any")
	}
}
