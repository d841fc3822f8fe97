package clerk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unique"
)

// classify says what is known after an exchange: nil if Clerk answered 2xx and
// the answer is whole (whether it also makes sense is for the caller to see), and
// otherwise an Error. It is the only place that decides a Kind from an answer, and
// it is pure: cause names a failure of transport, now is for dates in Retry-After.
func classify(op Op, x *exchange, cause Cause, now time.Time) *Error {
	e := &Error{Op: op, Status: x.status}
	if x.status == 0 {
		e.Cause = cause
		e.ctxErr = contextError(cause)
		switch {
		case !x.began:
			e.Kind, e.Cause, e.ctxErr = KindMalformed, CauseArgument, nil
		case !x.sent:
			e.Kind = KindNotSent
		default:
			e.Kind = unresolved(op)
		}
		return e
	}

	answer := parseAnswer(x)
	e.TraceID = traceID(x.header, answer.TraceID)
	if d, ok := retryAfter(x.header, now); ok {
		e.RetryAfter, e.HasRetryAfter, e.RetryAt = d, true, now.Add(d)
	}
	if x.err != nil {
		e.Cause, e.ctxErr = CauseTruncated, contextError(cause)
	} else if x.cut {
		e.Cause = CauseTooLarge
	}

	switch s := x.status; {
	case s/100 == 2:
		if e.Cause == "" {
			return nil
		}
		e.Kind = unresolved(op)
	case s == http.StatusMovedPermanently, s == http.StatusTemporaryRedirect, s == http.StatusPermanentRedirect:
		// These say "not here". 302 and 303 may also mean "done, look there".
		e.Kind = KindRedirected
	case s/100 == 4:
		answer.headline(op, e)
		e.Kind = refusal(op, x, e, answer)
		e.culprits = answer.culprits(op, e.Kind)
	default:
		// 5xx; unexpected 1xx and 3xx; a status that does not exist.
		answer.headline(op, e)
		e.Kind = unresolved(op)
	}
	return e
}

// traceID finds what Clerk's support asks for. Clerk's SDK reads one header, real
// answers have had the other, and errors repeat it in their body.
func traceID(h http.Header, inBody string) string {
	return cmp.Or(mayLog(h.Get("Clerk-Trace-Id")), mayLog(h.Get("X-Clerk-Trace-Id")), mayLog(inBody))
}

// unresolved is the Kind of a call whose effect is not known.
func unresolved(op Op) Kind {
	if op.mails() {
		return KindUnknown
	}
	return KindUnavailable
}

// refusal is the Kind of a 4xx. Clerk's code decides; the status decides what
// Clerk did not say, and what is not Clerk's to say.
func refusal(op Op, x *exchange, e *Error, answer answer) Kind {
	switch x.status {
	case http.StatusUnauthorized:
		return KindUnauthorized
	case http.StatusTooManyRequests:
		if answer.clerks() && e.HasRetryAfter {
			return KindQuota
		}
		return KindOverload
	}
	if kind, ok := kindOfCode(op, e.Code); ok {
		return kind
	}
	switch {
	case x.status == http.StatusConflict:
		return KindBusy
	case x.status == http.StatusUnprocessableEntity && answer.clerks():
		return KindInvalid
	case x.status == http.StatusForbidden && !answer.clerks() && x.err == nil:
		return KindEdgeBlocked
	case x.status == http.StatusRequestTimeout && !answer.clerks():
		// Gateways use it for either side being slow.
		return unresolved(op)
	default:
		return KindRefused
	}
}

