package clerksim

import "time"

// Switches decide what Clerk's documents leave open, each to one of the answers
// that are consistent with them. A client is right only if it is right with
// every combination; DrawSwitches draws one. The zero Switches are the defaults.
type Switches struct {
	// Limiter is how the rate limits count. Defaults to LimiterSliding.
	Limiter Limiter
	// RefusedCount makes requests that were answered 429 count against the limit.
	RefusedCount bool
	// RetryAfter is what a 429 says about when to come back. Defaults to
	// RetryAfterSeconds.
	RetryAfter RetryAfter

	// BulkUser is how a bulk call is refused when a member belongs to a user.
	// Defaults to BulkUser422.
	BulkUser BulkUser
	// BulkUserNaming is whether that refusal says which members they are.
	// Defaults to Unnamed.
	BulkUserNaming Naming
	// BulkInvalidNaming is whether the refusal of a bulk call with a member
	// that fails validation says which member it is. Defaults to Unnamed.
	BulkInvalidNaming Naming
	// BlockedNaming is whether the refusal of a blocked address names it.
	// Defaults to NamedAll.
	BlockedNaming Naming
	// BulkPartial makes a bulk call with bad members create the good ones and
	// mail them, although the call as a whole is refused.
	BulkPartial bool
	// BulkInOrder answers bulk calls in the order of the request, where
	// otherwise the order is random.
	BulkInOrder bool
	// BulkMax is how many members a bulk call may really have, 1 to 10; above it is
	// answered bulk_size_exceeded. Defaults to 10, what is published.
	BulkMax int
	// EmptyBulkStatus is the status of a bulk call without members, 400 or 422.
	// Defaults to 400.
	EmptyBulkStatus int
	// BulkSizeStatus is the status of bulk_size_exceeded, 400 or 422.
	// Defaults to 400.
	BulkSizeStatus int
	// EqualInBody is what happens to two equal addresses in one bulk call
	// without ignore_existing. Defaults to EqualAccepted.
	EqualInBody EqualInBody

	// UserBypass is when ignore_existing overrides that the address belongs to
	// a user. Defaults to UserBypassDocumented.
	UserBypass UserBypass
	// DuplicateSeesExpired makes an expired invitation, too, stand in the way
	// of a new one.
	DuplicateSeesExpired bool
	// RefuseRevokeExpired answers 400 to the revocation of an expired
	// invitation, where otherwise it becomes revoked.
	RefuseRevokeExpired bool
	// RevokedCode is the error code of revoking what is revoked already. Defaults
	// to RevokedCodeAlready; both are published.
	RevokedCode RevokedCode
	// DeleteAnswer is what a deletion is answered with. Defaults to
	// DeleteAnswerObject.
	DeleteAnswer DeleteAnswer
	// UnfamiliarCodes replaces every error code that is only inferred, never
	// seen or documented, by one that no client knows. The status stays.
	UnfamiliarCodes bool

	// EchoAddress is the form in which addresses are kept, compared and answered.
	// Defaults to EchoAddressLower.
	EchoAddress EchoAddress
	// EchoMetadata is how public_metadata is answered. Defaults to
	// EchoMetadataAsSent.
	EchoMetadata EchoMetadata
	// Query is how the query of a list matches addresses and ids. Defaults to
	// QueryExact.
	Query Query
	// UnstableTies lists invitations with equal sort keys in an order that
	// changes from request to request, where otherwise the id decides.
	UnstableTies bool
	// Lag is how far reads are behind writes. Defaults to 0.
	Lag time.Duration
	// LagVaries makes Lag the most that a read may be behind: each read draws
	// its own, as if it met another replica.
	LagVaries bool

	// UnknownQuery is whether a parameter in a query that does not exist is refused,
	// EmptyQuery whether one without a value is (status=, limit=, order_by=),
	// TrailingSlash whether a path that ends with a slash is another path, and
	// NoContentType whether a body without a type is refused. Each is Refused or
	// Ignored. UnknownQuery, EmptyQuery and NoContentType default to Refused,
	// TrailingSlash to Ignored.
	UnknownQuery, EmptyQuery, TrailingSlash, NoContentType Strictness
	// WrongMethodStatus is the status of a method that a path does not have, 405 or
	// 404. Defaults to 405.
	WrongMethodStatus int

	// EdgeAgent refuses requests without a User-Agent of their own at Clerk's
	// edge: 403, plain text.
	EdgeAgent bool
}

// Limiter is a way to count requests against a limit.
type Limiter string

