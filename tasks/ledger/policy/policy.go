// Package policy decides what a turn may send, without I/O. It is written once, in
// Go: policy.lua is made from policy.go, people.go, quota.go and demand.go (go
// generate), and Redis runs that. Tests, the quota benchmark and the ETA run the Go. A
// test says when policy.lua is stale, and another one holds the two together on random
// states.
//
// The files that policy.lua is made from keep to what both languages have: numbers,
// records and functions, no slices, no closures. Times are Unix milliseconds, and
// float64 as all of Lua's numbers.
//
// "People" are the invites of the interactive lane, "rows" those of imports. Some of
// both go one by one: a bulk call that was refused may have been their fault.
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
	// LingerTime (ms) is how long a bulk that is not full waits for more of a
	// burst, counted from the newest arrival.
	LingerTime = 100
)

// Action is what a turn does.
type Action string

// The actions.
const (
	Bulk   Action = "bulk"
	Single Action = "single" // for people if any wait, else for a row
	Wait   Action = "wait"
	Idle   Action = "idle" // nothing waits
)

// State is what a decision is made from.
type State struct {
	Now       float64
	TTL       float64 // of a claim (ms)
	Size      int     // of a full bulk
	People    int     // waiting
	PeopleOne int     // waiting, and go one by one
	Rows      int     // waiting
	RowsOne   int     // waiting, and go one by one
	ArrivedAt float64 // the newest of the people
	Every     float64 // the time between the newest of them and those before
	Since     float64 // since when people wait
	GroupTat  float64 // when groups of people will have paid for their bulks
	Gap       float64 // what the next group pays
	Calm      bool    // there are tokens for all people
	Paced     bool    // imports leave room for people
	Outlook   Outlook
	Kept      float64 // singles kept for people
	SpareAt   float64 // when there is a single beyond them
	ImportAt  float64 // when an import's next single is due
	Single    Facts
	Bulk      Facts
	OtherAt   float64 // when any call may be made at all
	SingleQ   *Quota
	BulkQ     *Quota
}

// NewState gathers what a decision is made from, but for what waits. reserve is the
// number of singles kept for people, or -1: follow the demand.
func NewState(now float64, size int, reserve, ttl float64, single, bulk, other *Quota, d *Demand, window float64) *State {
	s := &State{Now: now, Size: size, TTL: ttl, SingleQ: single, BulkQ: bulk, Paced: reserve != 0}
	s.Outlook = d.Outlook(window)
	s.Kept = s.Outlook.Kept(reserve, single.Calls)
	s.SpareAt = single.FreeAt(now, math.Min(s.Kept+1, single.Calls)) // If all are kept, one may go when all are free.
	s.Single = single.Facts(now)
	s.Bulk = bulk.Facts(now)
	s.Gap = s.Bulk.Interval
	s.OtherAt = other.Facts(now).HardAt
	return s
}

// Decide says what to send now, or when to ask again (Never: when something
// comes).
func Decide(s *State) (Action, float64) {
	if s.People+s.PeopleOne+s.Rows+s.RowsOne == 0 {
		return Idle, Never
	}
	singleAt, bulkAt := people(s)
	rowAt, rowsAt := rows(s)
	if s.People+s.PeopleOne == 0 {
		singleAt = rowAt
	}
	bulkAt = math.Min(bulkAt, rowsAt)
	at := math.Min(singleAt, bulkAt)
	if at <= s.Now {
		action, q := Single, s.SingleQ
		if bulkAt <= s.Now {
			action, q = Bulk, s.BulkQ
		}
		at = math.Max(s.OtherAt, q.Landed(s.Now, s.TTL))
		if at <= s.Now {
			return action, s.Now
		}
		// A token that comes before may make the other kind the better one.
		if s.Bulk.NextAt > s.Now {
			at = math.Min(at, s.Bulk.NextAt)
		}
		if s.Single.NextAt > s.Now {
			at = math.Min(at, s.Single.NextAt)
		}
	}
	return Wait, math.Max(math.Ceil(math.Min(at, s.Outlook.NextAt)), s.Now+1)
}

// rows says when the next single and the next bulk may leave for an import's sake.
func rows(s *State) (float64, float64) {
	singleAt, bulkAt := Never, Never
	if s.Rows+s.RowsOne > 0 {
		singleAt = math.Max(s.Single.HardAt, s.SpareAt)
		if s.Paced {
			singleAt = math.Max(singleAt, s.ImportAt)
		}
	}
	if s.Rows > 0 && s.People+s.Rows >= s.Size {
		// A backlog takes every bulk token at once, unless that would make people wait
		// who need the next one: then its calls are paced, and what is left is made to last.
		bulkAt = s.Bulk.HardAt
		if s.Paced && s.People < s.Size && !covered(s) {
			bulkAt = math.Max(bulkAt, s.Bulk.Last+math.Max(s.Bulk.Interval, (s.Bulk.NextAt-s.Bulk.Last)/(s.Bulk.Free+1)))
		}
	} else if s.Rows >= 2 || s.Rows == 1 && singleAt > s.Now {
		bulkAt = s.Bulk.HardAt
		if s.Paced {
			bulkAt = math.Max(bulkAt, s.Bulk.SoftAt)
		}
	}
	return singleAt, bulkAt
}

// covered reports whether the singles alone carry the demand.
func covered(s *State) bool {
	return s.Single.Limit == 0 || s.Outlook.People+math.Sqrt(s.Outlook.People) <= CoverShare*s.Single.Limit
}
