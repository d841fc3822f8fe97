package clerk

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unique"
)

// Error is the error of every call. It carries what is needed to decide and to
// ask Clerk's support, and nothing that could identify a person: no message, no
// URL, no body. It is safe to log and to print with any verb.
//
// errors.Is finds its Kind; and context.Canceled or context.DeadlineExceeded when
// the context (or the request timeout) ended the call.
type Error struct {
	Op      Op
	Kind    Kind
	Cause   Cause  // what went wrong below HTTP's status line; "" if the status says it all
	Status  int    // HTTP status; 0 if no answer came
	Code    string // Clerk's code of the error that decided the Kind, such as duplicate_record
	Param   string // the parameter that Clerk names, such as email_address
	TraceID string // clerk_trace_id, for Clerk's support

	// RetryAfter is what the Retry-After header asked for, in its seconds or as
	// the distance of its date; for a call that the breaker refused, the time
	// until the breaker may close. It is not clamped to anything sensible: Clerk
	// may ask for days. It counts only if HasRetryAfter is true: 0 is a legal value.
	RetryAfter    time.Duration
	HasRetryAfter bool
	// RetryAt is the same as a moment of this machine's clock; zero if unknown.
	RetryAt time.Time

	culprits []culprit
	ctxErr   error
}

// Cause is a stable snake_case word for what went wrong in transport or decoding.
type Cause string

// The causes.
const (
	CauseArgument  Cause = "argument"   // this package refuses to send it
	CauseBreaker   Cause = "breaker"    // the breaker is open
	CauseCanceled  Cause = "canceled"   // the caller's context was canceled
	CauseTimeout   Cause = "timeout"    // the request timeout, or the caller's deadline
	CauseDNS       Cause = "dns"        // the host name did not resolve
	CauseDial      Cause = "dial"       // no connection
	CauseTLS       Cause = "tls"        // no secure connection
	CauseEOF       Cause = "eof"        // the connection was closed without an answer
	CauseReset     Cause = "reset"      // the connection was reset
	CauseConn      Cause = "connection" // any other failure of the connection
	CauseTruncated Cause = "truncated"  // the answer broke off
	CauseTooLarge  Cause = "too_large"  // the answer is larger than we are willing to read
	CauseUnread    Cause = "unreadable" // the answer is not what it should be
	CauseMismatch  Cause = "mismatch"   // the answer speaks of other invitations than the request
	CauseUnsettled Cause = "unsettled"  // a list has no end, or changes faster than it can be read
)

type culprit struct {
	address unique.Handle[string] // a handle, so that no verb of fmt prints it
	kind    Kind
}

// Error returns one line without anything personal, for example
//
//	clerk: create: quota (429 too_many_requests, retry after 36m0s, trace 0f…): the limit is reached; wait for Retry-After
func (e *Error) Error() string {
	var facts []string
	if e.Status != 0 {
		facts = append(facts, strings.TrimSpace(strconv.Itoa(e.Status)+" "+e.Code))
	}
	if e.Cause != "" {
		facts = append(facts, string(e.Cause))
	}
	if e.Param != "" {
		facts = append(facts, "param "+e.Param)
	}
	if e.HasRetryAfter {
		facts = append(facts, "retry after "+e.RetryAfter.Round(time.Second).String())
	}
	if e.TraceID != "" {
		facts = append(facts, "trace "+e.TraceID)
	}
	s := "clerk: " + e.Op.String() + ": " + e.Kind.String()
	if len(facts) > 0 {
		s += " (" + strings.Join(facts, ", ") + ")"
	}
	if e.Kind < kindEnd {
		s += ": " + kindWords[e.Kind].advice
	}
	return s
}

// Unwrap returns the Kind and, if a context ended the call, the context's error.
func (e *Error) Unwrap() []error {
	if e.ctxErr != nil {
		return []error{e.Kind, e.ctxErr}
	}
	return []error{e.Kind}
}

// Culprits returns the addresses that Clerk names as the reason, in its own
// spelling, so compare without case. Empty means that Clerk named no address.
// These are personal data: they must not be logged.
func (e *Error) Culprits() []string {
	var all []string
	for _, c := range e.culprits {
		all = append(all, c.address.Value())
	}
	return all
}

// KindFor returns what Clerk has against one address of a refused bulk, which
// may differ between its members. named is false if Clerk does not name the address.
func (e *Error) KindFor(address string) (kind Kind, named bool) {
	key := addressKey(address)
	for _, c := range e.culprits {
		if addressKey(c.address.Value()) == key {
			return c.kind, true
		}
	}
	return e.Kind, false
}

// mayLog trims a word of Clerk's (code, param, trace id) to what such words look
// like. Anything else, above all an address, is not passed on.
func mayLog(s string) string {
	if len(s) > 64 {
		return ""
	}
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9',
			r == '_', r == '-', r == '.', r == '[', r == ']':
		default:
			return ""
		}
	}
	return s
}

// contextError keeps of err what errors.Is may ask for.
func contextError(cause Cause) error {
	switch cause {
	case CauseCanceled:
		return context.Canceled
	case CauseTimeout:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