// The limiters. Only the sliding log keeps to N in any window. The others admit
// more in some: fixed windows and a full bucket up to 2N, half a bucket up to
// 1.5N. A client that keeps to N in any window is never refused by the first
// three and the full bucket, but may be by the weighted counter (which forgets
// when in its last window requests came) and by half a bucket.
const (
	LimiterSliding       Limiter = "sliding"        // at most N in any window
	LimiterFixedAligned  Limiter = "fixed-aligned"  // windows start on the clock
	LimiterFixedAnchored Limiter = "fixed-anchored" // a window starts with the first request
	LimiterWeighted      Limiter = "weighted"       // current window + overlapping share of the last
	LimiterBucket        Limiter = "bucket"         // N tokens, refilled evenly over the window
	LimiterHalfBucket    Limiter = "half-bucket"    // N/2 tokens, refilled at the same rate
)

// RetryAfter is what a 429 says about when to come back.
type RetryAfter string

// The ways to say it.
const (
	RetryAfterSeconds RetryAfter = "seconds" // whole seconds until a request would be admitted
	RetryAfterDate    RetryAfter = "date"    // the same as an HTTP date
	RetryAfterWindow  RetryAfter = "window"  // always the whole window, and the endpoint stays closed for it
	RetryAfterShort   RetryAfter = "short"   // always 1 second, however long it really takes
	RetryAfterNone    RetryAfter = "none"    // no header
)

// Naming is whether an error names the members of a bulk call that caused it.
type Naming string

// The ways to name.
const (
	Unnamed    Naming = "unnamed"
	NamedFirst Naming = "first"
	NamedAll   Naming = "all"
)

// BulkUser is how a bulk call with an existing user's address is refused.
type BulkUser string

// The refusals. The last is told apart from a pending invitation only by looking.
const (
	BulkUser422       BulkUser = "422"       // 422 form_identifier_exists, as for a single create
	BulkUser400       BulkUser = "400"       // 400 form_identifier_exists
	BulkUserDuplicate BulkUser = "duplicate" // 400 duplicate_record, as for a pending invitation
)

// EqualInBody is what happens to two equal addresses in one bulk call.
type EqualInBody string

// The possibilities.
const (
	EqualAccepted  EqualInBody = "accept"    // two invitations, two mails
	EqualDuplicate EqualInBody = "duplicate" // 400 duplicate_record
	EqualInvalid   EqualInBody = "invalid"   // 422 form_param_value_invalid
)

// UserBypass is when ignore_existing overrides that the address is a user's.
type UserBypass string

// The possibilities.
const (
	UserBypassDocumented UserBypass = "documented" // for a single create, but not in bulk
	UserBypassNever      UserBypass = "never"
	UserBypassAlways     UserBypass = "always"
)

// Query is how the query of a list matches.
type Query string

// The ways to match. All ignore case in addresses.
const (
	QueryExact     Query = "exact"
	QueryPrefix    Query = "prefix"
	QuerySubstring Query = "substring"
)

// RevokedCode is the error code of revoking what is revoked already.
type RevokedCode string

// The codes.
const (
	RevokedCodeAlready RevokedCode = "invitation_already_revoked"
	RevokedCodeRevoked RevokedCode = "revoked_invitation"
)

// DeleteAnswer is what a deletion is answered with. That it is a deleted object is
// documented for the JavaScript SDK; the operation is not in the OpenAPI document.
type DeleteAnswer string

// The answers.
const (
	DeleteAnswerObject     DeleteAnswer = "object"     // {"object":"invitation","id":…,"deleted":true}
	DeleteAnswerInvitation DeleteAnswer = "invitation" // the invitation as it was
	DeleteAnswerEmpty      DeleteAnswer = "empty"      // 204
)

// EchoAddress is the form in which addresses are kept, compared and answered.
type EchoAddress string

// The forms. Two spellings with the same form, in any case, are one person.
const (
	EchoAddressLower    EchoAddress = "lower"    // lower-cased
	EchoAddressAsSent   EchoAddress = "as-sent"  // compared without case, kept as it was sent
	EchoAddressUndotted EchoAddress = "undotted" // lower-cased, the mailbox without its dots
	EchoAddressUnicode  EchoAddress = "unicode"  // lower-cased, the domain in Unicode
)

// EchoMetadata is how public_metadata is answered.
type EchoMetadata string

// The ways to answer it.
const (
	EchoMetadataAsSent    EchoMetadata = "as-sent"   // byte for byte, apart from blanks
	EchoMetadataReordered EchoMetadata = "reordered" // the same value: keys in another order, numbers in their shortest form
	EchoMetadataChanged   EchoMetadata = "changed"   // nulls dropped, numbers rounded to 64-bit floats, and reordered
)

// Strictness is whether something odd in a request is refused or does not matter.
type Strictness string

// The two.
const (
	Refused Strictness = "refused"
	Ignored Strictness = "ignored"
)
