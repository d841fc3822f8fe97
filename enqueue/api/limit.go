package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits holds a rate limiter for each token that is in use, so it is as large
// as the number of tokens.
type limits struct {
	rate  rate.Limit
	burst int

	mu     sync.Mutex
	meters map[string]*meter
}

type meter struct {
	limiter *rate.Limiter
	noted   time.Time // when its use was last written down
}

// take takes a request's place. It returns how long the caller must wait if
// there is none, and whether its use should be written down again.
func (l *limits) take(token string, now time.Time) (wait time.Duration, note bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.meters[token]
	if c == nil {
		if len(l.meters) > 10_000 { // Somebody makes and revokes tokens all day.
			clear(l.meters)
		}
		limit := l.rate
		if limit < 0 {
			limit = rate.Inf
		}
		c = &meter{limiter: rate.NewLimiter(limit, l.burst)}
		l.meters[token] = c
	}
	note = now.Sub(c.noted) >= time.Minute
	if note {
		c.noted = now
	}
	r := c.limiter.ReserveN(now, 1)
	if d := r.DelayFrom(now); d > 0 {
		r.CancelAt(now)
		return d, note
	}
	return 0, note
}
