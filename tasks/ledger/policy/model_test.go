package policy_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

func limit(calls int, window float64) policy.Limit {
	if calls == 0 {
		return policy.Limit{}
	}
	return policy.Limit{Calls: calls, Window: window, Span: window + math.Min(1500, window/20)}
}

// randomConfig draws from the limits that are met in practice, and from those
// that nobody has.
func randomConfig(r *rand.Rand) policy.Config {
	c := policy.Config{Size: pick(r, 1, 3, 10, 10, 10), Reserve: pick(r, -1, -1, 0, 5, 500), TTL: 25000}
	hour, minute := 3.6e6, 6e4
	c.Single = pick(r, limit(100, hour), limit(100, hour), limit(5, minute), limit(1, hour), limit(300, 1000), policy.Limit{})
	c.Bulk = pick(r, limit(25, hour), limit(25, hour), limit(2, minute), limit(1, hour), limit(100, 1000), policy.Limit{})
	c.Other = pick(r, limit(1000, 10000), limit(100, 10000), policy.Limit{})
	return c
}

// randomModel plays a random history.
func randomModel(r *rand.Rand) (*policy.Model, float64) {
	m := policy.NewModel(randomConfig(r))
	now := 1.8e12
	var claims []policy.Claim
	for range r.IntN(300) {
		switch r.IntN(8) {
		case 0, 1:
			n := pick(r, 1, 1, 7, r.IntN(40))
			m.Waiting[0] += n
			m.Arrived += float64(n)
			m.ArrivedAt = now
		case 2:
			m.Waiting[1] += pick(r, 1, 9, r.IntN(500))
			m.OneByOne[r.IntN(2)] += pick(r, 0, 0, 0, r.IntN(5))
		case 3:
			now += math.Floor(r.ExpFloat64() * pick(r, 10.0, 1000, 100000, 2e6))
		default:
			c := m.Turn(now)
			if c.Action == "" {
				if c.Wake < policy.Never {
					now = math.Max(now, math.Min(c.Wake, now+3e7))
				}
				continue
			}
			claims = append(claims, c)
		}
		for len(claims) > 0 && r.IntN(3) > 0 {
			c := claims[0]
			claims = claims[1:]
			now += 1 + math.Floor(r.Float64()*300)
			switch r.IntN(40) {
			case 0:
				m.Refund(c)
			case 1:
				m.Refused(now, c, now+math.Floor(r.Float64()*1e6))
			case 2: // No answer.
			default:
				m.Answered(now, c)
			}
		}
	}
	return m, now
}

// A worker that sleeps until it is told to must not sleep past a moment at which
// it could have sent something, and must not be woken for nothing over and over.
func TestWakeIsExact(t *testing.T) {
	waits := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		m, now := randomModel(r)
		for range 5 {
			c := m.Clone().Turn(now)
			if c.Action != "" || c.Wake >= policy.Never {
				break
			}
			waits++
			if c.Wake <= now {
				t.Fatalf("seed %d: told at %.0f to wake at %.0f", seed, now, c.Wake)
			}
			moments := []float64{now + 1, c.Wake - 1}
			for range 20 {
				moments = append(moments, now+math.Floor(r.Float64()*(c.Wake-now)))
			}
			for _, at := range moments {
				if at < c.Wake && at > now {
					if early := m.Clone().Turn(at); early.Action != "" {
						t.Fatalf("seed %d: told at %.0f to wake at %.0f, but %s was possible at %.0f (%.0f ms earlier)",
							seed, now, c.Wake, early.Action, at, c.Wake-at)
					}
				}
			}
			now = c.Wake
		}
	}
	if waits < 1500 {
		t.Errorf("only %d waits were seen", waits)
	}
}

// Whatever waits is sent in the end, by a worker that does nothing but what it
// is told, and within a bounded number of turns.
func TestNothingStarves(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 4))
		m, now := randomModel(r)
		m.Waiting[0], m.Waiting[1] = min(m.Waiting[0], 300), min(m.Waiting[1], 300)
		m.OneByOne = [2]int{min(m.OneByOne[0], 5), min(m.OneByOne[1], 5)}
		turns := 0
		for m.Waiting[0]+m.Waiting[1]+m.OneByOne[0]+m.OneByOne[1] > 0 {
			if turns++; turns > 20000 {
				t.Fatalf("seed %d: %v still wait after %d turns, %+v", seed, m.Waiting, turns, m.Config)
			}
			c := m.Turn(now)
			if c.Action == "" {
				if c.Wake >= policy.Never {
					t.Fatalf("seed %d: %v wait and nothing is to come, %+v", seed, m.Waiting, m.Config)
				}
				now = c.Wake
				continue
			}
			m.Answered(now+1, c)
		}
	}
}
