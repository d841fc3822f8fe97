package clerksim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestPeak compares with every window that begins at a request.
func TestPeak(t *testing.T) {
	cfg := clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Limit{N: 5, Window: time.Minute}}}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
		r := rand.New(rand.NewPCG(8, 9))
		for i := range 300 {
			c.create(fmt.Sprintf(`{"email_address":"p%d@example.com"}`, i))
			later(time.Duration(r.IntN(20)) * time.Second)
		}
		for _, window := range []time.Duration{time.Second, 30 * time.Second, time.Minute, time.Hour} {
			var want, wantJudged int
			calls := sim.Calls()
			for i, first := range calls {
				var in, judged int
				for _, c := range calls[i:] {
					if c.Time.Before(first.Time.Add(window)) {
						judged++
						if c.Admitted {
							in++
						}
					}
				}
				want, wantJudged = max(want, in), max(wantJudged, judged)
			}
			if got, gotJudged := sim.Peak(clerksim.Single, window); got != want || gotJudged != wantJudged {
				t.Errorf("%v: peak %d and %d, want %d and %d", window, got, gotJudged, want, wantJudged)
			}
		}
		if got, _ := sim.Peak(clerksim.Bulk, time.Hour); got != 0 {
			t.Errorf("peak of an idle endpoint: %d", got)
		}
		if got, _ := sim.Peak(clerksim.Single, time.Minute); got != 5 {
			t.Errorf("peak %d, want the limit", got)
		}
	})
}

func TestMaxHistory(t *testing.T) {
	cfg := clerksim.Config{MaxHistory: 10, Limits: clerksim.Limits{Single: clerksim.Unlimited}}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
		for i := range 105 {
			c.invite(fmt.Sprintf("p%d@example.com", i))
		}
		calls, mails := sim.Calls(), sim.MailLog()
		if len(calls) < 10 || len(calls) >= 20 || len(mails) != len(calls) {
			t.Errorf("%d calls and %d mails kept, want at least 10 and less than 20", len(calls), len(mails))
		}
		if got := calls[len(calls)-1].Addresses[0]; got != "p104@example.com" {
			t.Errorf("the newest call kept is of %s", got)
		}
		if sim.Count(clerksim.OpCreate) != 105 || sim.Stats().Mails != 105 || sim.Mails("p0@example.com") != 1 {
			t.Errorf("counters are bounded: %+v", sim.Stats())
		}
	})
}

func TestStats(t *testing.T) {
	cfg := clerksim.Config{Limits: clerksim.Limits{Bulk: clerksim.Limit{N: 1, Window: time.Hour}}}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.bulk("a@example.com", "b@example.com")
		c.bulk("c@example.com")
		sim.Inject("", clerksim.Fault{Kind: clerksim.DropAfter}, 1)
		_, _ = c.try("POST", "/invitations", `{"email_address":"d@example.com"}`)
		sim.Inject("", clerksim.Fault{Kind: clerksim.ErrorBefore}, 1)
		c.do("GET", "/users", "")
		sim.AddUser("u@example.com")
		want := clerksim.Stats{
			Calls:       map[clerksim.Op]int{clerksim.OpBulkCreate: 2, clerksim.OpCreate: 1, clerksim.OpUsers: 1},
			Throttled:   map[clerksim.Endpoint]int{clerksim.Bulk: 1},
			Invitations: map[clerksim.Status]int{clerksim.StatusPending: 3, clerksim.StatusAccepted: 0, clerksim.StatusRevoked: 0, clerksim.StatusExpired: 0},
			Mails:       3, MaxMails: 1, Users: 1, Unanswered: 1, Errors: 1,
		}
		if diff := cmp.Diff(want, sim.Stats()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if sim.Count("") != 4 || sim.CountStatus("", 0) != 1 {
			t.Errorf("counted %d, unanswered %d", sim.Count(""), sim.CountStatus("", 0))
		}
	})
}

func TestOnCall(t *testing.T) {
	var calls []clerksim.Call
	cfg := clerksim.Config{OnCall: func(c clerksim.Call) { calls = append(calls, c) }}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.invite("a@example.com")
		c.create(oneInvitation)
		if diff := cmp.Diff(sim.Calls(), calls); diff != "" || calls[1].Code != "duplicate_record" || calls[1].UserAgent != "clerksim-test/1" {
			t.Errorf("told %+v", calls)
		}
	})
}

// TestSeedReplays runs the same concurrent traffic twice: ids, moments and
// faults follow from the seed, however the goroutines were scheduled.
func TestSeedReplays(t *testing.T) {
	run := func(seed uint64) (got []string) {
		rules, err := clerksim.ParseFaults("drop-after:20%")
		if err != nil {
			t.Fatal(err)
		}
		cfg := clerksim.Config{Seed: seed, Latency: clerksim.TypicalLatency, Rules: rules}
		inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
			start := time.Now()
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					_, _ = c.try("POST", "/invitations", fmt.Sprintf(`{"email_address":"p%d@example.com"}`, i))
				})
			}
			wg.Wait()
			for _, call := range sim.Calls() {
				id := sim.ByAddress(call.Addresses[0])[0].ID
				got = append(got, fmt.Sprint(call.Addresses[0], call.Time.Sub(start), call.Status, id))
			}
			slices.Sort(got)
		})
		return got
	}
	first := run(1)
	if diff := cmp.Diff(first, run(1)); diff != "" {
		t.Errorf("one seed, two runs:\n%s", diff)
	}
	if slices.Equal(first, run(2)) {
		t.Error("another seed, the same run")
	}
}

// TestLatency checks the distribution and that commits fall within the request.
func TestLatency(t *testing.T) {
	cfg := clerksim.Config{Latency: clerksim.TypicalLatency, Limits: clerksim.Limits{Other: clerksim.Unlimited}}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
		const n = 3000
		took, starts := make([]time.Duration, n), make([]time.Time, n)
		for i := range took {
			starts[i] = time.Now()
			c.list("")
			took[i] = time.Since(starts[i])
		}
		for i, call := range sim.Calls() {
			if at := call.Time.Sub(starts[i]); at < 0 || at > took[i] {
				t.Fatalf("judged %v after the start of a request that took %v", at, took[i])
			}
		}
		slices.Sort(took)
		if m := took[n/2]; m < 180*time.Millisecond || m > 200*time.Millisecond {
			t.Errorf("median %v", m)
		}
		if p := took[n*999/1000]; p < 1300*time.Millisecond || p > 2500*time.Millisecond {
			t.Errorf("p99.9 %v", p)
		}
	})
}
