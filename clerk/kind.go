package clerk

import (
	"errors"
	"strconv"
)

// Kind says what is known after a call that did not succeed, and so what to do
// next. A Kind is itself an error:
//
//	if errors.Is(err, clerk.KindQuota) { … }
//
// The zero value is the cautious one, KindUnknown.
type Kind uint8

// The kinds. "No effect" means that Clerk certainly did not do what was asked.
const (
	// KindUnknown: the request left and nothing proves that it was refused, so
	// the mails may have gone out. Timeout, reset, EOF, 5xx, an answer that
	// cannot be read or that speaks of other invitations. Only calls that mail
	// (create, bulk_create) end like this. Never repeat it: settle it by reading.
	KindUnknown Kind = iota
	// KindNotSent: not one byte of the request left this machine. Name
	// resolution, dial or TLS failed, the context ended first, or the breaker is
	// open (then RetryAt is set). No effect, nothing spent.
	KindNotSent
	// KindQuota: 429 with Retry-After, in Clerk's own words. Our limit is
	// reached: close the endpoint until RetryAt. No effect, no failure.
	KindQuota
	// KindOverload: any other 429. Clerk answers so while it is down, or a
	// gateway does. Close the endpoint by our own bound. No effect.
	KindOverload
	// KindBusy: 409 (resource_locked, conflict). Try again soon. No effect.
	KindBusy
	// KindDuplicate: a pending invitation for an address exists
	// (duplicate_record). On a first attempt another program made it; on a later
	// one it may be ours, so look.
	KindDuplicate
	// KindExists: an address belongs to a user (form_identifier_exists). For good.
	KindExists
	// KindInvalid: Clerk refuses what the request says (422); Param names the
	// field. For good.
	KindInvalid
	// KindMalformed: Clerk cannot read the request (request_body_invalid,
	// bulk_size_exceeded), or this package refused to send it. Our bug.
	KindMalformed
	// KindBlocked: the instance does not allow the address (not_allowed_access).
	// For good, until a person changes the instance's restrictions.
	KindBlocked
	// KindUnauthorized: 401, the secret key is not accepted. Nothing will succeed
	// until the key is fixed.
	KindUnauthorized
	// KindEdgeBlocked: 403 that is not Clerk's JSON: the edge in front of Clerk
	// turns us away. Nothing will succeed until that is fixed.
	KindEdgeBlocked
	// KindRedirected: 301, 307 or 308: the API is elsewhere, so the base URL is
	// wrong. Redirects are not followed, because that would carry the key
	// and the addresses to another host. No effect.
	KindRedirected
	// KindNotFound: revoke, delete: Clerk knows no such invitation. For good. To a
	// delete that is repeated it says that the first one took effect.
	KindNotFound
	// KindAlreadyRevoked: revoke: it is revoked already, which is what was asked.
	KindAlreadyRevoked
	// KindAlreadyAccepted: revoke: too late, the invitation was accepted.
	KindAlreadyAccepted
	// KindUnavailable: the answer to a call that may be repeated did not come or
	// made no sense: 5xx, timeout, reset, unreadable answer. That is every read,
	// revoke and delete: what took effect answers KindAlreadyRevoked or KindNotFound
	// when it is asked again. Try later.
	KindUnavailable
	// KindRefused: any other 4xx. No effect, reason not known.
	KindRefused

	kindEnd // the number of kinds
)

var kindWords = [kindEnd]struct{ word, advice string }{
	KindUnknown:         {"unknown", "it may have taken effect; look before sending it again"},
	KindNotSent:         {"not_sent", "nothing was sent; try again later"},
	KindQuota:           {"quota", "the limit is reached; wait for Retry-After"},
	KindOverload:        {"overload", "Clerk is overloaded or down; wait"},
	KindBusy:            {"busy", "Clerk is busy with this resource; try again soon"},
	KindDuplicate:       {"duplicate", "a pending invitation exists"},
	KindExists:          {"exists", "the address belongs to a user"},
	KindInvalid:         {"invalid", "Clerk refuses a parameter"},
	KindMalformed:       {"malformed", "the request is not well formed, which is a bug of ours"},
	KindBlocked:         {"blocked", "the instance does not allow the address"},
	KindUnauthorized:    {"unauthorized", "the secret key is not accepted; check CLERK_SECRET_KEY"},
	KindEdgeBlocked:     {"edge_blocked", "the edge in front of Clerk turns us away; check User-Agent, egress address and base URL"},
	KindRedirected:      {"redirected", "the server redirects; check the base URL"},
	KindNotFound:        {"not_found", "Clerk knows no such invitation"},
	KindAlreadyRevoked:  {"already_revoked", "the invitation is revoked already"},
	KindAlreadyAccepted: {"already_accepted", "the invitation is accepted already"},
	KindUnavailable:     {"unavailable", "no usable answer; try again later"},
	KindRefused:         {"refused", "Clerk refuses the request"},
}

// String returns a stable snake_case word for logs and metrics.
func (k Kind) String() string {
	if k < kindEnd {
		return kindWords[k].word
	}
	return "kind_" + strconv.Itoa(int(k))
}

// Error returns the word and what to do.
func (k Kind) Error() string {
	if k < kindEnd {
		return "clerk: " + k.String() + ": " + kindWords[k].advice
	}
	return "clerk: " + k.String()
}

// MayHaveTakenEffect reports whether repeating the call could mail a person
// twice. A Kind that this version does not know might.
func (k Kind) MayHaveTakenEffect() bool { return k == KindUnknown || k >= kindEnd }

// Permanent reports whether the same request will be answered the same however
// often it is sent, so that sending it again only wastes quota. It speaks of the
// request: of a refused bulk, some invitations may still be good.
// KindDuplicate is not permanent: the pending invitation may end.
func (k Kind) Permanent() bool {
	switch k {
	case KindExists, KindInvalid, KindMalformed, KindBlocked,
		KindNotFound, KindAlreadyRevoked, KindAlreadyAccepted:
		return true
	default:
		return false
	}
}

// ClosesEverything reports whether no call of any kind can succeed until
// a person fixes the configuration. It says nothing about the invites.
func (k Kind) ClosesEverything() bool {
	switch k {
	case KindUnauthorized, KindEdgeBlocked, KindRedirected:
		return true
	default:
		return false
	}
}

// KindOf returns the Kind of err, and KindUnknown, the cautious one, for an error
// that is not from this package. It is meant for errors: nil is KindUnknown, too.
func KindOf(err error) Kind {
	if k, ok := errors.AsType[Kind](err); ok {
		return k
	}
	return KindUnknown
}
