package bench

import (
	"testing"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// For uniform arrivals the optimum is known: the singles take as many as they can
// without any wait, the rest goes in equal bulks. A day has the tokens of 25 spans,
// since the first is there when it begins.
func TestOptimumOfUniformArrivals(t *testing.T) {
	for _, perHour := range []float64{200, 330} {
		best := Optimum(Uniform(tasks.Interactive, perHour, day), ledger.ClerkLimits)
		mean := 0.0
		for _, w := range best.Waits {
			mean += w / float64(len(best.Waits))
		}
		least := byBulk(perHour, 25)
		if best.Mean < least || best.Mean > 1.15*least {
			t.Errorf("%v/h: the bound is %.1f s, want %.1f s or little more", perHour, best.Mean, least)
		}
		if mean < best.Mean*0.97 || mean > best.Mean*1.1 {
			t.Errorf("%v/h: the schedule's mean is %.1f s, the bound is %.1f s", perHour, mean, best.Mean)
		}
	}
}

// byBulk is the mean wait of a day of uniform arrivals if they had the tokens of so
// many hours.
func byBulk(perHour, hours float64) float64 {
	all := perHour * 24
	together := all - 100*hours
	size := together / (25 * hours)
	return together / all * (size - 1) / 2 * 3600 / perHour
}

// TestOptimalLists: rows leave at once up to what one window grants, and the next ones
// when it is over.
func TestOptimalLists(t *testing.T) {
	s := Scenario{Arrivals: fixed(List(tasks.Import, 1050, 0)), Length: day}
	const span = 3601.5
	for name, want := range map[string]float64{
		"done in": 2 * span, "hours": 2 * span / 3600, "row 350 after": 0, "row 351 after": span, "of 350/h": 1,
	} {
		if got, ok := Optimal(&s, Floor{Name: name}, 1); got != want || !ok {
			t.Errorf("%s: got %v, %t; want %v", name, got, ok, want)
		}
	}
	// People go first.
	s.Arrivals = fixed(Merge(List(tasks.Import, 12000, 0), Uniform(tasks.Interactive, 60, day)))
	for _, name := range []string{"mean wait", "p99 wait", "p99 wait after the first hour", "p99 wait in the first two hours"} {
		if got, ok := Optimal(&s, Floor{Name: name}, 1); got > 0.01 || !ok {
			t.Errorf("%s beside an import: got %v, %t; want that nobody waits", name, got, ok)
		}
	}
}