// kindOfCode knows Clerk's error codes
// (https://clerk.com/docs/guides/development/errors/backend-api, 2026-05).
// A code means something only in answer to an operation that can have it.
func kindOfCode(op Op, code string) (Kind, bool) {
	switch code {
	case "resource_locked", "conflict":
		return KindBusy, true
	case "request_body_invalid", "bulk_size_exceeded":
		return KindMalformed, true
	case "clerk_key_invalid":
		return KindUnauthorized, true
	}
	switch {
	case op.mails():
		switch code {
		case "duplicate_record":
			return KindDuplicate, true
		case "form_identifier_exists":
			return KindExists, true
		case "not_allowed_access":
			return KindBlocked, true
		}
	case op == OpRevoke:
		switch code {
		case "invitation_already_revoked", "revoked_invitation": // both are published
			return KindAlreadyRevoked, true
		case "invitation_already_accepted":
			return KindAlreadyAccepted, true
		case "resource_not_found":
			return KindNotFound, true
		}
	case op == OpDelete && code == "resource_not_found":
		return KindNotFound, true
	}
	if strings.HasPrefix(code, "form_param_") {
		return KindInvalid, true
	}
	return KindRefused, false
}

// answer is the body of Clerk's errors, as far as we look at it: codes, names of
// parameters and culprits, never texts.
type answer struct {
	Errors  []answerError `json:"errors"`
	TraceID string        `json:"clerk_trace_id"`
	Meta    answerMeta    `json:"meta"`
}

type answerError struct {
	Code string     `json:"code"`
	Meta answerMeta `json:"meta"`
}

type answerMeta struct {
	ParamName      lenient `json:"param_name"`
	EmailAddress   lenient `json:"email_address"`
	EmailAddresses lenient `json:"email_addresses"`
	Identifier     lenient `json:"identifier"`
	Identifiers    lenient `json:"identifiers"`
}

// lenient is a list of strings, a string, or something else that is ignored: one
// field that is not as expected must not hide the others.
type lenient []string

func (l *lenient) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		if one != "" {
			*l = lenient{one}
		}
		return nil
	}
	var many []any
	if json.Unmarshal(b, &many) == nil {
		for _, v := range many {
			if s, ok := v.(string); ok && s != "" {
				*l = append(*l, s)
			}
		}
	}
	return nil
}

// parseAnswer reads the body of anything but a 2xx; what is not Clerk's JSON is
// the zero answer.
func parseAnswer(x *exchange) answer {
	var a answer
	if x.status/100 == 2 || x.err != nil || x.cut || !bytes.HasPrefix(bytes.TrimSpace(x.body), []byte("{")) {
		return a
	}
	if json.Unmarshal(x.body, &a) != nil {
		return answer{}
	}
	return a
}

// clerks reports whether the answer is in Clerk's own words: at least one error
// with a code.
func (a answer) clerks() bool {
	return slices.ContainsFunc(a.Errors, func(e answerError) bool { return e.Code != "" })
}

// headline sets Code and Param from the first error whose code we know, or else
// from the first that has one.
func (a answer) headline(op Op, e *Error) {
	known := func(ae answerError) bool { _, ok := kindOfCode(op, ae.Code); return ok }
	i := slices.IndexFunc(a.Errors, known)
	if i < 0 {
		i = slices.IndexFunc(a.Errors, func(ae answerError) bool { return ae.Code != "" })
	}
	if i < 0 {
		return
	}
	e.Code = mayLog(a.Errors[i].Code)
	if p := a.Errors[i].Meta.ParamName; len(p) > 0 {
		e.Param = mayLog(p[0])
	}
}

// culprits returns whom the errors name, each with what that error means; kind is
// for errors whose code says nothing.
func (a answer) culprits(op Op, kind Kind) []culprit {
	var all []culprit
	add := func(m answerMeta, k Kind) {
		for _, address := range slices.Concat(m.EmailAddresses, m.EmailAddress, m.Identifiers, m.Identifier) {
			c := culprit{unique.Make(address), k}
			if !slices.ContainsFunc(all, func(o culprit) bool { return o.address == c.address }) {
				all = append(all, c)
			}
		}
	}
	for _, ae := range a.Errors {
		k, ok := kindOfCode(op, ae.Code)
		if !ok {
			k = kind
		}
		add(ae.Meta, k)
	}
	add(a.Meta, kind)
	return all
}
