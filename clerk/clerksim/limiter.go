package clerksim

import "time"

// limiter is one rate limit, in one of the ways Clerk might implement it. Times
// are Unix nanoseconds and never go back.
type limiter interface {
	// wait returns how long after now a request would be admitted; 0 admits it.
	wait(now int64) time.Duration
	// hit counts a request that was admitted.
	hit(now int64)
	// refuse counts a request that was refused. It is called only when refused
	// requests count.
	refuse(now int64)
}

// Meter counts requests against one limit, for simulations that have a clock of their
// own. It is for one goroutine.
type Meter struct{ limiter limiter }

// NewMeter returns a meter that counts in one of the ways.
func NewMeter(kind Limiter, l Limit) *Meter { return &Meter{newLimiter(kind, l)} }

// Admit counts a request and returns 0, or says how long after now one would be
// admitted. Times must not go back.
func (m *Meter) Admit(now time.Time) (wait time.Duration) {
	if m.limiter == nil {
		return 0
	}
	if wait = m.limiter.wait(now.UnixNano()); wait == 0 {
		m.limiter.hit(now.UnixNano())
	}
	return wait
}

// newLimiter returns nil for an unlimited Limit.
func newLimiter(kind Limiter, l Limit) limiter {
	if l.N < 0 {
		return nil
	}
	window := int64(l.Window)
	switch kind {
	case LimiterFixedAligned:
		return &fixedWindow{limit: l.N, window: window, aligned: true}
	case LimiterFixedAnchored:
		return &fixedWindow{limit: l.N, window: window}
	case LimiterWeighted:
		return &weightedCounter{limit: l.N, window: window}
	case LimiterBucket:
		return newBucket(l.N, window, l.N)
	case LimiterHalfBucket:
		return newBucket(l.N, window, max(1, l.N/2))
	default:
		return &slidingLog{window: window, hits: make([]int64, l.N)}
	}
}

// fixedWindow counts requests in windows that start on the multiples of the
// window since 1970 (aligned), or with the first request after the last window
// ended (anchored).
type fixedWindow struct {
	limit   int
	window  int64
	aligned bool

	open  bool
	start int64
	count int
}

func (f *fixedWindow) current(now int64) bool {
	return f.open && now < f.start+f.window
}

func (f *fixedWindow) wait(now int64) time.Duration {
	if !f.current(now) || f.count < f.limit {
		return 0
	}
	return time.Duration(f.start + f.window - now)
}

func (f *fixedWindow) hit(now int64) {
	if !f.current(now) {
		f.open, f.start, f.count = true, now, 0
		if f.aligned {
			f.start = floor(now, f.window)
		}
	}
	f.count++
}

func (f *fixedWindow) refuse(now int64) { f.hit(now) }

// slidingLog admits a request when fewer than limit were counted in the window
// that ends with it: (now-window, now]. It remembers the last limit requests in
// a ring, which is all that the rule needs.
type slidingLog struct {
	window int64
	hits   []int64
	n      int // requests counted so far
}

func (l *slidingLog) wait(now int64) time.Duration {
	if l.n < len(l.hits) {
		return 0
	}
	oldest := l.hits[l.n%len(l.hits)]
	return time.Duration(max(0, oldest+l.window-now))
}

func (l *slidingLog) hit(now int64) {
	l.hits[l.n%len(l.hits)] = now
	l.n++
}

func (l *slidingLog) refuse(now int64) { l.hit(now) }

// weightedCounter estimates the sliding count from two aligned windows: all of
// the current one, and of the previous one the share that still overlaps. It is
// what several gateways ship; it forgets when within the window requests came,
// and so may refuse traffic that a sliding log would admit.
type weightedCounter struct {
	limit  int
	window int64

	index    int64 // number of the current window since 1970
	cur, old int
}

func (c *weightedCounter) roll(now int64) {
	index := floor(now, c.window) / c.window
	switch {
	case index == c.index:
		return
	case index == c.index+1:
		c.old = c.cur
	default:
		c.old = 0
	}
	c.index, c.cur = index, 0
}

func (c *weightedCounter) wait(now int64) time.Duration {
	c.roll(now)
	start := c.index * c.window
	if c.cur < c.limit {
		if at := start + c.clears(c.old, c.limit-1-c.cur); at < start+c.window {
			return time.Duration(max(0, at-now))
		}
	}
	// Not before the next window, in which the current one is the previous.
	return time.Duration(start + c.window + c.clears(c.cur, c.limit-1) - now)
}

// clears returns the first moment of a window at which a previous count of old
// weighs no more than room: old·(window-elapsed) ≤ room·window.
func (c *weightedCounter) clears(old, room int) int64 {
	if old <= room {
		return 0
	}
	// ceil(window·(old-room)/old), split so that it cannot overflow.
	excess, n := int64(old-room), int64(old)
	return c.window/n*excess + (c.window%n*excess+n-1)/n
}

func (c *weightedCounter) hit(now int64) {
	c.roll(now)
	c.cur++
}

func (c *weightedCounter) refuse(now int64) { c.hit(now) }

// bucket holds up to burst tokens and gains one per interval. It is kept as the
// time at which it will be full again.
type bucket struct {
	interval int64
	burst    int64
	full     int64
}

func newBucket(limit int, window int64, burst int) *bucket {
	interval := (window + int64(limit) - 1) / int64(limit)
	return &bucket{interval: interval, burst: int64(burst)}
}

func (b *bucket) wait(now int64) time.Duration {
	return time.Duration(max(0, b.full-(b.burst-1)*b.interval-now))
}

func (b *bucket) hit(now int64) {
	b.full = max(b.full, now) + b.interval
}

// refuse takes the part of a token that has grown, so that a client which keeps
// knocking more often than once an interval is never let in.
func (b *bucket) refuse(now int64) {
	b.full = now + b.burst*b.interval
}

// floor rounds t down to a multiple of step, also before 1970.
func floor(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}
