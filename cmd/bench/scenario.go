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
// Nothing is left out of a figure unless its name says so: most start with an untouched
// quota and an empty ledger, and count from the first invite on. From there the policy
// sends an import 340 of 350 in the first hour: 10 singles are kept for people as long
// as it has not seen an hour pass without any, 2 afterwards. With the hour of `inviteq
// demo`, which lasts a minute, it is some 320, because what does not shrink with the
// hour weighs sixty times as much: the guard of 1.5 s takes 2.4 %, and singles begin
// when the bulk tokens are spent, which takes 10 s of the 60 and 25 s of a real hour.
//
// # The optimum
//
// It knows the future (optimum.go). Of arrivals without a pattern nobody else can come
// near to it: of 200 people an hour at random times it makes groups of those who happen
// to come together, and they wait 5 s on average; the best that a fixed rule for the
// size of a group can do, chosen afterwards for the very arrivals, is 18 s.
package bench

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Scenario is a load under limits, and what it is judged by.
type Scenario struct {
	Name     string
	Arrivals func(seed uint64) []Arrival // sorted by time
	Length   time.Duration               // simulated time; it ends earlier if Drain and nothing is left
	Drain    bool                        // ends when everything has been delivered
	Limits   *ledger.Limits              // nil: those that Clerk publishes
	Reserve  int
	Random   bool          // the arrivals differ by seed
	Answer   time.Duration // how long Clerk takes there for every call; 0: as it does, with a long tail
	Aim      float64       // how near to the optimum its waits should come; the table says where they do not. 0: no aim
	Floors   []Floor
}

// Quota is what the calls of a scenario are counted against.
func (s *Scenario) Quota() ledger.Limits {
	if s.Limits == nil {
		return ledger.ClerkLimits
	}
	return *s.Limits
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
	return slices.Concat(imports(), steady(load), bursts(), bursty(load), beside(load))
}

func imports() []Scenario {
	list := func(n int) func(uint64) []Arrival { return fixed(List(tasks.Import, n, 0)) }
	hours := 200 * time.Hour
	return []Scenario{
		{Name: "import only", Arrivals: list(12000), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atLeast("of 350/h", Throughput, 0.993, "")}},
		{Name: "import only, reserve 0", Arrivals: list(12000), Length: day, Floors: []Floor{atLeast("of 350/h", Throughput, 0.9995, "")}},
		{Name: "10,000 drained", Arrivals: list(10000), Length: hours, Drain: true, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("hours", Hours, 28.15, "h")}},
		{Name: "10,000 drained, reserve 0", Arrivals: list(10000), Length: hours, Drain: true, Floors: []Floor{atMost("hours", Hours, 28.05, "h")}},
		{Name: "1,050 drained, reserve 0", Arrivals: list(1050), Length: hours, Drain: true, Floors: []Floor{atMost("hours", Hours, 2.05, "h")}},
		{Name: "list of 350, reserve 0", Arrivals: list(350), Length: hours, Drain: true, Floors: []Floor{atMost("done in", LastWait, 30, "s")}},
		// With a reserve the last hundred of such a list are paced, so that people who click
		// meanwhile find tokens: see "350 and clicks".
		{Name: "list of 350", Arrivals: list(350), Length: hours, Drain: true, Reserve: ledger.AutoReserve, Floors: []Floor{
			atMost("row 250 after", Row(250), 6, "s"), atMost("row 340 after", Row(340), 3700, "s"), atMost("done in", LastWait, 3*3600, "s"),
		}},
		{Name: "list of 250", Arrivals: fixed(List(tasks.Import, 250, time.Minute)), Length: 2 * time.Hour, Drain: true, Reserve: ledger.AutoReserve,
			Answer: 200 * time.Millisecond, Floors: []Floor{atMost("done in", LastWait, 6, "s")}},
	}
}

func steady(load float64) []Scenario {
	poisson := func(perHour float64) func(uint64) []Arrival {
		return func(seed uint64) []Arrival { return Poisson(seed, tasks.Interactive, perHour*load, day) }
	}
	return []Scenario{
		{Name: "uniform 120/h", Arrivals: fixed(Uniform(tasks.Interactive, 120*min(load, 1), day)), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, clickBound, "s")}},
		{Name: "uniform 200/h", Arrivals: fixed(Uniform(tasks.Interactive, 200*load, day)), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("mean wait", MeanWait, 18, "s")}},
		{Name: "uniform 330/h", Arrivals: fixed(Uniform(tasks.Interactive, 330*min(load, 1.02), day)), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("mean wait", MeanWait, 45, "s")}},
		{Name: "Poisson 90/h", Random: true, Arrivals: poisson(90 * min(1, 1/load)), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, clickBound, "s")}},
		{Name: "Poisson 100/h", Random: true, Arrivals: poisson(100), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("mean wait", MeanWait, 2, "s"), atMost("p99 wait", P99Wait, 30, "s")}},
		{Name: "Poisson 200/h", Random: true, Arrivals: poisson(200), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("mean wait", MeanWait, 23, "s"), atMost("p99 wait", P99Wait, 130, "s")}},
		{Name: "7 every 3 min", Arrivals: fixed(Bursts(tasks.Interactive, 7, time.Duration(3*float64(time.Minute)/load), day)), Length: day,
			Reserve: ledger.AutoReserve, Floors: []Floor{atMost("mean wait", MeanWait, 3, "s")}},
	}
}

