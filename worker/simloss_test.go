package worker

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// loss is a time of which Redis has forgotten everything.
type loss struct {
	from, until time.Time // what was written in between is gone
	all         bool      // it was emptied
	told        bool      // it says that it is another server
	witness     bool      // a worker has lived through it
}

// forgets reports whether what was written at a moment may be gone.
func (l loss) forgets(at time.Time) bool {
	return !at.IsZero() && (l.all || !at.Before(l.from)) && !at.After(l.until)
}

// lost reports whether Redis has forgotten what was written at a moment.
func (s *simulation) lost(at time.Time) bool {
	for _, l := range s.losses {
		if l.forgets(at) {
			return true
		}
	}
	return false
}

// goesBack draws when Redis is set back to an earlier moment, or emptied.
func (p *plan) goesBack(r *rand.Rand) {
	if !p.forgetful {
		return
	}
	for range 1 + r.IntN(3) {
		at, back := p.when(r), 100*time.Millisecond+time.Duration(r.Int64N(int64(4900*time.Millisecond)))
		outage := time.Duration(r.ExpFloat64() * float64(5*time.Second))
		all, told, alone, quiet := chance(r, 0.25), chance(r, 0.7), chance(r, 0.2), chance(r, 0.3)
		if quiet {
			outage = 0
		}
		p.at(at, func(s *simulation) {
			s.saved, s.savedAt = s.snapshot(), time.Now()
			if all {
				s.saved = nil
			}
		}, "Redis writes to its disk for the last time")
		at += back
		p.at(at, func(s *simulation) {
			if !quiet {
				s.hurts.set(func(h *hurts) { h.refuse = true })
			}
			if alone {
				s.killAll()
			}
		}, "Redis dies (alone %t)", alone)
		p.at(at+outage, func(s *simulation) {
			l := loss{from: s.savedAt, until: time.Now(), all: all, told: told, witness: len(s.alive()) > 0}
			s.setBack(s.saved)
			if told {
				s.newServer()
			}
			s.losses = append(s.losses, l)
			s.hurts.set(func(h *hurts) { h.refuse = false })
			s.repeat(l)
		}, "Redis is back, without its last %s (emptied %t, another server %t)", back, all, told)
	}
}

// killAll ends every worker at once, and lets as many come back.
func (s *simulation) killAll() {
	for _, w := range s.alive() {
		s.kill(w)
		s.startAgain(20 * time.Second)
	}
}

// repeat lets producers ask again for some of what Redis has lost, as they do who
// look their requests up.
func (s *simulation) repeat(l loss) {
	again := func(i *simInvite) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return i.accepted && l.forgets(i.told) && chance(s.dice, s.repeats)
	}
	imports := map[string][]*simInvite{}
	for _, i := range s.invites {
		if i.ImportID != "" {
			imports[i.ImportID] = append(imports[i.ImportID], i)
		}
		if i.ImportID == "" && again(i) {
			s.invite(i)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(imports)) {
		if again(imports[id][0]) {
			s.importAll(id, imports[id])
		}
	}
}
