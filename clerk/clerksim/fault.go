package clerksim

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// FaultKind is what goes wrong with a request.
type FaultKind string

// The faults. "Before" means that nothing was committed, "after" that the call
// took effect in full: invitations exist and mails were sent. Unless said
// otherwise the request counts against the limits, as it may well with Clerk,
// and a request over its limit is answered 429 instead (or dropped).
const (
	// DropBefore closes the connection without an answer, before commit.
	DropBefore FaultKind = "drop-before"
	// DropAfter closes the connection without an answer, after commit.
	DropAfter FaultKind = "drop-after"
	// ErrorBefore answers Status (default 500) with Clerk's JSON, before commit.
	ErrorBefore FaultKind = "error-before"
	// ErrorAfter does so after commit.
	ErrorAfter FaultKind = "error-after"
	// RefuseAfter answers Status (default 422) as a refusal of Clerk's, after
	// commit: a call that was refused and took effect all the same.
	RefuseAfter FaultKind = "refuse-after"
	// GatewayBefore answers Status (default 502) with HTML, as a proxy in front
	// of Clerk does. It does not count.
	GatewayBefore FaultKind = "gateway-before"
	// GatewayAfter does so after commit: the proxy lost Clerk's answer.
	GatewayAfter FaultKind = "gateway-after"
	// Overload answers 429 in plain text without Retry-After, as Clerk did to
	// nearly everyone while it was down in February and March 2026. It does not
	// count.
	Overload FaultKind = "overload"
	// Throttle answers 429 with Clerk's JSON and RetryAfter (default "1"),
	// although the limits have room.
	Throttle FaultKind = "throttle"
	// Unauthorized answers 401 clerk_key_invalid. It does not count.
	Unauthorized FaultKind = "unauthorized"
	// EdgeBlock answers 403 with the plain text "error code: 1010". It does not
	// count.
	EdgeBlock FaultKind = "edge-block"
	// Locked answers 409 resource_locked, before commit.
	Locked FaultKind = "locked"
	// Redirect answers Status (default 307) with a Location on the same host,
	// before commit.
	Redirect FaultKind = "redirect"
	// Truncate breaks the connection in the middle of the answer, after commit.
	Truncate FaultKind = "truncate"
	// Malformed answers 200 with something that is not JSON, after commit.
	Malformed FaultKind = "malformed"
	// Empty answers 200 with an empty body, after commit.
	Empty FaultKind = "empty"
	// Short answers a bulk create or a list of invitations without its last
	// element, after commit; other calls it leaves alone.
	Short FaultKind = "short"
	// Huge puts 8 MiB of blanks before the answer, after commit.
	Huge FaultKind = "huge"
	// PartialBulk commits the first half of a bulk call, then answers as
	// ErrorBefore does; a bulk call of one, and any other call, it fails before
	// commit.
	PartialBulk FaultKind = "partial-bulk"
)

var faultKinds = []FaultKind{
	DropBefore, DropAfter, ErrorBefore, ErrorAfter, RefuseAfter, GatewayBefore, GatewayAfter,
	Overload, Throttle, Unauthorized, EdgeBlock, Locked, Redirect,
	Truncate, Malformed, Empty, Short, Huge, PartialBulk,
}

// Fault is what goes wrong with one request. The zero Fault is none. Without a
// Kind the answer is right, but late or out of date.
type Fault struct {
	Kind FaultKind

	// Delay is how long the request waits before it is judged and committed. It
	// is committed even if the client has gone by then, hours ago.
	Delay time.Duration
	// Hold is how long the answer is withheld after commit.
	Hold time.Duration
	// Lag makes a read see the world as it was that long ago.
	Lag time.Duration

	// Status and Code override the status and Clerk's error code of
	// ErrorBefore, ErrorAfter, RefuseAfter and PartialBulk; Status also those of the
	// gateway faults and Redirect. The code follows from the status by default.
	Status int
	Code   string
	// RetryAfter is sent as it is in the header Retry-After of Throttle,
	// ErrorBefore, ErrorAfter, GatewayBefore, GatewayAfter and Overload.
	RetryAfter string
	// Reset makes the drops reset a TCP connection, where otherwise they end it.
	Reset bool
}

// edge reports whether the request never reaches Clerk proper.
func (f Fault) edge() bool {
	switch f.Kind {
	case GatewayBefore, Overload, Unauthorized, EdgeBlock:
		return true
	}
	return false
}

// before reports whether the fault strikes after the limits and before commit.
func (f Fault) before() bool {
	switch f.Kind {
	case DropBefore, ErrorBefore, Throttle, Locked, Redirect:
		return true
	}
	return false
}

func (f Fault) drops() bool { return f.Kind == DropBefore || f.Kind == DropAfter }

