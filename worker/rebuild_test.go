package worker

import (
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// TestWipeInTheMiddleOfAnImport takes everything from Redis while a list is being
// sent, with calls in flight, and feeds the same list again: nobody is mailed
// twice, and everybody is invited. The worker either lives on or is started again.
func TestWipeInTheMiddleOfAnImport(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) { t.Parallel(); wipe(t, restart) })
	}
}

func wipe(t *testing.T, restart bool) {
	const everybody = 600
	server := redistest.Start(t)
	rdb := server.Client(t)
	s := &stage{t: t, redis: rdb, instance: "wiped", limits: ledger.Limits{
		Single: ledger.Limit{Calls: 100, Window: 3 * time.Second}, Bulk: ledger.Limit{Calls: 25, Window: 3 * time.Second},
	}}
	var err error
	s.sim, err = clerksim.New(clerksim.Config{
		Limits: clerksim.Limits{Single: clerksim.Limit{N: 100, Window: 3 * time.Second}, Bulk: clerksim.Limit{N: 25, Window: 3 * time.Second}},
		// Slow enough that calls are always in flight.
		Latency: clerksim.Latency{Median: 150 * time.Millisecond, P999: 500 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.sim.Close)
	quiet := func(c *Config) { c.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel) }
	_, stop := s.start(quiet)

	feed := func() enqueue.BulkResult {
		t.Helper()
		// Another process, which knows nothing of what was.
		producer, err := enqueue.New(enqueue.Config{RedisURL: server.URL(), Instance: s.instance})
		if err != nil {
			t.Fatal(err)
		}
		defer producer.Close()
		r, err := producer.BulkInvite(t.Context(), func(yield func(tasks.Invite, error) bool) {
			for n := range everybody {
				if !yield(person(n), nil) {
					return
				}
			}
		}, enqueue.BulkOptions{ImportID: "list"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	feed()
	for deadline := time.Now().Add(30 * time.Second); s.sim.Stats().Mails < everybody/3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d mails in 30 s", s.sim.Stats().Mails)
		}
	}
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	before := s.sim.Stats().Mails
	if restart {
		stop()
		_, _ = s.start(quiet)
	}
	if r := feed(); r.Admitted != everybody {
		t.Errorf("of %d invites %d were new to an empty ledger", everybody, r.Admitted)
	}

	s.ledger, err = ledger.Open(t.Context(), rdb, ledger.Config{Instance: s.instance})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for n := range everybody {
		ids = append(ids, tasks.ImportInviteID("list", person(n).EmailAddress))
	}
	counts := map[string]int{}
	for _, r := range s.await(5*time.Minute, ids...) {
		counts[r.State.String()+" "+string(r.Reason)]++
		if r.State != tasks.Pending && r.Reason != tasks.ReasonAlreadyInvited {
			t.Errorf("%s is %s (%s)", r.Invite.ID, r.State, r.Reason)
		}
	}
	for n := range everybody {
		if got := s.sim.Mails(fmt.Sprintf("person%d@example.com", n)); got != 1 {
			t.Errorf("person %d got %d mails", n, got)
		}
	}
	t.Logf("wiped after %d of %d mails; in the end %v", before, everybody, counts)

	// A pass with --adopt makes both sides agree again.
	pass := reconcile.Pass{Ledger: s.ledger, Clerk: s.client(clerk.Breaker{}), Full: true, Adopt: true}
	first, err := pass.Run(t.Context())
	if err != nil || first.Missing != 0 || first.Adopted != counts[string("rejected "+tasks.ReasonAlreadyInvited)] {
		t.Errorf("the first pass: %+v, %v", first, err)
	}
	pass = reconcile.Pass{Ledger: s.ledger, Clerk: s.client(clerk.Breaker{}), Full: true}
	if second, err := pass.Run(t.Context()); err != nil || second.Same != everybody || second.Differences() != 0 {
		t.Errorf("the second pass: %+v, %v", second, err)
	}
}
