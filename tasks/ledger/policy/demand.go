package policy

import "math"

const (
	// ReserveShare of the singles is kept free for people as long as anybody may be
	// about: somebody has come in the last two windows, or nobody has looked for as long
	// as one. Else IdleShare.
	ReserveShare, IdleShare = 0.10, 0.02
	// KeptSigmas: and never fewer than so many standard deviations of the demand.
	KeptSigmas = 1.25
	// LeastShare of the singles may go to imports in any window, if that many are
	// free beyond the reserve.
	LeastShare = 0.10
	// DemandSteps is in how many steps a window's demand is counted and fades. Between
	// two of them nothing changes but tokens, which makes wake-up times exact.
	DemandSteps = 32
)

// Demand counts interactive arrivals in two windows that take turns. The zero Demand
// has seen nobody.
type Demand struct {
	Began     float64 // when somebody looked first
	Start     float64 // of the window under way
	Cur, Prev float64 // arrivals in it, and in the one before
	Step      float64 // the step of the window under way
	Here      float64 // arrivals in that step
	CurSq     float64 // the squares of the steps before it, added up
	PrevSq    float64 // those of the window before
}

// Outlook is what a demand tells about the window to come.
type Outlook struct {
	Known   bool    // demand has been watched for a window before the one under way
	People  float64 // arrivals in the last window
	Growing float64 // arrivals in a window, if it goes on as it began; the same but in the first window
	Spread  float64 // their standard deviation, by how they were spread over the steps
	MidAt   float64 // the middle of the step under way, in which all this is the same
	NextAt  float64 // when it changes by itself
}

// Roll brings the counters to now and adds arrivals.
func (d *Demand) Roll(now, window, arrived float64) {
	if d.Began == 0 {
		d.Began = now
	}
	if now >= d.Start+2*window || d.Cur+d.Prev == 0 {
		d.Start, d.Cur, d.Prev, d.Step, d.Here, d.CurSq, d.PrevSq = now, 0, 0, 0, 0, 0, 0
	} else if now >= d.Start+window {
		d.PrevSq = d.CurSq + d.Here*d.Here
		d.Start, d.Cur, d.Prev, d.Step, d.Here, d.CurSq = d.Start+window, 0, d.Cur, 0, 0, 0
	}
	step := math.Floor((now - d.Start) / (window / DemandSteps))
	if step != d.Step {
		d.CurSq += d.Here * d.Here
		d.Step, d.Here = step, 0
	}
	d.Cur += arrived
	d.Here += arrived
}

// Outlook tells what to expect at the time to which the demand was rolled.
func (d *Demand) Outlook(window float64) Outlook {
	left := 1 - d.Step/DemandSteps // of the window before
	o := Outlook{People: d.Cur + d.Prev*left, Known: d.Start >= d.Began+window}
	if o.People <= 0 {
		o.NextAt = Never
		if !o.Known {
			o.NextAt = d.Began + window
		}
		return o
	}
	seen := float64(DemandSteps)
	if d.Prev == 0 {
		seen = d.Step + 1
	}
	o.Growing = o.People * DemandSteps / seen
	o.Spread = math.Sqrt(math.Max(0, d.CurSq+d.Here*d.Here+d.PrevSq*left-o.People*o.People/seen))
	o.MidAt = d.Start + (d.Step+0.5)*window/DemandSteps
	o.NextAt = d.Start + (d.Step+1)*window/DemandSteps
	return o
}

// Kept is how many singles are kept for interactive invites. reserve is that
// number, or -1: follow the demand.
func (o *Outlook) Kept(reserve, limit float64) float64 {
	if reserve >= 0 {
		return math.Min(reserve, limit)
	}
	share := ReserveShare
	if o.Growing == 0 && o.Known {
		share = IdleShare
	}
	return math.Min(math.Ceil(math.Max(share*limit, KeptSigmas*math.Sqrt(o.Growing))), limit)
}

// Spacing is the time between two singles of an import: what the limit leaves
// beside the demand and what is kept.
func (o *Outlook) Spacing(limit, span, kept float64) float64 {
	if limit == 0 {
		return 0
	}
	return span / math.Max(LeastShare*limit, limit-o.Growing-kept)
}
