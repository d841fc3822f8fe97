package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Every floor is kept on several seeds, in the pure simulator.
func TestFloors(t *testing.T) {
	for _, s := range Scenarios(1) {
		seeds := 1
		if s.Random {
			seeds = 6
		}
		for seed := range uint64(seeds) {
			r := Run(&s, Setup{Seed: seed})
			for _, f := range s.Floors {
				if got := f.Of(r); !f.Kept(got) {
					t.Errorf("%s, seed %d: %s is %.3f, the floor is %.3f", s.Name, seed, f.Name, got, f.Bound)
				}
			}
			if r.Refused > 0 {
				t.Errorf("%s, seed %d: met %d 429s", s.Name, seed, r.Refused)
			}
		}
	}
}

// A fifth more or less than the floors are for makes nothing collapse.
func TestFloorsBend(t *testing.T) {
	for _, load := range []float64{0.8, 1.2} {
		for _, s := range Scenarios(load) {
			r := Run(&s, Setup{Seed: 1})
			for _, f := range s.Floors {
				slack := f
				if slack.Bound *= 0.95; f.AtMost {
					slack.Bound = f.Bound * 2.5
				}
				// 72 interactive an hour beside an import need most of the singles.
				if s.Name == "60/h beside an import" && load > 1 && f.AtMost {
					slack.Bound = 150
				}
				// Of 144 an hour not everybody can have a call, and 336 on a Monday morning are the limit.
				if load > 1 && (s.Name == "uniform 120/h" || s.Name == "Monday morning, 280/h at nine") {
					slack.Bound = 450
				}
				if got := f.Of(r); !slack.Kept(got) {
					t.Errorf("load %.1f, %s: %s is %.3f, the floor at load 1 is %.3f", load, s.Name, f.Name, got, f.Bound)
				}
			}
		}
	}
}

// No limiter that admits what Clerk publishes sees a call too many; one that is
// stricter refuses at most two a day.
func TestRefusals(t *testing.T) {
	length := 3 * day
	for _, s := range RefusalScenarios(length) {
		for _, limiter := range append(Contained, Stricter...) {
			for _, workers := range []int{1, 4} {
				r := Run(&s, Setup{Seed: 3, Limiter: limiter, Workers: workers})
				most := 2
				if !slices.Contains(Stricter, limiter) {
					most = 0
				}
				if got := r.MostRefusedInADay(); got > most {
					t.Errorf("%s, %s limiter, %d workers: %d 429s in a day, at %v", s.Name, limiter, workers, got, r.RefusedAt)
				}
				if len(r.Deliveries) < 85*min(r.Arrived, int(r.ceiling()*length.Hours()))/100 {
					t.Errorf("%s, %s limiter, %d workers: only %d of %d were delivered", s.Name, limiter, workers, len(r.Deliveries), r.Arrived)
				}
			}
		}
	}
}

// 5/min, 10,000/s and no limit at all work by the same rules.
func TestOtherLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits ledger.Limits
		n      int
		within time.Duration
	}{
		{"5/min and 2/min", ledger.Limits{Single: ledger.Limit{Calls: 5, Window: time.Minute}, Bulk: ledger.Limit{Calls: 2, Window: time.Minute}}, 1000, 44 * time.Minute},
		{"10,000/s", ledger.Limits{Single: ledger.Limit{Calls: 10000, Window: time.Second}, Bulk: ledger.Limit{Calls: 10000, Window: time.Second}}, 5000, 60 * time.Second},
		{"none", ledger.Limits{}, 5000, 60 * time.Second},
		{"bulk only", ledger.Limits{Single: ledger.Limit{Calls: 1, Window: 24 * time.Hour}, Bulk: ledger.Limit{Calls: 25, Window: time.Hour}}, 1001, 5 * time.Hour},
	} {
		s := Scenario{Name: c.name, Arrivals: fixed(List(tasks.Import, c.n, 0)), Length: 100 * time.Hour, Drain: true, Limits: &c.limits, Reserve: ledger.AutoReserve}
		r := Run(&s, Setup{Seed: 1, Workers: 2})
		if len(r.Deliveries) != c.n || r.Ended > c.within || r.Refused > 0 {
			t.Errorf("%s: %d of %d in %v with %d 429s, want all within %v", c.name, len(r.Deliveries), c.n, r.Ended, r.Refused, c.within)
		}
	}
}

// The rivals do what they are known for.
func TestRivals(t *testing.T) {
	s := Scenarios(1)[0]
	for _, c := range []struct {
		strategy  int
		low, high float64
	}{{1, 0.27, 0.31}, {4, 0.68, 0.75}} {
		st := Strategies[c.strategy]
		if got := Throughput(st.Run(&s, Setup{Seed: 1})); got < c.low || got > c.high {
			t.Errorf("%s: got %.2f of 350/h, want %.2f to %.2f", st.Name, got, c.low, c.high)
		}
	}
}

// Nobody has a refused address taken, and nobody loses its neighbours by it.
func TestRefusedAddresses(t *testing.T) {
	s := Scenario{Name: "poisoned", Arrivals: fixed(Poison(List(tasks.Import, 200, 0), 33)), Length: 100 * time.Hour, Drain: true, Reserve: ledger.AutoReserve}
	for _, strategy := range Strategies {
		r := strategy.Run(&s, Setup{Seed: 1})
		for _, d := range r.Deliveries {
			if d.Blocked {
				t.Errorf("%s: Clerk took an address that it refuses", strategy.Name)
			}
		}
		never := strategy.Name != "inviteq" && len(r.Deliveries) < 100 // asynq archives what it has tried too often
		if len(r.Deliveries)+r.Rejected != 200 && !never {
			t.Errorf("%s: %d were delivered and %d refused, want 200 in all", strategy.Name, len(r.Deliveries), r.Rejected)
		}
	}
}
