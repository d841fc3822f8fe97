// Package policy decides what a turn may send: the pure half of turn.lua, said
// twice. policy.lua is what Redis runs; the Go twin here is what tests, the
// quota benchmark and the ETA run, and a test holds the two together on random
// states. All numbers that were tuned stand in these two files.
//
// Times are Unix milliseconds; float64 as in Lua, so that both round alike.
package policy

import (
	_ "embed"
	"math"
)

// Lua is policy.lua, which stands before turn.lua.
//
//go:embed policy.lua
var Lua string

// Never is later than every moment.
const Never = 9e15

const (
	// SoftShare is the depth of an endpoint's soft bucket, as a share of its limit.
	SoftShare = 0.08
	// ReserveShare of the singles is kept for people as long as anybody has come
	// in the last two windows, and IdleShare when nobody has.
	ReserveShare, IdleShare = 0.10, 0.02
	// CoverShare: up to this share of the singles, the reserve covers the demand.
	CoverShare = 0.80
	// DemandSteps is in how many steps a window's demand fades. Between two of
	// them nothing changes but tokens, which makes wake-up times exact.
	DemandSteps = 32
	// OpenShare of a limit is spent without waiting for answers; beyond it calls
	// go one after the other, so that a limiter that is stricter than we know
	// refuses one call and not as many as are in flight.
	OpenShare = 0.5
	// AnswerTime is how many milliseconds of calls may be in flight beyond that.
	AnswerTime = 2000
)

// Action is what a turn does.
type Action string

// The actions.
const (
	Bulk   Action = "bulk"
	Single Action = "single"
	Solo   Action = "solo" // a single for an invite that goes one by one
	Wait   Action = "wait"
	Idle   Action = "idle" // nothing waits
)

// Endpoint is what a decision needs to know of one quota.
type Endpoint struct {
	Limit    int     `json:"limit"`    // calls in a window; 0: none
	Interval float64 `json:"interval"` // the span of a window, shared by its calls
	HardAt   float64 `json:"hard_at"`  // when a call is possible: token, gate, care
	SoftAt   float64 `json:"soft_at"`  // when the soft bucket holds one
	Last     float64 `json:"last"`     // its latest call
	SpareAt  float64 `json:"spare_at"` // single: when there is a token beyond the reserve
	ImportAt float64 `json:"import_at"`
}

// State is what a decision is made from.
type State struct {
	Now         float64  `json:"now"`
	Size        int      `json:"size"` // of a full bulk
	Interactive int      `json:"ni"`   // waiting
	Import      int      `json:"nm"`
	Solo        int      `json:"ns"`      // 1 if the head of the solo lane may go, else 0
	SoloLane    int      `json:"ns_lane"` // its lane
	Demand      float64  `json:"demand"`  // interactive invites in the last window
	Reserve     int      `json:"reserve"` // singles kept for them; -1: follow the demand
	Single      Endpoint `json:"single"`
	Bulk        Endpoint `json:"bulk"`
}

// Depth of the soft bucket of a limit, in calls.
func Depth(limit int) float64 { return math.Max(1, math.Floor(SoftShare*float64(limit))) }

// InFlight is how many calls of an endpoint may be under way beyond OpenShare.
func InFlight(limit int, span float64) int {
	return int(math.Max(1, math.Ceil(float64(limit)*AnswerTime/span)))
}

func need(demand float64) float64 { return demand + math.Sqrt(demand) }

// Kept is how many singles are kept for interactive invites.
func Kept(reserve, limit int, demand float64) int {
	if reserve >= 0 {
		return min(reserve, limit)
	}
	share := IdleShare
	if demand > 0 {
		share = ReserveShare
	}
	return int(math.Min(math.Ceil(math.Max(share*float64(limit), need(demand))), float64(limit)))
}

func covered(s *State) bool {
	return s.Single.Limit == 0 || need(s.Demand) <= CoverShare*float64(s.Single.Limit)
}

// Decide says what to send now, or when to ask again (Never: when something
// comes).
func Decide(s *State) (Action, float64) {
	bulk, single, waiting := &s.Bulk, &s.Single, s.Interactive+s.Import
	if waiting+s.Solo == 0 {
		return Idle, Never
	}
	soloAt := Never
	if s.Solo > 0 {
		soloAt = single.HardAt
		if s.SoloLane > 0 {
			soloAt = math.Max(soloAt, single.SpareAt)
		}
		if soloAt <= s.Now {
			return Solo, s.Now
		}
	}
	if waiting == 0 {
		return Wait, soloAt
	}

	bulkAt := Never
	if waiting >= s.Size {
		bulkAt = bulk.HardAt
		if s.Interactive < s.Size && !covered(s) {
			bulkAt = math.Max(bulkAt, bulk.Last+bulk.Interval)
		}
	} else if waiting >= 2 || single.HardAt > s.Now {
		bulkAt = math.Max(bulk.HardAt, bulk.SoftAt)
	}
	if bulkAt <= s.Now {
		return Bulk, s.Now
	}

	near := bulkAt-s.Now < bulk.Interval/2
	var singleAt float64
	switch {
	case s.Interactive == 0:
		singleAt = math.Max(single.HardAt, math.Max(single.SpareAt, single.ImportAt))
	case s.Interactive >= s.Size || (waiting >= s.Size && covered(s)):
		singleAt = single.HardAt
	case near && waiting > 1:
		singleAt = bulkAt
	default:
		singleAt = math.Max(single.HardAt, single.SoftAt)
	}
	if singleAt <= s.Now {
		return Single, s.Now
	}
	return Wait, math.Min(soloAt, math.Min(bulkAt, singleAt))
}

// Demand counts interactive arrivals in two windows that take turns.
type Demand struct{ Start, Cur, Prev float64 }

// Roll brings the counters to now and adds arrivals.
func (d *Demand) Roll(now, window, arrived float64) {
	switch {
	case now >= d.Start+2*window:
		d.Start, d.Cur, d.Prev = now, 0, 0
	case now >= d.Start+window:
		d.Start, d.Cur, d.Prev = d.Start+window, 0, d.Cur
	}
	d.Cur += arrived
}

// At returns the demand at a time within the current window, and when it next
// changes by itself.
func (d *Demand) At(now, window float64) (demand, changes float64) {
	step := window / DemandSteps
	n := math.Floor((now - d.Start) / step)
	demand = d.Cur + d.Prev*(1-n/DemandSteps)
	if demand <= 0 {
		return 0, Never
	}
	return demand, d.Start + (n+1)*step
}