// Rule is a Fault with the requests it strikes. The zero values of the
// conditions do not restrict.
type Rule struct {
	Op    Op
	Fault Fault
	// Rate is the share of matching requests struck, above 0 and up to 1.
	// Defaults to 1.
	Rate float64
	// Times is how many requests it strikes in all. Defaults to 0, no bound.
	Times int
	// From and Until bound the time since New in which it strikes; an Until of
	// 0 is for ever.
	From, Until time.Duration
}

func (r Rule) check() error {
	var problem string
	switch {
	case r.Fault == Fault{}:
		problem = "no fault"
	case r.Fault.Kind != "" && !slices.Contains(faultKinds, r.Fault.Kind):
		problem = fmt.Sprintf("unknown fault %q", r.Fault.Kind)
	case r.Op != "" && !slices.Contains(ops, r.Op):
		problem = fmt.Sprintf("unknown operation %q", r.Op)
	case r.Rate < 0 || r.Rate > 1:
		problem = fmt.Sprintf("rate %v is not within 0 and 1", r.Rate)
	case r.Times < 0:
		problem = "negative number of times"
	case r.From < 0 || r.Until < 0 || r.Until > 0 && r.Until <= r.From:
		problem = "the time it ends is not after the time it begins"
	case r.Fault.Status != 0 && (r.Fault.Status < 300 || r.Fault.Status > 599):
		problem = fmt.Sprintf("status %d is no error", r.Fault.Status)
	case r.Fault.Delay < 0 || r.Fault.Hold < 0 || r.Fault.Lag < 0:
		problem = "negative duration"
	default:
		return nil
	}
	return fmt.Errorf("clerksim: fault rule: %s", problem)
}

// strikes decides whether the rule applies to a request, and counts it.
func (r *Rule) strikes(op Op, since time.Duration, dice *rand.Rand) bool {
	if r.Op != "" && r.Op != op || since < r.From || r.Until > 0 && since >= r.Until || r.Times < 0 {
		return false
	}
	if r.Rate > 0 && r.Rate < 1 && dice.Float64() >= r.Rate {
		return false
	}
	if r.Times > 0 {
		if r.Times--; r.Times == 0 {
			r.Times = -1 // spent
		}
	}
	return true
}

// Request is what a fault hook is told about a request.
type Request struct {
	Op           Op
	Header       http.Header
	Addresses    []string // lower-cased; of a create or a bulk create, when readable
	InvitationID string   // of a revoke or a delete
	RawQuery     string   // of a read
}

// Inject makes the next times requests of op meet f, after faults injected
// earlier; op "" is any operation, and times below 1 is none.
func (s *Sim) Inject(op Op, f Fault, times int) {
	if times < 1 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.injected = append(s.injected, Rule{Op: op, Fault: f, Times: times})
}

// AddFaults adds rules as ParseFaults makes them. Their times count from now, and
// they are asked before those of the Config.
func (s *Sim) AddFaults(rules ...Rule) error {
	for _, r := range rules {
		if err := r.check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.now().Sub(s.start)
	for _, r := range rules {
		if r.Until > 0 {
			r.Until += since
		}
		r.From += since
		s.injected = append(s.injected, r)
	}
	return nil
}

// Faults returns the rules that may still strike, in the order in which they are
// asked, their times counted from now.
func (s *Sim) Faults() []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.now().Sub(s.start)
	var out []Rule
	for _, r := range slices.Concat(s.outages, s.injected, s.rules) {
		if r.Times < 0 || r.Until > 0 && since >= r.Until {
			continue
		}
		r.From = max(0, r.From-since)
		r.Until = max(0, r.Until-since)
		out = append(out, r)
	}
	return out
}

// ClearFaults removes all rules, those of the Config among them, and outages.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outages, s.injected, s.rules = nil, nil, nil
}

// Outage makes every request of the next d meet f; a zero f is Overload.
func (s *Sim) Outage(d time.Duration, f Fault) {
	if f == (Fault{}) {
		f.Kind = Overload
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.now().Sub(s.start)
	s.outages = append(s.outages, Rule{Fault: f, From: from, Until: from + d})
}

// faultOf decides what goes wrong with a request: an outage before all, then
// the hook, what was injected, and the rules.
func (s *Sim) faultOf(req Request, dice *rand.Rand) Fault {
	if f, ok := s.struck(req.Op, &s.outages, dice); ok {
		return f
	}
	if s.cfg.Fault != nil {
		if f := s.cfg.Fault(req); f != (Fault{}) {
			return f
		}
	}
	if f, ok := s.struck(req.Op, &s.injected, dice); ok {
		return f
	}
	f, _ := s.struck(req.Op, &s.rules, dice)
	return f
}

func (s *Sim) struck(op Op, rules *[]Rule, dice *rand.Rand) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.now().Sub(s.start)
	*rules = slices.DeleteFunc(*rules, func(r Rule) bool {
		return r.Times < 0 || r.Until > 0 && since >= r.Until
	})
	for i := range *rules {
		if r := &(*rules)[i]; r.strikes(op, since, dice) {
			return r.Fault, true
		}
	}
	return Fault{}, false
}
