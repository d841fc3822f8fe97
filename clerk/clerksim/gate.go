package clerksim

import "time"

// gate is a limiter with what a refusal announces.
type gate struct {
	limiter limiter
	window  time.Duration
	until   int64 // closed until then, whatever the limiter says
}

func newGate(kind Limiter, l Limit) *gate {
	return &gate{limiter: newLimiter(kind, l), window: l.Window}
}

// wait is how long the gate stays closed; 0 admits.
func (g *gate) wait(now int64) time.Duration {
	if g.limiter == nil {
		return 0
	}
	return max(g.limiter.wait(now), time.Duration(g.until-now), 0)
}

// admit judges a request to an endpoint and counts it. A refusal says how long
// to wait, as the switches have it.
func (s *Sim) admit(ep Endpoint, now time.Time) (wait time.Duration, ok bool) {
	gates := []*gate{s.limiters[Other]}
	if ep != Other {
		gates = append(gates, s.limiters[ep])
	}
	t := now.UnixNano()
	var closed *gate
	for _, g := range gates {
		if d := g.wait(t); d > wait {
			wait, closed = d, g
		}
	}
	for _, g := range gates {
		switch {
		case g.limiter == nil:
		case closed == nil:
			g.limiter.hit(t)
		case s.cfg.Switches.RefusedCount:
			if g.limiter.wait(t) > 0 {
				g.limiter.refuse(t)
			} else {
				g.limiter.hit(t)
			}
		}
	}
	if closed == nil {
		return 0, true
	}
	switch s.cfg.Switches.RetryAfter {
	case RetryAfterWindow:
		if closed.until <= t {
			closed.until = t + int64(closed.window)
		}
		wait = time.Duration(closed.until - t)
	case RetryAfterShort:
		wait = time.Second
	default:
		if s.cfg.Switches.RefusedCount {
			wait = max(wait, closed.wait(t))
		}
	}
	return wait, false
}
