package clerk

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker is gobreaker's state machine with what that lacks: when it may close
// again, longer and longer waits, and probes that are not ordinary calls.
//
// gobreaker is only ever entered with mu held, and never while it would turn
// half-open behind our back, so that its state and ours are one. Its callback runs
// under its own lock as well; it only notes the change, and publish tells of it
// when both locks are free.
type breaker struct {
	cfg     Breaker
	timeout time.Duration // how long a probe may take

	mu       sync.Mutex
	machine  *gobreaker.TwoStepCircuitBreaker[struct{}]
	state    State
	retryAt  time.Time     // when the next probe may be sent; only while not closed
	openFor  time.Duration // how long it is open this time
	closedAt time.Time     // when it last closed
	failures int           // in a row; gobreaker's own count forgets with its window
	last     *Error
	pending  []Change
	telling  bool // a goroutine is in publish
	era      uint // one per state: results of calls that an earlier one let through are void
}

var (
	errFailure = errors.New("failure")
	errNeither = errors.New("neither")
)

func newBreaker(cfg Breaker, timeout time.Duration) *breaker {
	b := &breaker{cfg: cfg, timeout: timeout}
	b.machine = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     breakerWindow,
		BucketPeriod: breakerWindow / 6,
		// How long it is open is ours to say (retryAt); gobreaker's own wait cannot
		// grow, so it is as short as can be.
		Timeout:       time.Nanosecond,
		ReadyToTrip:   b.readyToTrip,
		OnStateChange: b.changed,
		IsExcluded:    func(err error) bool { return errors.Is(err, errNeither) }, // also called with nil
	})
	return b
}

func (b *breaker) readyToTrip(n gobreaker.Counts) bool {
	calls := n.TotalSuccesses + n.TotalFailures
	return b.failures >= breakerFailures ||
		int(calls) >= breakerMinCalls && float64(n.TotalFailures) >= breakerRatio*float64(calls)
}

// changed is called by gobreaker with both locks held.
func (b *breaker) changed(_ string, _, to gobreaker.State) {
	now := time.Now()
	c := Change{From: b.state}
	switch to {
	case gobreaker.StateClosed:
		b.state, b.closedAt, b.retryAt = Closed, now, time.Time{}
	case gobreaker.StateHalfOpen:
		// The others ask again when this probe is over.
		b.state, b.retryAt = HalfOpen, now.Add(b.timeout)
	case gobreaker.StateOpen:
		again := b.state == HalfOpen || !b.closedAt.IsZero() && now.Sub(b.closedAt) < breakerMaxOpen
		if again {
			b.openFor = min(2*b.openFor, breakerMaxOpen)
		} else {
			b.openFor = breakerOpen
		}
		b.state, b.retryAt, c.Last = Open, now.Add(b.openFor), b.last
	}
	b.failures = 0
	b.era++
	c.To, c.RetryAt = b.state, b.retryAt
	b.pending = append(b.pending, c)
}

// publish tells OnChange what has changed. Only one goroutine at a time does; it
// also tells what others, or OnChange itself, add meanwhile.
func (b *breaker) publish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.telling {
		return
	}
	b.telling = true
	defer func() { b.telling = false }()
	for len(b.pending) > 0 {
		c := b.pending[0]
		b.pending = b.pending[1:]
		if b.cfg.OnChange == nil {
			continue
		}
		b.mu.Unlock()
		func() {
			defer b.mu.Lock()
			b.cfg.OnChange(c)
		}()
	}
}

// admit lets a call through or refuses it. A call that is let through must end
// with done.
func (b *breaker) admit(op Op) (done func(*Error, time.Duration), refused *Error) {
	if b.cfg.Disabled {
		return func(*Error, time.Duration) {}, nil
	}
	defer b.publish()
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.state != Closed && (op != OpProbe || now.Before(b.retryAt)) {
		return nil, b.refusal(op, now)
	}
	report, err := b.machine.Allow()
	if err != nil { // a probe is under way
		b.retryAt = later(b.retryAt, now.Add(b.timeout))
		return nil, b.refusal(op, now)
	}
	if b.state == HalfOpen {
		b.retryAt = now.Add(b.timeout)
	}
	era := b.era
	return func(e *Error, took time.Duration) { b.done(op, report, era, e, took) }, nil
}

func (b *breaker) refusal(op Op, now time.Time) *Error {
	return &Error{
		Op: op, Kind: KindNotSent, Cause: CauseBreaker,
		RetryAfter: max(b.retryAt.Sub(now), 0), HasRetryAfter: true, RetryAt: b.retryAt,
	}
}

// done counts the result of a call that was let through.
func (b *breaker) done(op Op, report func(error), era uint, e *Error, took time.Duration) {
	defer b.publish()
	b.mu.Lock()
	defer b.mu.Unlock()
	if era != b.era {
		return // from before the last change; gobreaker ignores it, too
	}
	// Beyond the timeout no call is seen to be slow, and one that timed out must count.
	v := healthOf(op, e, took, min(breakerSlowCall, b.timeout))
	switch {
	case v == nil:
		b.failures = 0
	case errors.Is(v, errFailure):
		b.failures++
		b.last = e
	case b.state == HalfOpen:
		// This probe said nothing. If its caller ended it, the next may try at once.
		now := time.Now()
		b.retryAt = now
		if !errors.Is(e.ctxErr, context.Canceled) {
			b.retryAt = later(now.Add(b.openFor), e.RetryAt)
		}
	}
	report(v)
}

// healthOf says whether a call speaks for Clerk's health (nil), against it, or
// neither.
func healthOf(op Op, e *Error, took, slow time.Duration) error {
	if e == nil {
		if took >= slow {
			return errFailure
		}
		return nil
	}
	switch {
	case e.Cause == CauseArgument, errors.Is(e.ctxErr, context.Canceled):
		return errNeither
	case e.ctxErr != nil && took < slow:
		return errNeither // the caller was in more of a hurry than is fair
	}
	switch e.Kind {
	case KindUnknown, KindNotSent, KindOverload, KindUnavailable:
		return errFailure
	case KindQuota:
		return errNeither
	default:
		// To a probe, Clerk's own words are a sign of life whatever they say. A
		// stranger's (edge, redirect) are not.
		if op == OpProbe && e.Code != "" {
			return nil
		}
		return errNeither
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
