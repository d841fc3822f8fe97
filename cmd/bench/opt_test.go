package bench

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// For uniform arrivals the optimum is known: the singles take as many as they
// can without any wait, the rest goes in equal bulks.
func TestOptimumOfUniformArrivals(t *testing.T) {
	for _, c := range []struct{ perHour, want float64 }{{200, 13.5}, {330, 31}} {
		got := Optimum(Uniform(tasks.Interactive, c.perHour, 24*time.Hour), 24, 100, 25)
		if got < c.want*0.95 || got > c.want*1.05 {
			t.Errorf("%v/h: got %.1f s, want %.1f s", c.perHour, got, c.want)
		}
	}
}
