package bench

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Ideal is what somebody could do who knows the future, under the same limits and
// with calls that take no time.
type Ideal struct {
	Mean  float64   // A bound (s): no strategy has a smaller mean wait.
	Waits []float64 // How the waits of such a schedule are distributed (s, sorted).
	Each  []float64 // What each arrival waits in it (s), in the order of arrival.
}

const (
	priceSlots  = 60   // in a span; calls have one price in each
	priceRounds = 1200 // of the ascent; the second half makes the distribution
)

// Optimum finds the least mean wait. The limits say that no span sees more than so
// many calls. Each such span gets a price, a call costs what all spans cost that it
// lies in, and a dynamic programme over the arrivals finds the least sum of waits and
// prices. The prices rise where that spends more than the limits grant and fall where
// it spends less (a subgradient ascent). The sum less what the limits grant is a bound
// from below whatever the prices are, and the average of the plans on the way comes to
// keep the limits.
func Optimum(arrivals []Arrival, limits ledger.Limits) Ideal {
	if len(arrivals) == 0 {
		return Ideal{}
	}
	p := newPricing(arrivals, limits)
	best := Ideal{Each: make([]float64, len(arrivals))}
	for round := range priceRounds {
		p.plan()
		best.Mean = math.Max(best.Mean, p.bound/float64(len(arrivals)))
		for i := round % 16; i < len(p.waits) && round >= priceRounds/2; i += 16 { // some of them, each as often
			best.Waits = append(best.Waits, p.waits[i])
		}
		for i := range p.waits {
			if round >= priceRounds/2 {
				best.Each[i] += p.waits[i] / (priceRounds - priceRounds/2)
			}
		}
		p.ascend()
	}
	slices.Sort(best.Waits)
	return best
}

// Optimal is what somebody who knows the future could reach of a figure, with calls
// that take no time. It is a bound for means, for what is granted and for lists; for
// percentiles it is that of the schedule with the least mean. Where rows of an import
// wait too, people are served first and rows fill the rest.
func Optimal(s *Scenario, f Floor, seed uint64) (float64, bool) {
	arrivals := s.Arrivals(seed)
	people := slices.DeleteFunc(slices.Clone(arrivals), func(a Arrival) bool { return a.Lane != tasks.Interactive })
	within := func(from, to time.Duration) []float64 {
		best := Optimum(people, s.Quota())
		var waits []float64
		for i, a := range people {
			if a.At >= from && a.At <= to {
				waits = append(waits, best.Each[i])
			}
		}
		slices.Sort(waits)
		return waits
	}
	var row int
	switch _, isRow := fmt.Sscanf(f.Name, "row %d after", &row); {
	case f.Name == "of 350/h":
		return 1, true
	case isRow == nil:
		return leaves(row, s.Quota()), true
	case f.Name == "done in":
		return leaves(len(arrivals), s.Quota()), true
	case f.Name == "hours":
		return leaves(len(arrivals), s.Quota()) / 3600, true
	case len(people) == 0:
		return 0, false
	case f.Name == "mean wait":
		return Optimum(people, s.Quota()).Mean, true
	case f.Name == "p99 wait":
		return Percentile(Optimum(people, s.Quota()).Waits, 0.99), true
	case f.Name == "p99 wait after the first hour":
		return Percentile(within(time.Hour, s.Length), 0.99), true
	case f.Name == "p99 wait in the first two hours":
		return Percentile(within(0, 2*time.Hour), 0.99), true
	}
	return 0, false
}

// leaves is when the n-th row of a list leaves, at best (s).
func leaves(n int, limits ledger.Limits) float64 {
	span := ledger.Config{Limits: limits}.Policy().Single.Span / 1000
	return float64((n-1)/(limits.Single.Calls+ledger.BulkSize*limits.Bulk.Calls)) * span
}

// pricing is the state of the ascent. Index 0 is single, 1 is bulk.
type pricing struct {
	at    []float64 // arrivals (s)
	slot  float64   // s
	limit [2]float64
	size  [2]int
	spans [2][]float64 // the price of the span that begins with a slot
	steps [2][]float64 // sums of squares of their slopes
	calls [2][]float64 // of the plan, by slot
	bound float64
	waits []float64

	cost  []float64
	from  []int
	whens []float64
	kinds []int
}