// clickBound is 2 s less what a call may take until it is at Clerk.
const clickBound = 1.6

// bursts are clicks on an untouched quota.
func bursts() (all []Scenario) {
	for _, b := range []struct {
		name string
		load []Arrival
	}{
		{"20 in a minute", Within(tasks.Interactive, 20, 0, time.Minute)},
		{"50 in a minute", Within(tasks.Interactive, 50, 0, time.Minute)},
		{"90 in a minute", Within(tasks.Interactive, 90, 0, time.Minute)},
		{"20 in two minutes", Within(tasks.Interactive, 20, 0, 2*time.Minute)},
		{"60 in ten minutes", Within(tasks.Interactive, 60, 0, 10*time.Minute)},
		{"90 in a minute, then 30/h", Merge(Within(tasks.Interactive, 90, 0, time.Minute), Within(tasks.Interactive, 60, 2*time.Minute, 2*time.Hour))},
	} {
		all = append(all, Scenario{Name: b.name, Arrivals: fixed(b.load), Length: 3 * time.Hour, Drain: true, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, clickBound, "s")}})
	}
	return all
}

// bursty loads come in crowds, for a day or two. Their floors are what the policy
// keeps on several seeds.
func bursty(load float64) (all []Scenario) {
	add := func(name string, length time.Duration, mean, p99 float64, arrivals func(seed uint64) []Arrival) {
		all = append(all, Scenario{Name: name, Random: true, Arrivals: arrivals, Length: length, Reserve: ledger.AutoReserve, Aim: 1.35,
			Floors: []Floor{atMost("mean wait", MeanWait, mean, "s"), atMost("p99 wait", P99Wait, p99, "s")}})
	}
	clusters := func(perHour, size float64, gap time.Duration) func(uint64) []Arrival {
		return func(seed uint64) []Arrival { return Clusters(seed, perHour*load, size, gap, day) }
	}
	add("1 crowd of 20 an hour", day, 6, 120, clusters(1, 20, 6*time.Second))
	add("2 crowds of 30 an hour", day, 35, 900, clusters(2, 30, 20*time.Second))
	add("6 crowds of 15 an hour", day, 16, 130, clusters(6, 15, 6*time.Second))
	add("day and night, 150/h at noon", 2*day, 8, 110, func(seed uint64) []Arrival {
		return Varying(seed, func(hour float64) float64 { return load * 150 * math.Max(0.02, -math.Cos(hour/12*math.Pi)) }, 150*load, 2*day)
	})
	add("Monday morning, 280/h at nine", day, 20, 200, func(seed uint64) []Arrival {
		return Varying(seed, func(hour float64) float64 { return load * monday(hour) }, 280*load, day)
	})
	return all
}

// monday is how many come an hour.
func monday(hour float64) float64 {
	switch {
	case hour < 9:
		return 3
	case hour < 10:
		return 280
	case hour < 12:
		return 120
	case hour < 17:
		return 60
	}
	return 5
}

// beside an import that would take every token.
func beside(load float64) []Scenario {
	people := func(perHour float64, rows []Arrival) func(uint64) []Arrival {
		return func(seed uint64) []Arrival {
			return Merge(rows, Poisson(seed, tasks.Interactive, perHour*load, day))
		}
	}
	many := List(tasks.Import, 12000, 0)
	return []Scenario{
		{Name: "60/h beside an import", Random: true, Arrivals: people(60, many), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, 1, "s"), atLeast("of 350/h", Throughput, 0.955, "")}},
		{Name: "60/h beside a poisoned import", Random: true, Arrivals: people(60, Poison(many, 33)), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, 1, "s")}},
		// Nobody knows in the first hour that so many will come, and the import has taken its bulks.
		{Name: "200/h beside an import", Random: true, Arrivals: people(200, many), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait", P99Wait, 1300, "s"), atMost("p99 wait after the first hour", P99WaitLater, 145, "s"), atLeast("of 350/h", Throughput, 0.98, "")}},
		{Name: "350 and clicks, 30/h", Random: true, Arrivals: people(30, List(tasks.Import, 350, 0)), Length: day, Reserve: ledger.AutoReserve,
			Floors: []Floor{atMost("p99 wait in the first two hours", P99WaitAtFirst, 1, "s")}},
		{Name: "350 and clicks, 30/h, reserve 0", Random: true, Arrivals: people(30, List(tasks.Import, 350, 0)), Length: day,
			Floors: []Floor{atMost("p99 wait in the first two hours", P99WaitAtFirst, 3600, "s")}},
	}
}

// RefusalScenarios are the loads under which limiters are met: saturating and
// bursty ones.
func RefusalScenarios(length time.Duration) []Scenario {
	var all []Scenario
	add := func(name string, arrivals func(uint64) []Arrival) {
		all = append(all, Scenario{Name: name, Arrivals: arrivals, Length: length, Reserve: ledger.AutoReserve})
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
