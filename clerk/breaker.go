package clerk

import (
	"context"
	"strconv"
	"time"
)

// Breaker configures when a client stops calling a Clerk that is down. Its zero
// value works.
//
// The breaker is closed while all is well. It opens when five calls in a row failed,
// or half of at least ten within a minute. A failed call is a
// timeout, a connection error, a 5xx, an answer that makes no sense, a 429 that is
// not our quota, and a call that took five seconds or longer. Other 4xx, quota 429s
// and calls that their caller canceled count neither way.
//
// While it is open every call is refused with KindNotSent and RetryAt: nothing
// leaves, nothing is spent. After 15 s it is half-open, and still refuses every
// call but one [Client.Probe] at a time, which is a read: a GET mails nobody. If the
// probe succeeds the breaker closes; if not, it is open again for twice as long, up
// to two minutes. An outage of 90 minutes sees 47 probes and nothing else.
type Breaker struct {
	Disabled bool // lets every call through; defaults to false

	// OnChange is called after every change of state, one call at a time and in
	// order, by the goroutine whose call caused it. No lock is held: it may use the
	// client. Defaults to none.
	OnChange func(Change)
}

const (
	breakerFailures = 5           // consecutive failures that open it
	breakerMinCalls = 10          // calls within the window before their share of failures counts
	breakerRatio    = 0.5         // share of failures that opens it
	breakerWindow   = time.Minute // how far back the share looks, in six steps
	breakerSlowCall = 5 * time.Second
	breakerOpen     = 15 * time.Second // first time it stays open
	breakerMaxOpen  = 2 * time.Minute  // longest time it stays open
)

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