func newPricing(arrivals []Arrival, limits ledger.Limits) *pricing {
	n := len(arrivals)
	p := &pricing{
		limit: [2]float64{float64(limits.Single.Calls), float64(limits.Bulk.Calls)}, size: [2]int{1, ledger.BulkSize},
		at: make([]float64, n), waits: make([]float64, n),
		cost: make([]float64, n+1), from: make([]int, n+1), whens: make([]float64, n+1), kinds: make([]int, n+1),
	}
	for i, a := range arrivals {
		p.at[i] = a.At.Seconds()
	}
	span := ledger.Config{Limits: limits}.Policy().Single.Span / 1000
	p.slot = span / priceSlots
	slots := int(p.at[n-1]/p.slot) + 1 + priceSlots*(2+n/350)
	for kind := range p.spans {
		p.spans[kind], p.steps[kind], p.calls[kind] = make([]float64, slots), make([]float64, slots), make([]float64, slots)
	}
	return p
}

// soonest is for a call of s people from each slot on: its least price and delay.
type soonest struct{ cost, when []float64 }

// prices returns what a call costs in each slot, which lies in the spans that begin
// with it and with the priceSlots-1 before; and from each slot on, for the number of
// people that it carries, the start of the slot in which price and delay are least.
func (p *pricing) prices(kind int) (now []float64, later []soonest) {
	slots := len(p.spans[kind])
	now = make([]float64, slots)
	sum := 0.0
	for i, v := range p.spans[kind] {
		sum += v
		if i >= priceSlots {
			sum -= p.spans[kind][i-priceSlots]
		}
		now[i] = math.Max(0, sum)
	}
	later = make([]soonest, p.size[kind]+1)
	for s := 1; s <= p.size[kind]; s++ {
		l := soonest{make([]float64, slots+1), make([]float64, slots+1)}
		l.cost[slots] = math.Inf(1)
		for i := slots - 1; i >= 0; i-- {
			start := float64(i) * p.slot
			l.cost[i], l.when[i] = l.cost[i+1], l.when[i+1]
			if c := now[i] + float64(s)*start; c <= l.cost[i] {
				l.cost[i], l.when[i] = c, start
			}
		}
		later[s] = l
	}
	return now, later
}

// plan finds the calls of least cost: each carries a run of those who come one after
// another, and leaves when the last of them comes, or when a cheaper slot begins.
func (p *pricing) plan() {
	var now [2][]float64
	var later [2][]soonest
	for kind := range now {
		now[kind], later[kind] = p.prices(kind)
	}
	n := len(p.at)
	for j := 1; j <= n; j++ {
		last := p.at[j-1]
		slot := int(last / p.slot)
		p.cost[j] = math.Inf(1)
		sum := 0.0
		for s := 1; s <= ledger.BulkSize && s <= j; s++ {
			sum += p.at[j-s]
			for kind := range now {
				if s > p.size[kind] {
					continue
				}
				when, cost := last, now[kind][slot]+float64(s)*last
				if l := later[kind][s]; l.cost[slot+1] < cost {
					when, cost = l.when[slot+1], l.cost[slot+1]
				}
				if c := p.cost[j-s] + cost - sum; c < p.cost[j] {
					p.cost[j], p.from[j], p.whens[j], p.kinds[j] = c, j-s, when, kind
				}
			}
		}
	}
	p.bound = p.cost[n]
	for kind := range p.spans {
		clear(p.calls[kind])
		for _, v := range p.spans[kind] {
			p.bound -= v * p.limit[kind]
		}
	}
	for j := n; j > 0; j = p.from[j] {
		p.calls[p.kinds[j]][int(p.whens[j]/p.slot+1e-9)]++
		for i := p.from[j]; i < j; i++ {
			p.waits[i] = p.whens[j] - p.at[i]
		}
	}
}

// ascend moves each price along what the plan spends beyond its limit (AdaGrad).
func (p *pricing) ascend() {
	for kind, calls := range p.calls {
		sum := 0.0
		for i := len(calls) - 1; i >= 0; i-- {
			sum += calls[i]
			if i+priceSlots < len(calls) {
				sum -= calls[i+priceSlots]
			}
			slope := sum - p.limit[kind]
			if slope == 0 || p.spans[kind][i] == 0 && slope < 0 {
				continue
			}
			p.steps[kind][i] += slope * slope
			p.spans[kind][i] = math.Max(0, p.spans[kind][i]+priceStep*slope/math.Sqrt(p.steps[kind][i]))
		}
	}
}

const priceStep = 2 // s
