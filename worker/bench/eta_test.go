package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/ledger"
	"github.com/inviteq/inviteq/worker/ledger/policy"
)

// guess is what was told to somebody who waits.
type guess struct {
	lane    tasks.Lane
	index   int // in the order of its lane
	at, eta float64
}

// TestETA asks at random moments when somebody who waits will be sent, and
// compares with what happened: four of five must be off by no more than a tenth
// of the time left, or a minute.
func TestETA(t *testing.T) {
	scenarios := append(Scenarios(1), Scenario{
		Name: "340/h Poisson", Length: day, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve,
		Arrivals: func(seed uint64) []Arrival { return Poisson(seed, tasks.Interactive, 340, day) },
	}, Scenario{
		Name: "three imports and 40/h", Length: day, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve,
		Arrivals: func(seed uint64) []Arrival {
			return Merge(List(tasks.Import, 2000, 0), List(tasks.Import, 900, 9*time.Hour), List(tasks.Import, 1500, 11*time.Hour),
				Poisson(seed, tasks.Interactive, 40, day))
		},
	})
	for _, s := range scenarios {
		var errs []float64
		for seed := range uint64(3) {
			r := rand.New(rand.NewPCG(seed, 9))
			var guesses []guess
			var gone [2]int
			setup := Setup{Seed: seed, Watch: func(now float64, m *policy.Model, sent [2]int) {
				gone = sent
				if r.IntN(40) > 0 {
					return
				}
				f := policy.NewForecast(m, now)
				for lane := range 2 {
					if n := m.Waiting[lane]; n > 0 {
						ahead := r.IntN(n)
						guesses = append(guesses, guess{tasks.Lane(lane), sent[lane] + ahead, now, f.At(lane, ahead)})
					}
				}
			}}
			result := Run(&s, setup)
			_ = gone
			var sentAt [2][]float64
			for _, d := range result.Deliveries {
				sentAt[d.Lane] = append(sentAt[d.Lane], 1_800_000_000_000+ms(d.SentAt))
			}
			for lane := range sentAt {
				slices.Sort(sentAt[lane])
			}
			for _, g := range guesses {
				if g.eta < g.at {
					t.Fatalf("%s: an ETA lies %.0f ms in the past", s.Name, g.at-g.eta)
				}
				if g.index < len(sentAt[g.lane]) {
					real := sentAt[g.lane][g.index]
					errs = append(errs, math.Abs(g.eta-real)/math.Max(0.1*(real-g.at), 60000))
				}
			}
		}
		slices.Sort(errs)
		if len(errs) < 10 {
			continue
		}
		p80 := Percentile(errs, 0.8)
		t.Logf("%-26s %5d guesses, P80 %.2f of what is allowed, P95 %.2f", s.Name, len(errs), p80, Percentile(errs, 0.95))
		if p80 > 1 {
			t.Errorf("%s: P80 of the error is %.2f of what is allowed", s.Name, p80)
		}
	}
}
