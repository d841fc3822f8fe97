package bench

import (
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger"
)

// Limiter names a way in which Clerk might count.
type Limiter string

// The limiters. The first four admit whatever keeps to a sliding log; the last
// two are stricter than Clerk says.
const (
	FixedAligned  Limiter = "fixed, aligned"
	FixedAnchored Limiter = "fixed, anchored"
	Sliding       Limiter = "sliding"
	FullBucket    Limiter = "bucket"
	Weighted      Limiter = "weighted counter"
	HalfBucket    Limiter = "half bucket"
)

// Contained are the limiters inside which a sliding log stays.
var Contained = []Limiter{FixedAligned, FixedAnchored, Sliding, FullBucket}

// Stricter are those that surprise it.
var Stricter = []Limiter{Weighted, HalfBucket}

// counter is one endpoint's limiter: a history of admitted calls, judged by the
// words of each limiter's definition. Times in ms.
type counter struct {
	kind   Limiter
	calls  float64
	window float64
	offset float64 // of aligned windows
	past   []float64
}

func newCounter(kind Limiter, l ledger.Limit, r *rand.Rand) *counter {
	w := float64(l.Window / time.Millisecond)
	return &counter{kind: kind, calls: float64(l.Calls), window: w, offset: r.Float64() * w}
}

// admit counts a call, or says how long to wait (ms).
func (c *counter) admit(now float64) (retry float64, ok bool) {
	if c.calls == 0 {
		return 0, true
	}
	if c.fits(now) {
		c.past = append(c.past, now)
		for len(c.past) > 0 && c.past[0] < now-3*c.window {
			c.past = c.past[1:]
		}
		return 0, true
	}
	// Retry-After is in whole seconds. Once a limiter would admit a call, it goes on
	// doing so until one comes.
	seconds := sort.Search(int(c.window/1000), func(n int) bool { return c.fits(now + float64(n+1)*1000) })
	return float64(seconds+1) * 1000, false
}

func (c *counter) fits(now float64) bool {
	switch c.kind {
	case FixedAligned:
		start := now - math.Mod(now-c.offset+c.window, c.window)
		return c.in(start, now) < c.calls
	case FixedAnchored:
		start, n := math.Inf(-1), 0.0
		for _, t := range c.past {
			if t >= start+c.window {
				start, n = t, 0
			}
			n++
		}
		return now >= start+c.window || n < c.calls
	case Weighted:
		age := math.Mod(now-c.offset+c.window, c.window)
		start := now - age
		return c.in(start, now)+1+c.in(start-c.window, start)*(1-age/c.window) <= c.calls
	case FullBucket, HalfBucket:
		burst := c.calls
		if c.kind == HalfBucket {
			burst = math.Floor(c.calls / 2)
		}
		level, last := burst, 0.0
		for _, t := range c.past {
			level = math.Min(burst, level+(t-last)*c.calls/c.window) - 1
			last = t
		}
		return math.Min(burst, level+(now-last)*c.calls/c.window) >= 1
	default:
		return c.in(now-c.window, now) < c.calls
	}
}

// in counts the calls in [from, to].
func (c *counter) in(from, to float64) (n float64) {
	for _, t := range c.past {
		if t >= from && t <= to {
			n++
		}
	}
	return n
}
