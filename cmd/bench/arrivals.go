package bench

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Arrival is one invite that a producer hands in.
type Arrival struct {
	At   time.Duration // since the start
	Lane tasks.Lane

	Blocked bool // Clerk refuses every call that this one is in, and does not say why.
}

// Uniform gives perHour arrivals an hour at equal distances.
func Uniform(lane tasks.Lane, perHour float64, length time.Duration) []Arrival {
	var a []Arrival
	gap := float64(time.Hour) / perHour
	for t := gap / 2; t < float64(length); t += gap {
		a = append(a, Arrival{At: time.Duration(t), Lane: lane})
	}
	return a
}

// Poisson gives perHour arrivals an hour at random.
func Poisson(seed uint64, lane tasks.Lane, perHour float64, length time.Duration) []Arrival {
	r := rand.New(rand.NewPCG(seed, 7))
	var a []Arrival
	for t := 0.0; ; {
		t += r.ExpFloat64() * float64(time.Hour) / perHour
		if t >= float64(length) {
			return a
		}
		a = append(a, Arrival{At: time.Duration(t), Lane: lane})
	}
}

// Bursts gives n arrivals every so often, a few milliseconds apart.
func Bursts(lane tasks.Lane, n int, every, length time.Duration) []Arrival {
	var a []Arrival
	for t := time.Duration(0); t < length; t += every {
		for i := range n {
			a = append(a, Arrival{At: t + time.Duration(i)*3*time.Millisecond, Lane: lane})
		}
	}
	return a
}

// List gives n arrivals at once.
func List(lane tasks.Lane, n int, at time.Duration) []Arrival {
	a := make([]Arrival, n)
	for i := range a {
		a[i] = Arrival{At: at, Lane: lane}
	}
	return a
}

// Within gives n arrivals at equal distances in a time that begins at from.
func Within(lane tasks.Lane, n int, from, length time.Duration) []Arrival {
	a := make([]Arrival, n)
	for i := range a {
		a[i] = Arrival{At: from + time.Duration(i)*length/time.Duration(n), Lane: lane}
	}
	return a
}

// Clusters gives crowds at random, perHour of them an hour: of as many people as size
// says on average, one after the other at random gaps.
func Clusters(seed uint64, perHour, size float64, gap, length time.Duration) []Arrival {
	r := rand.New(rand.NewPCG(seed, 11))
	var a []Arrival
	for t := 0.0; ; {
		t += r.ExpFloat64() * float64(time.Hour) / perHour
		if t >= float64(length) {
			return Merge(a)
		}
		at := t
		for range 1 + int(r.ExpFloat64()*size) {
			if at < float64(length) {
				a = append(a, Arrival{At: time.Duration(at), Lane: tasks.Interactive})
			}
			at += r.ExpFloat64() * float64(gap)
		}
	}
}

// Varying gives people at random, as many an hour as rate says for an hour of the day,
// and never more than most.
func Varying(seed uint64, rate func(hour float64) float64, most float64, length time.Duration) []Arrival {
	r := rand.New(rand.NewPCG(seed, 12))
	var a []Arrival
	for t := 0.0; ; {
		t += r.ExpFloat64() * float64(time.Hour) / most
		if t >= float64(length) {
			return a
		}
		if r.Float64()*most < rate(t/float64(time.Hour)) {
			a = append(a, Arrival{At: time.Duration(t), Lane: tasks.Interactive})
		}
	}
}

// Poison returns a load in which one of every so many is blocked.
func Poison(a []Arrival, every int) []Arrival {
	a = slices.Clone(a)
	for i := every / 2; i < len(a); i += every {
		a[i].Blocked = true
	}
	return a
}

// Merge joins loads in the order of time.
func Merge(loads ...[]Arrival) []Arrival {
	all := slices.Concat(loads...)
	slices.SortStableFunc(all, func(a, b Arrival) int { return int(a.At - b.At) })
	return all
}
