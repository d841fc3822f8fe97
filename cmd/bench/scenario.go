// Package bench holds the scenarios by which the quota policy is judged, the
// rivals that run on the same arrivals, and the tables and plots made of both.
// A scenario is data: the pure simulator here and the simulation of the shipped
// worker run the same ones.
//
// # One table
//
// `make bench` runs cmd/bench/all, which runs the parts one after the other:
// this package's simulator (quota), the shipped worker in virtual time, producers,
// the pipeline, scale and memory, and an idle binary. Each adds rows to one file
// (package report); all prints them as one table and alone judges the floors, so
// that a busy machine fails no `go test`. Comparisons take turns within one run:
// a machine that is busy for a moment slows both sides.
//
// # The first hour
//
// From a cold start the policy sends an import 348 of 350 in the first hour, as in
// every other: 2 singles are kept in case a person clicks. As soon as one does,
// 10 are kept, and singles are planned for as many people as came in the last
// window: 340. With the hour of `inviteq demo`, which lasts a minute, it is some
// 320, because what does not shrink with the hour weighs sixty times as much: the
// guard of 1.5 s takes 2.4 %, and singles begin when the bulk tokens are spent,
// which takes 10 s of the 60 and 25 s of a real hour.
package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Arrival is one invite that a producer hands in.
type Arrival struct {
	At   time.Duration // since the start
	Lane tasks.Lane
}

// Scenario is a load under limits, and what it is judged by.
type Scenario struct {
	Name     string
	Arrivals func(seed uint64) []Arrival // sorted by time
	Length   time.Duration               // simulated time; it ends earlier if Drain and nothing is left
	Drain    bool                        // ends when everything has been delivered
	Warmup   time.Duration               // arrivals before this are not judged
	Limits   ledger.Limits
	Reserve  int
	Random   bool // the arrivals differ by seed
	Floors   []Floor
}

// Floor is one figure and the bound that it must keep.
type Floor struct {
	Name   string
	Of     func(Result) float64
	Bound  float64
	AtMost bool
	Unit   string
}

// Kept reports whether a figure keeps the floor.
func (f Floor) Kept(got float64) bool {
	if f.AtMost {
		return got <= f.Bound
	}
	return got >= f.Bound
}

// Show writes a figure with its unit; a share is written in per cent.
func (f Floor) Show(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "never"
	case f.Unit == "":
		return fmt.Sprintf("%.1f %%", 100*v)
	case v < 10:
		return fmt.Sprintf("%.2f %s", v, f.Unit)
	default:
		return fmt.Sprintf("%.1f %s", v, f.Unit)
	}
}

// Uniform gives perHour arrivals an hour at equal distances.
func Uniform(lane tasks.Lane, perHour float64, length time.Duration) []Arrival {
	var a []Arrival
	gap := float64(time.Hour) / perHour
	for t := gap / 2; t < float64(length); t += gap {
		a = append(a, Arrival{time.Duration(t), lane})
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
		a = append(a, Arrival{time.Duration(t), lane})
	}
}

// Bursts gives n arrivals every so often, a few milliseconds apart.
func Bursts(lane tasks.Lane, n int, every, length time.Duration) []Arrival {
	var a []Arrival
	for t := time.Duration(0); t < length; t += every {
		for i := range n {
			a = append(a, Arrival{t + time.Duration(i)*3*time.Millisecond, lane})
		}
	}
	return a
}

// List gives n arrivals at once.
func List(lane tasks.Lane, n int, at time.Duration) []Arrival {
	a := make([]Arrival, n)
	for i := range a {
		a[i] = Arrival{at, lane}
	}
	return a
}

// Merge joins loads in the order of time.
func Merge(loads ...[]Arrival) []Arrival {
	all := slices.Concat(loads...)
	slices.SortStableFunc(all, func(a, b Arrival) int { return int(a.At - b.At) })
	return all
}

const day = 24 * time.Hour

func fixed(a []Arrival) func(uint64) []Arrival {
	return func(uint64) []Arrival { return a }
}

