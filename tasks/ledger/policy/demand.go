package policy

import "math"

const (
	// ReserveShare of the singles is kept free for people as long as anybody has
	// come in the last two windows, IdleShare when nobody has.
	ReserveShare, IdleShare = 0.10, 0.02
	// KeptSigmas: and never fewer than so many standard deviations of the demand.
	KeptSigmas = 1.25
	// LeastShare of the singles may go to imports in any window, if that many are
	// free beyond the reserve.
	LeastShare = 0.10
	// DemandSteps is in how many steps a window's demand fades. Between two of
	// them nothing changes but tokens, which makes wake-up times exact.
	DemandSteps = 32
)

// Demand counts interactive arrivals in two windows that take turns.
type Demand struct{ Start, Cur, Prev float64 }

// Roll brings the counters to now and adds arrivals.
func (d *Demand) Roll(now, window, arrived float64) {
	if now >= d.Start+2*window {
		d.Start, d.Cur, d.Prev = now, 0, 0
	} else if now >= d.Start+window {
		d.Start, d.Cur, d.Prev = d.Start+window, 0, d.Cur
	}
	d.Cur += arrived
}

// Fade returns the demand at a time within the current window, and when it next
// changes by itself.
func (d *Demand) Fade(now, window float64) (float64, float64) {
	step := window / DemandSteps
	n := math.Floor((now - d.Start) / step)
	demand := d.Cur + d.Prev*(1-n/DemandSteps)
	if demand <= 0 {
		return 0, Never
	}
	return demand, d.Start + (n+1)*step
}

// Kept is how many singles are kept for interactive invites. reserve is that
// number, or -1: follow the demand.
func Kept(reserve, limit, demand float64) float64 {
	if reserve >= 0 {
		return math.Min(reserve, limit)
	}
	share := IdleShare
	if demand > 0 {
		share = ReserveShare
	}
	return math.Min(math.Ceil(math.Max(share*limit, KeptSigmas*math.Sqrt(demand))), limit)
}

// Spacing is the time between two singles of an import: what the limit leaves
// beside the demand and what is kept.
func Spacing(limit, span, demand, kept float64) float64 {
	if limit == 0 {
		return 0
	}
	return span / math.Max(LeastShare*limit, limit-demand-kept)
}
