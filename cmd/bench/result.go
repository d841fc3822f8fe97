package bench

import (
	"math"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Delivery is one invite that Clerk took.
type Delivery struct {
	Arrival
	SentAt time.Duration // when its call left
}

// Result is what became of a scenario.
type Result struct {
	Scenario   *Scenario
	Deliveries []Delivery // in the order of SentAt
	Arrived    int
	Waiting    []Arrival       // what was not delivered when it ended
	Rejected   int             // arrivals that Clerk would not have
	Refused    int             // calls that were answered 429
	RefusedAt  []time.Duration // when
	Calls      int             // calls that were admitted
	Ended      time.Duration   // when it ended
}

// MostRefusedInADay is the largest number of 429s within 24 hours.
func (r Result) MostRefusedInADay() int {
	most := 0
	for i := range r.RefusedAt {
		n := 0
		for _, at := range r.RefusedAt[i:] {
			if at < r.RefusedAt[i]+day {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// ceiling is what Clerk grants an hour on the published limits.
func (r Result) ceiling() float64 {
	l := r.Scenario.Quota()
	return float64(l.Single.Calls)/l.Single.Window.Hours() + 10*float64(l.Bulk.Calls)/l.Bulk.Window.Hours()
}

// end notes who still waits: those of the arrivals who were not delivered.
func (r *Result) end(arrivals []Arrival, at time.Duration) {
	r.Ended = at
	left := map[Arrival]int{}
	for _, a := range arrivals {
		left[a]++
	}
	for _, d := range r.Deliveries {
		left[d.Arrival]--
	}
	for _, a := range arrivals {
		if left[a] > 0 && a.At < at {
			left[a]--
			r.Waiting = append(r.Waiting, a)
		}
	}
}

// Throughput is the deliveries, as a share of the ceiling.
func Throughput(r Result) float64 {
	return float64(len(r.Deliveries)) / (r.ceiling() * r.Scenario.Length.Hours())
}

// Hours is when it ended, or infinity if it ended without delivering all.
func Hours(r Result) float64 {
	if len(r.Deliveries) < r.Arrived {
		return math.Inf(1)
	}
	return r.Ended.Hours()
}

// waits returns the sorted waits of interactive invites, or of all if there are
// none of them, in seconds. An invite that was not delivered has waited until
// the end.
func (r Result) waits() []float64 {
	w := r.PeopleWaits()
	if len(w) == 0 {
		w = r.waitsOf(tasks.Import, 0, r.Scenario.Length)
	}
	return w
}

// waitsOf are those of the invites that came in a time.
func (r Result) waitsOf(lane tasks.Lane, from, to time.Duration) []float64 {
	var w []float64
	add := func(a Arrival, wait time.Duration) {
		if a.Lane == lane && a.At >= from && a.At <= to && !a.Blocked {
			w = append(w, wait.Seconds())
		}
	}
	for _, d := range r.Deliveries {
		add(d.Arrival, d.SentAt-d.At)
	}
	for _, a := range r.Waiting {
		add(a, r.Ended-a.At)
	}
	slices.Sort(w)
	return w
}

// PeopleWaits returns the sorted waits of interactive invites, in seconds. Who
// was not delivered has waited until the end.
func (r Result) PeopleWaits() []float64 {
	return r.waitsOf(tasks.Interactive, 0, r.Scenario.Length)
}

// MeanWait is in seconds.
func MeanWait(r Result) float64 {
	w, sum := r.waits(), 0.0
	for _, s := range w {
		sum += s
	}
	return sum / float64(max(1, len(w)))
}

// P99Wait is in seconds.
func P99Wait(r Result) float64 { return Percentile(r.waits(), 0.99) }

// P99WaitLater is that of the people who came after the first hour, in seconds.
func P99WaitLater(r Result) float64 {
	return Percentile(r.waitsOf(tasks.Interactive, time.Hour, r.Scenario.Length), 0.99)
}

// P99WaitAtFirst is that of the people who came in the first two hours, in seconds.
func P99WaitAtFirst(r Result) float64 {
	return Percentile(r.waitsOf(tasks.Interactive, 0, 2*time.Hour), 0.99)
}

// Row returns the time by which so many rows have left, in seconds.
func Row(n int) func(Result) float64 {
	return func(r Result) float64 {
		if len(r.Deliveries) < n {
			return math.Inf(1)
		}
		return r.Deliveries[n-1].SentAt.Seconds()
	}
}

// LastWait is the longest, in seconds.
func LastWait(r Result) float64 { return Percentile(r.waits(), 1) }

// Percentile of a sorted slice: the smallest value that a share q of all do not
// exceed.
func Percentile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
