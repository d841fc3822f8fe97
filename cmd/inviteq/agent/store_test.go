package agent

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// TestAllowance: what was applied counts for a day, for its owner and its kind, and once;
// what is refused does not count.
func TestAllowance(t *testing.T) {
	now := time.Now()
	s := NewStore(redistest.Shared(t), redistest.Instance())
	s.now = func() time.Time { return now }
	start := now
	for n, step := range []struct {
		at     time.Duration
		id     string
		kind   Kind
		owner  string
		people int
		fits   bool
	}{
		{0, "p1", Invite, "ada", 12, true},
		{0, "p2", Invite, "ada", 9, false},
		{0, "p2", Revoke, "ada", 9, true},
		{0, "p2", Invite, "bob", 9, true},
		{time.Hour, "p3", Invite, "ada", 8, true},
		{time.Hour, "p1", Invite, "ada", 12, true},
		{time.Hour, "p4", Invite, "ada", 1, false},
		{24 * time.Hour, "p4", Invite, "ada", 12, true},
		{24 * time.Hour, "p5", Invite, "ada", 1, false},
		{25 * time.Hour, "p5", Invite, "ada", 8, true},
		{25 * time.Hour, "p6", Invite, "ada", 21, false},
	} {
		now = start.Add(step.at)
		err := s.spend(t.Context(), Request{ID: step.id, Kind: step.kind, Owner: step.owner, People: step.people}, 20)
		if _, refused := errors.AsType[*approvalError](err); refused == step.fits || err != nil && !refused {
			t.Errorf("step %d (%s): %v", n, step.id, err)
		}
	}
}

// TestPlansAreBounded: an agent that makes plans and plans fills no Redis.
func TestPlansAreBounded(t *testing.T) {
	s := NewStore(redistest.Shared(t), redistest.Instance())
	values := map[string]any{}
	for n := range mostNoted {
		values[fmt.Sprint("p", n)] = fmt.Sprintf(`{"plan":"p%d","at":%q}`, n, time.Now().Format(time.RFC3339))
	}
	if err := s.rdb.HSet(t.Context(), s.key, values).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.ask(t.Context(), Request{ID: "p5"}); err != nil {
		t.Errorf("one that is known: %v", err)
	}
	if err := s.ask(t.Context(), Request{ID: "more"}); err == nil {
		t.Error("it takes any number of plans")
	}
}