func atMost(name string, of func(Result) float64, bound float64, unit string) Floor {
	return Floor{name, of, bound, true, unit}
}

func atLeast(name string, of func(Result) float64, bound float64, unit string) Floor {
	return Floor{name, of, bound, false, unit}
}

// Scenarios are the loads by which the quota policy is judged, on Clerk's
// published limits. Load scales every interactive rate: 1 is what the floors are
// for.
func Scenarios(load float64) []Scenario {
	p := ledger.ClerkLimits
	beside := func(perHour float64) func(uint64) []Arrival {
		return func(seed uint64) []Arrival {
			return Merge(List(tasks.Import, 12000, 0), Poisson(seed, tasks.Interactive, perHour*load, day))
		}
	}
	return []Scenario{
		{
			Name: "import only", Arrivals: fixed(List(tasks.Import, 12000, 0)), Length: day, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atLeast("of 350/h", Throughput, 0.97, "")},
		},
		{
			Name: "import only, reserve 0", Arrivals: fixed(List(tasks.Import, 12000, 0)), Length: day, Limits: p,
			Floors: []Floor{atLeast("of 350/h", Throughput, 0.995, "")},
		},
		{
			Name: "10,000 drained", Arrivals: fixed(List(tasks.Import, 10000, 0)), Length: 200 * time.Hour, Drain: true, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("hours", Hours, 28.2, "h")},
		},
		{
			Name: "uniform 200/h", Arrivals: fixed(Uniform(tasks.Interactive, 200*load, day)), Length: day, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("mean wait", MeanWait, 27, "s")},
		},
		{
			Name: "uniform 330/h", Arrivals: fixed(Uniform(tasks.Interactive, 330*min(load, 1.02), day)), Length: day, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("mean wait", MeanWait, 62, "s")},
		},
		{
			Name: "Poisson 200/h", Random: true, Arrivals: func(seed uint64) []Arrival { return Poisson(seed, tasks.Interactive, 200*load, day) },
			Length: day, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, 300, "s")},
		},
		{
			Name: "7 every 3 min", Arrivals: fixed(Bursts(tasks.Interactive, 7, time.Duration(3*float64(time.Minute)/load), day)), Length: day,
			Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("mean wait", MeanWait, 3, "s")},
		},
		{
			Name: "60/h beside an import", Random: true, Arrivals: beside(60), Length: day, Warmup: time.Hour, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p95 wait", P95Wait, 1.5, "s"), atMost("p99 wait", P99Wait, 10, "s"), atLeast("of 350/h", Throughput, 0.95, "")},
		},
		{
			Name: "200/h beside an import", Random: true, Arrivals: beside(200), Length: day, Warmup: time.Hour, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, 200, "s"), atLeast("of 350/h", Throughput, 0.98, "")},
		},
		{
			Name: "list of 250", Arrivals: fixed(List(tasks.Import, 250, time.Minute)), Length: 2 * time.Hour, Drain: true, Limits: p, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("done in", LastWait, 30, "s")},
		},
	}
}

// RefusalScenarios are the loads under which limiters are met: saturating and
// bursty ones.
func RefusalScenarios(length time.Duration) []Scenario {
	var all []Scenario
	add := func(name string, arrivals func(uint64) []Arrival) {
		all = append(all, Scenario{Name: name, Arrivals: arrivals, Length: length, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve})
	}
	add("saturating import", fixed(List(tasks.Import, 30000, 0)))
	add("import and 60/h", func(seed uint64) []Arrival {
		return Merge(List(tasks.Import, 30000, 0), Poisson(seed, tasks.Interactive, 60, length))
	})
	add("200/h Poisson", func(seed uint64) []Arrival { return Poisson(seed, tasks.Interactive, 200, length) })
	add("340/h Poisson", func(seed uint64) []Arrival { return Poisson(seed, tasks.Interactive, 340, length) })
	add("120 every 47 min", fixed(Bursts(tasks.Interactive, 120, 47*time.Minute, length)))
	add("lists of 250 every 61 min", fixed(Bursts(tasks.Import, 250, 61*time.Minute, length)))
	return all
}
