package clerk

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// Breaker configures when a client stops calling a Clerk that is down. Its zero
// value works.
//
// The breaker is closed while all is well. It opens when Failures calls in a row
// failed, or Ratio of at least MinCalls within Window. A failed call is a
// timeout, a connection error, a 5xx, an answer that makes no sense, a 429 that is
// not our quota, and a call that took SlowCall or longer. Other 4xx, quota 429s
// and calls that their caller canceled count neither way.
//
// While it is open every call is refused with KindNotSent and RetryAt: nothing
// leaves, nothing is spent. After Open it is half-open, and still refuses every
// call but one [Client.Probe] at a time, which is a read: a GET mails nobody. If the
// probe succeeds the breaker closes; if not, it is open again for twice as long, up
// to MaxOpen. An outage of 90 minutes sees 47 probes and nothing else.
type Breaker struct {
	Disabled bool          // lets every call through; defaults to false
	Failures int           // consecutive failures that open it; defaults to 5
	MinCalls int           // calls within Window before Ratio counts; defaults to 10
	Ratio    float64       // share of failures that opens it, over 0 to 1; defaults to 0.5
	Window   time.Duration // how far back Ratio looks, in six steps; defaults to 1 min
	SlowCall time.Duration // a call this slow has failed, whatever its answer; defaults to 5 s, at most the timeout
	Open     time.Duration // first time it stays open; defaults to 15 s
	MaxOpen  time.Duration // longest time it stays open; defaults to 2 min, at least Open

	// OnChange is called after every change of state, one call at a time and in
	// order, by the goroutine whose call caused it. No lock is held: it may use the
	// client. Defaults to none.
	OnChange func(Change)
}

// Change is a change of the breaker's state.
type Change struct {
	From, To State
	RetryAt  time.Time // when a probe may be sent; zero if To is Closed
	Last     *Error    // the failure that opened it; nil if it was a slow success, or To is not Open
}

// State is the breaker's state.
type State uint8

// The states.
const (
	Closed   State = iota // calls are let through
	HalfOpen              // a probe is under way, or said neither yes nor no; calls are refused
	Open                  // calls are refused; from RetryAt on a probe may be sent
)

// String returns a stable snake_case word for logs and metrics.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half_open"
	case Open:
		return "open"
	default:
		return "state_" + strconv.Itoa(int(s))
	}
}

func (b *Breaker) check() error {
	var errs []error
	if b.Failures < 0 || b.MinCalls < 0 || b.Window < 0 || b.SlowCall < 0 || b.Open < 0 || b.MaxOpen < 0 {
		errs = append(errs, errors.New("clerk: Breaker has a negative number"))
	}
	if !(b.Ratio >= 0 && b.Ratio <= 1) {
		errs = append(errs, errors.New("clerk: Breaker.Ratio is not between 0 and 1"))
	}
	return errors.Join(errs...)
}

func (b *Breaker) setDefaults(timeout time.Duration) {
	b.Failures = orDefault(b.Failures, 5)
	b.MinCalls = orDefault(b.MinCalls, 10)
	b.Ratio = orDefault(b.Ratio, 0.5)
	b.Window = orDefault(b.Window, time.Minute)
	// Beyond the timeout no call is seen to be slow, and one that timed out must count.
	b.SlowCall = min(orDefault(b.SlowCall, 5*time.Second), timeout)
	b.Open = orDefault(b.Open, 15*time.Second)
	b.MaxOpen = max(orDefault(b.MaxOpen, 2*time.Minute), b.Open)
}

func orDefault[T int | float64 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Ready reports whether calls are let through at present. If not, nothing will
// be sent before retryAt. From then on the next step is Probe, and a caller with
// work to do makes it:
//
//	ok, retryAt := client.Ready()
//	if !ok {
//		if time.Now().Before(retryAt) {
//			… sleep until retryAt
//		}
//		err := client.Probe(ctx) // nil: closed again
//	}
//
// Every moment that Ready names is in the future unless a probe is due now, so such
// a loop does not spin.
func (c *Client) Ready() (ok bool, retryAt time.Time) {
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == Closed, b.retryAt
}

// State returns the breaker's state.
func (c *Client) State() State {
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Probe reads one row of the list of invitations, which tells whether Clerk is
// back: if the breaker is due to close, it closes on success. Before RetryAt, and
// while another probe is under way, it is refused like every call. While the breaker
// is closed it is an ordinary read, such as a check of the key at start. It spends
// the Other limit.
//
// A refusal of Clerk's own (401, say) closes the breaker as well, because Clerk
// answers; Probe then returns that error.
func (c *Client) Probe(ctx context.Context) error {
	_, err := c.list(ctx, OpProbe, ListOptions{Limit: 1})
	return err
}
