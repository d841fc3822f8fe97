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
