// Package policy decides what a turn may send, without I/O. It is written once, in
// Go: policy.lua is made from policy.go, quota.go and demand.go (go generate), and
// Redis runs that. Tests, the quota benchmark and the ETA run the Go. A test says
// when policy.lua is stale, and another one holds the two together on random states.
//
// The files that policy.lua is made from keep to what both languages have: numbers,
// records and functions, no slices, no closures. Times are Unix milliseconds, and
// float64 as all of Lua's numbers.
package policy

import (
	_ "embed"
	"math"
)

//go:generate go test -run ^TestLuaIsFresh$ -update .

// Lua is policy.lua, which stands before turn.lua and settle.lua.
//
//go:embed policy.lua
var Lua string

// Never is later than every moment.
const Never = 9e15

const (
	// CoverShare: up to this share of the singles, they alone carry the demand, and
	// imports take every bulk at once.
	CoverShare = 0.90
	// UseShare of the singles is planned for people; whoever comes beyond it is
	// left to wait for the next bulk, the nearest to it first. It is more than 1
	// because a plan that falls short loses tokens.
	UseShare = 1.1
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

// State is what a decision is made from.
type State struct {
	Now         float64
	Size        int     // of a full bulk
	Interactive int     // waiting
	Import      int     // waiting
	Solo        int     // 1 if the head of those that go one by one may go, else 0
	SoloLane    int     // its lane
	ArrivedAt   float64 // the newest interactive invite
	Demand      float64 // interactive invites in the last window
	ChangesAt   float64 // when the demand next changes by itself
	Kept        float64 // singles kept for people
	SpareAt     float64 // when there is a single beyond them
	ImportAt    float64 // when an import's next single is due
	Single      Facts
	Bulk        Facts
	OtherAt     float64 // when any call may be made at all
	SingleQ     *Quota
	BulkQ       *Quota
	TTL         float64 // of a claim (ms)
}

// NewState gathers what a decision is made from, but for what waits. reserve is the
// number of singles kept for people, or -1: follow the demand.
func NewState(now float64, size int, reserve, ttl float64, single, bulk, other *Quota, d *Demand, window float64) *State {
	s := &State{Now: now, Size: size, TTL: ttl, SingleQ: single, BulkQ: bulk}
	s.Demand, s.ChangesAt = d.Fade(now, window)
	s.Kept = Kept(reserve, single.Calls, s.Demand)
	s.SpareAt = single.FreeAt(now, s.Kept+1)
	s.Single = single.Look(now)
	s.Bulk = bulk.Look(now)
	s.OtherAt = other.Look(now).HardAt
	return s
}

// covered reports whether the singles alone carry the demand.
func covered(s *State) bool {
	return s.Single.Limit == 0 || s.Demand+math.Sqrt(s.Demand) <= CoverShare*s.Single.Limit
}

// Decide says what to send now, or when to ask again (Never: when something
// comes).
func Decide(s *State) (Action, float64) {
	action, at := want(s)
	if action == Idle {
		return action, at
	}
	if action != Wait {
		q := s.SingleQ
		if action == Bulk {
			q = s.BulkQ
		}
		at = math.Max(s.OtherAt, q.Landed(s.Now, s.TTL))
		if at <= s.Now {
			return action, s.Now
		}
	}
	if s.Import+s.Solo > 0 {
		at = math.Min(at, s.ChangesAt)
	}
	return Wait, math.Max(math.Ceil(at), s.Now+1)
}

// want is Decide as if calls took no time.
func want(s *State) (Action, float64) {
	waiting := s.Interactive + s.Import
	if waiting+s.Solo == 0 {
		return Idle, Never
	}
	// Those that go one by one are the oldest: theirs is the next single.
	soloAt := Never
	if s.Solo > 0 {
		soloAt = s.Single.HardAt
		if s.SoloLane > 0 {
			soloAt = math.Max(soloAt, s.SpareAt)
		}
		if soloAt <= s.Now {
			return Solo, s.Now
		}
	}
	if waiting == 0 {
		return Wait, soloAt
	}

	// joinAt is the next bulk that need not be full. A backlog takes every bulk token
	// at once, unless that would make people wait who need the next one: then its
	// calls are paced, and what is left is made to last.
	joinAt := math.Max(s.Bulk.HardAt, s.Bulk.SoftAt)
	bulkAt := Never
	if waiting >= s.Size {
		bulkAt = s.Bulk.HardAt
		if s.Interactive < s.Size && !covered(s) {
			bulkAt = math.Max(bulkAt, s.Bulk.Last+math.Max(s.Bulk.Interval, (s.Bulk.NextAt-s.Bulk.Last)/(s.Bulk.Free+1)))
		}
		joinAt = bulkAt
	} else if waiting >= 2 || s.Single.HardAt > s.Now || s.Interactive == 0 && s.SpareAt > s.Now {
		bulkAt = math.Max(joinAt, s.ArrivedAt+math.Min(LingerTime, s.Bulk.Interval/4))
	}
	if bulkAt <= s.Now {
		return Bulk, s.Now
	}

	// So near to a bulk that singles are better kept for others.
	near := joinAt > s.Now && s.Demand > 0 &&
		joinAt-s.Now < s.Bulk.Interval*(1-UseShare*s.Single.Limit/s.Demand)
	singleAt := math.Max(s.Single.HardAt, s.Single.SoftAt)
	switch {
	case s.Interactive == 0:
		singleAt = math.Max(s.Single.HardAt, math.Max(s.SpareAt, s.ImportAt))
	case s.Interactive >= s.Size || waiting >= s.Size && covered(s):
		singleAt = s.Single.HardAt
	case near:
		singleAt = joinAt
	}
	if singleAt <= s.Now {
		return Single, s.Now
	}
	return Wait, math.Min(soloAt, math.Min(bulkAt, singleAt))
}
