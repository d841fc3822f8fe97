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
	// ReserveShare of the singles is kept free for people as long as anybody has
	// come in the last two windows, IdleShare when nobody has.
	ReserveShare, IdleShare = 0.10, 0.02
	// KeptSigmas: and never fewer than so many standard deviations of the demand.
	KeptSigmas = 1.25
	// LeastShare of the singles may go to imports in any window, if that many are
	// free beyond the reserve.
	LeastShare = 0.10
	// CoverShare: up to this share of the singles, they alone carry the demand, and
	// imports take every bulk at once.
	CoverShare = 0.90
	// UseShare of the singles is planned for people; whoever comes beyond it is
	// left to wait for the next bulk, the nearest to it first. It is more than 1
	// because a plan that falls short loses tokens.
	UseShare = 1.1
	// DemandSteps is in how many steps a window's demand fades. Between two of
	// them nothing changes but tokens, which makes wake-up times exact.
	DemandSteps = 32
	// AnswerTime (ms) is how long a call waits for the answer to one before it, once
	// the soft bucket's depth has been spent in the window: a limiter that is
	// stricter than we know then refuses one call, and not as many as are in flight.
	AnswerTime = 2000
	// CareTime (ms) is how long an endpoint is careful after a refusal that its log
	// did not predict, and at least two windows: its calls then keep to the soft
	// bucket, at a rate that leaves room for the bucket's depth.
	CareTime = 24 * 3600 * 1000
	// LingerTime (ms) is how long a bulk that is not full waits for more of a
	// burst, counted from the newest arrival.
	LingerTime = 100
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
	Free     int     `json:"free"`    // tokens
	NextAt   float64 `json:"next_at"` // when the next call leaves the log
}

// State is what a decision is made from.
type State struct {
	Now         float64  `json:"now"`
	Size        int      `json:"size"` // of a full bulk
	Interactive int      `json:"ni"`   // waiting
	Import      int      `json:"nm"`
	Solo        int      `json:"ns"`         // 1 if the head of the solo lane may go, else 0
	SoloLane    int      `json:"ns_lane"`    // its lane
	ArrivedAt   float64  `json:"arrived_at"` // the newest interactive invite
	Demand      float64  `json:"demand"`     // interactive invites in the last window
	Reserve     int      `json:"reserve"`    // singles kept for them; -1: follow the demand
	Single      Endpoint `json:"single"`
	Bulk        Endpoint `json:"bulk"`
}

// Depth of the soft bucket of a limit, in calls.
func Depth(limit int) float64 { return math.Max(1, math.Floor(SoftShare*float64(limit))) }

// SoftInterval is what the soft bucket gains a token in: longer while careful, so
// that no window sees more than the limit.
func SoftInterval(limit int, span float64, careful bool) float64 {
	switch l := float64(limit); {
	case limit == 0:
		return 0
	case careful:
		return span / math.Max(1, l-Depth(limit))
	default:
		return span / l
	}
}

// InFlight is how many calls of an endpoint may wait for their answers beyond
// the depth of its soft bucket: those that are due in AnswerTime.
func InFlight(limit int, span float64) int {
	return int(math.Max(1, math.Ceil(float64(limit)*AnswerTime/span)))
}

// Care is for how long (ms) an endpoint is careful after a refusal that its log
// did not predict.
func Care(window float64) float64 { return math.Max(CareTime, 2*window) }

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
	return int(math.Min(math.Ceil(math.Max(share*float64(limit), KeptSigmas*math.Sqrt(demand))), float64(limit)))
}

// Spacing is the time between two singles of an import: what the limit leaves
// beside the demand and what is kept.
func Spacing(limit int, span, demand float64, kept int) float64 {
	if limit == 0 {
		return 0
	}
	l := float64(limit)
	return span / math.Max(LeastShare*l, l-demand-float64(kept))
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

	// The next bulk that need not be full.
	joinAt := math.Max(bulk.HardAt, bulk.SoftAt)
	bulkAt := Never
	if waiting >= s.Size {
		bulkAt = bulk.HardAt
		if s.Interactive < s.Size && !covered(s) {
			bulkAt = math.Max(bulkAt, bulk.Last+math.Max(bulk.Interval, (bulk.NextAt-bulk.Last)/float64(bulk.Free+1)))
		}
		joinAt = bulkAt
	} else if waiting >= 2 || single.HardAt > s.Now || (s.Interactive == 0 && single.SpareAt > s.Now) {
		bulkAt = math.Max(joinAt, s.ArrivedAt+math.Min(LingerTime, bulk.Interval/4))
	}
	if bulkAt <= s.Now {
		return Bulk, s.Now
	}

	// So near to a bulk that singles are better kept for others.
	near := joinAt > s.Now && s.Demand > 0 &&
		joinAt-s.Now < bulk.Interval*(1-UseShare*float64(single.Limit)/s.Demand)
	var singleAt float64
	switch {
	case s.Interactive == 0:
		singleAt = math.Max(single.HardAt, math.Max(single.SpareAt, single.ImportAt))
	case s.Interactive >= s.Size || (waiting >= s.Size && covered(s)):
		singleAt = single.HardAt
	case near:
		singleAt = joinAt
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
