package clerk

import (
	"net/http"
	"sync"
	"time"
)

// How many answers the offset of Clerk's clock is measured by, and how far apart
// the oldest and the newest may be: quartz drifts by some 50 ms in ten minutes.
const (
	clockAnswers = 32
	clockSpan    = 10 * time.Minute
)

// clock compares Clerk's clock with ours by the answers of ordinary calls.
type clock struct {
	mu   sync.Mutex
	seen []reading // oldest first, at most clockAnswers
}

// reading is what one answer says: Clerk's clock minus ours lies within [low, high].
type reading struct {
	at        time.Time
	low, high time.Duration
}

// ClockOffset returns how far Clerk's clock is ahead of this machine's (negative:
// behind): Clerk's time is time.Now().Add(offset), and the error of that is at
// most uncertainty, while no clock was set meanwhile. known is false until Clerk
// has answered once.
//
// It is measured by the Date header of the answers to ordinary calls, at no extra
// call. One answer tells it to a second and the time that the call took; several,
// to less, because only what agrees with all of them is left. Answers that are not
// Clerk's own (a gateway's, a cache's) do not count. When a clock is set, the
// newest answers win. That the machine which stamps Date and the one which stamps
// created_at agree is inferred, so allow for a second more where that matters.
func (c *Client) ClockOffset() (offset, uncertainty time.Duration, known bool) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	return tightest(c.clock.seen)
}

func (c *clock) observe(r reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) == clockAnswers {
		c.seen = append(c.seen[:0], c.seen[1:]...)
	}
	c.seen = append(c.seen, r)
}

// readClock reads the Date of an answer to a request of which no byte left before
// sent, and whose header was there at received. Date has whole seconds, rounded
// down, so Clerk's clock showed something within [Date, Date+1s) in between.
func readClock(h http.Header, sent, received time.Time) (r reading, ok bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || sent.IsZero() || h.Get("Age") != "" {
		return reading{}, false
	}
	r = reading{at: received, low: date.Sub(received), high: date.Add(time.Second).Sub(sent)}
	return r, r.low <= r.high // not if our own clock was set back during the call
}

// tightest returns the middle and the half width of what the newest readings
// agree upon, back to the first that is too old or contradicts the newer ones.
func tightest(seen []reading) (offset, uncertainty time.Duration, known bool) {
	if len(seen) == 0 {
		return 0, 0, false
	}
	all := seen[len(seen)-1]
	for i := len(seen) - 2; i >= 0; i-- {
		r := seen[i]
		low, high := max(all.low, r.low), min(all.high, r.high)
		if low > high || all.at.Sub(r.at) > clockSpan {
			break
		}
		all.low, all.high = low, high
	}
	half := (all.high - all.low + 1) / 2
	return all.low + half, half, true
}
