package ledger

import (
	"sync/atomic"
	"time"
)

// Now tells a step to take its time from Redis' own clock. It is what programs
// pass: who owns an invitation, whose quota a call counts against and which claim
// has run out must not depend on the clocks of producers and workers. Tests pass
// times of their own.
var Now time.Time

// MaxOffset is by how much a worker's clock may differ from Redis' before it takes
// no turn: one of the two is wrong, and nobody knows which.
const MaxOffset = 30 * time.Second

const (
	// ClockSlack is how far Clerk's clock may be behind ours.
	ClockSlack = 30 * time.Second
	// MaxSkew is how far a clock that NTP keeps may be off.
	MaxSkew = time.Second
)

// clock is what is known of Redis' clock: how far it is ahead of this process's.
type clock struct{ offset atomic.Int64 }

// note learns from an answer that Redis gave at some time between two of ours. What
// is known stays as long as the way may explain the difference: a slow answer tells
// less than the quick ones before it.
func (c *clock) note(sent, received, theirs time.Time) {
	least, most := theirs.Sub(received), theirs.Add(time.Millisecond).Sub(sent)
	c.offset.Store(min(max(c.offset.Load(), int64(least)), int64(most)))
}

// Offset returns how far Redis' clock is ahead of this machine's, as it was
// measured last.
func (l *Ledger) Offset() time.Duration { return time.Duration(l.clock.offset.Load()) }

// Time returns the ledger's time: this machine's clock, corrected by what is known
// of Redis'.
func (l *Ledger) Time() time.Time { return time.Now().Add(l.Offset()) }

// at is the time of a step that is no script: now, or the ledger's own.
func (l *Ledger) at(now time.Time) time.Time {
	if now.IsZero() {
		return l.Time()
	}
	return now
}

// local translates a time of the ledger's into this machine's, for a step whose
// time was Redis' own.
func (l *Ledger) local(now, t time.Time) time.Time {
	if !now.IsZero() || t.IsZero() {
		return t
	}
	return t.Add(-l.Offset())
}
