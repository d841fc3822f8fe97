package bench

import "math"

// Optimum is a bound that no strategy can beat, not even one that knows the
// future: the smallest mean wait (s) of all arrivals when as many single and
// bulk calls may be made as the limits grant in the whole time, at any moment.
//
// It is the dual of that problem: prices for the two kinds of calls, a dynamic
// programme over how many wait, and the prices that make the bound largest.
func Optimum(arrivals []Arrival, hours, singlesPerHour, bulksPerHour float64) float64 {
	if len(arrivals) == 0 {
		return 0
	}
	singles, bulks := singlesPerHour*math.Ceil(hours), bulksPerHour*math.Ceil(hours)
	best := 0.0
	bound := func(single, bulk float64) float64 {
		v := cheapest(arrivals, single, bulk) - single*singles - bulk*bulks
		best = math.Max(best, v)
		return v
	}
	// The bound is concave in the prices: a pattern search finds its top.
	at := [2]float64{30, 100}
	here := bound(at[0], at[1])
	for step := 64.0; step > 0.5; {
		moved := false
		for _, d := range [][2]float64{{step, 0}, {-step, 0}, {0, step}, {0, -step}, {step, step}, {-step, -step}, {step, 4 * step}, {-step, -4 * step}} {
			to := [2]float64{math.Max(0, at[0]+d[0]), math.Max(0, at[1]+d[1])}
			if v := bound(to[0], to[1]); v > here {
				at, here, moved = to, v, true
			}
		}
		if !moved {
			step /= 2
		}
	}
	return best / float64(len(arrivals))
}

// mostWaiting is how many may wait in the dynamic programme.
const mostWaiting = 40

// cheapest is the least sum of waits and prices (s).
func cheapest(arrivals []Arrival, single, bulk float64) float64 {
	cost := make([]float64, mostWaiting+1)
	for i := range cost {
		cost[i] = math.Inf(1)
	}
	cost[0] = 0
	for n, a := range arrivals {
		next := make([]float64, mostWaiting+1)
		for i := range next {
			next[i] = math.Inf(1)
		}
		for i := range mostWaiting {
			next[i+1] = cost[i]
		}
		// Calls are made when an invite arrives, if at all: waiting longer only costs.
		for i := mostWaiting; i >= 1; i-- {
			next[max(0, i-10)] = math.Min(next[max(0, i-10)], next[i]+bulk)
		}
		for i := mostWaiting; i >= 1; i-- {
			next[i-1] = math.Min(next[i-1], next[i]+single)
		}
		if n+1 < len(arrivals) {
			gap := (arrivals[n+1].At - a.At).Seconds()
			for i := range next {
				next[i] += float64(i) * gap
			}
		}
		cost = next
	}
	least := cost[0]
	for _, c := range cost { // Who waits at the end is sent for nothing.
		least = math.Min(least, c)
	}
	return least
}
