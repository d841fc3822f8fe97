package bench

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

// guess is the ETA that an invite was given.
type guess struct {
	lane    tasks.Lane
	index   int // in the order of its lane
	at, eta float64
}

// ETAErrors plays a scenario, asks at random times when a waiting invite
// will be sent, and compares with what happened. An error of 1 is what is
// allowed: a tenth of the time that was left, or a minute. It also returns how
// many ETAs lay in the past. A poisoned list is not asked about: an ETA does not know
// whom Clerk will refuse.
func ETAErrors(s *Scenario, seed uint64) (errs []float64, past int) {
	if slices.ContainsFunc(s.Arrivals(seed), func(a Arrival) bool { return a.Blocked }) {
		return nil, 0
	}
	r := rand.New(rand.NewPCG(seed, 9))
	var guesses []guess
	result := Run(s, Setup{Seed: seed, Watch: func(now float64, m *policy.Model, sent [2]int) {
		if r.IntN(40) > 0 {
			return
		}
		f := policy.NewForecast(m, now)
		for lane, waiting := range m.Waiting {
			if waiting > 0 {
				ahead := r.IntN(waiting)
				guesses = append(guesses, guess{tasks.Lane(lane), sent[lane] + ahead, now, f.At(lane, false, ahead)})
			}
		}
	}})
	var sentAt [2][]float64
	for _, d := range result.Deliveries {
		sentAt[d.Lane] = append(sentAt[d.Lane], epoch+ms(d.SentAt))
	}
	for lane := range sentAt {
		slices.Sort(sentAt[lane])
	}
	for _, g := range guesses {
		if g.eta < g.at {
			past++
		}
		if g.index < len(sentAt[g.lane]) {
			happened := sentAt[g.lane][g.index]
			errs = append(errs, math.Abs(g.eta-happened)/math.Max(0.1*(happened-g.at), 60000))
		}
	}
	slices.Sort(errs)
	return errs, past
}

// P80 is the error that four of five ETAs keep; 0 if so few were asked for that it
// says nothing.
func P80(errs []float64) float64 {
	if len(errs) <= 3 {
		return 0
	}
	return Percentile(errs, 0.8)
}
