package preflight_test

import (
	"fmt"
	"iter"
	"os"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/worker/preflight"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

func setup(t *testing.T, limits ledger.Limits) (*clerksim.Sim, preflight.Check) {
	t.Helper()
	sim, err := clerksim.New(clerksim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: "http://127.0.0.1/v1", DialContext: sim.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l, err := ledger.Open(t.Context(), redistest.Shared(t), ledger.Config{Instance: redistest.Instance(), Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return sim, preflight.Check{Ledger: l, Clerk: c, Deliver: true}
}

func people(t *testing.T, n int) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for i := range n {
			e, err := tasks.ParseEmail(fmt.Sprintf("p%d@example.com", i))
			if err != nil {
				t.Fatal(err)
			}
			if !yield(tasks.Invite{EmailAddress: e, ID: fmt.Sprint("row-", i), Lane: tasks.Import}, nil) {
				return
			}
		}
	}
}

// TestTenThousand takes no more than its share of the read quota, and tells how far
// it has come.
func TestTenThousand(t *testing.T) {
	limits := ledger.ClerkLimits
	limits.Other = ledger.Limit{Calls: 250, Window: time.Second} // A share of a fifth is 50 reads a second.
	sim, check := setup(t, limits)
	for n := range 10_000 {
		if n%50 == 0 {
			sim.AddUser(fmt.Sprintf("p%d@example.com", n))
		}
	}
	var told []int
	check.Progress = func(f preflight.Forecast) { told = append(told, f.Asked) }
	began := time.Now()
	f, err := check.Run(t.Context(), people(t, 10_000), 10_000)
	if err != nil || f.ToSend != 9800 || f.Users != 200 || f.Asked != 10_000 {
		t.Fatalf("got %+v, %v", f, err)
	}
	if f.Reads > 110 || len(told) != 100 || told[99] != 10_000 {
		t.Errorf("%d reads, told %d times", f.Reads, len(told))
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("%d reads took %v: more than 50 a second", f.Reads, took)
	}
	if f.ETA.Before(began.Add(24 * time.Hour)) {
		t.Errorf("9,800 would be done at %v", f.ETA)
	}

	// Nobody is there to deliver it.
	check.Deliver = false
	if f, err := check.Run(t.Context(), people(t, 300), 300); err != nil || f.ToSend == 0 || f.ETA != nil {
		t.Errorf("without a worker: got %+v, %v", f, err)
	}
}

// TestShortList asks for each person rather than reading a long list of pending
// invitations.
func TestShortList(t *testing.T) {
	sim, check := setup(t, ledger.ClerkLimits)
	for n := range 1600 {
		if _, err := sim.CreateForeign(fmt.Sprintf("p%d@example.com", n+1)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := check.Run(t.Context(), people(t, 2), 2)
	if err != nil || f.ToSend != 1 || f.Invited != 1 || f.Reads != 4 {
		t.Errorf("got %+v, %v", f, err)
	}
}
