package clerksim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	// UnfamiliarCodes replaces every error code that is only inferred, never
	// seen or documented, by one that no client knows. The status stays.
	UnfamiliarCodes bool

	// EchoCase answers addresses as they were given, where otherwise they are
	// lower-cased. Matching ignores case either way.
	EchoCase bool
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

// A Switch is one field of Switches as text, for command lines, logs and draws.
type Switch struct {
	Name string
	// Values are the values to choose from, the default first. For a duration
	// they are the ones to draw from.
	Values []string

	get func(*Switches) string
	set func(*Switches, string) error
}

// AllSwitches are all switches with their values, the default first.
func AllSwitches() []Switch { return slices.Clone(switchTable) }

var switchTable = []Switch{
	enum("limiter", func(s *Switches) *Limiter { return &s.Limiter },
		LimiterSliding, LimiterFixedAligned, LimiterFixedAnchored, LimiterWeighted, LimiterBucket, LimiterHalfBucket),
	boolean("refused-count", func(s *Switches) *bool { return &s.RefusedCount }),
	enum("retry-after", func(s *Switches) *RetryAfter { return &s.RetryAfter },
		RetryAfterSeconds, RetryAfterDate, RetryAfterWindow, RetryAfterShort, RetryAfterNone),
	enum("bulk-user", func(s *Switches) *BulkUser { return &s.BulkUser }, BulkUser422, BulkUser400, BulkUserDuplicate),
	enum("bulk-user-naming", func(s *Switches) *Naming { return &s.BulkUserNaming }, Unnamed, NamedFirst, NamedAll),
	enum("bulk-invalid-naming", func(s *Switches) *Naming { return &s.BulkInvalidNaming }, Unnamed, NamedFirst, NamedAll),
	enum("blocked-naming", func(s *Switches) *Naming { return &s.BlockedNaming }, NamedAll, NamedFirst, Unnamed),
	boolean("bulk-partial", func(s *Switches) *bool { return &s.BulkPartial }),
	boolean("bulk-in-order", func(s *Switches) *bool { return &s.BulkInOrder }),
	{
		Name: "bulk-size-status", Values: []string{"400", "422"},
		get: func(s *Switches) string { return strconv.Itoa(s.BulkSizeStatus) },
		set: func(s *Switches, v string) (err error) { s.BulkSizeStatus, err = strconv.Atoi(v); return err },
	},
	enum("equal-in-body", func(s *Switches) *EqualInBody { return &s.EqualInBody }, EqualAccepted, EqualDuplicate, EqualInvalid),
	enum("user-bypass", func(s *Switches) *UserBypass { return &s.UserBypass }, UserBypassDocumented, UserBypassNever, UserBypassAlways),
	boolean("duplicate-sees-expired", func(s *Switches) *bool { return &s.DuplicateSeesExpired }),
	boolean("refuse-revoke-expired", func(s *Switches) *bool { return &s.RefuseRevokeExpired }),
	boolean("unfamiliar-codes", func(s *Switches) *bool { return &s.UnfamiliarCodes }),
	boolean("echo-case", func(s *Switches) *bool { return &s.EchoCase }),
	enum("query", func(s *Switches) *Query { return &s.Query }, QueryExact, QueryPrefix, QuerySubstring),
	boolean("unstable-ties", func(s *Switches) *bool { return &s.UnstableTies }),
	{
		Name: "lag", Values: []string{"0s", "500ms", "3s"},
		get: func(s *Switches) string { return shortDuration(s.Lag) },
		set: func(s *Switches, v string) (err error) {
			s.Lag, err = time.ParseDuration(v)
			if err == nil && s.Lag < 0 {
				err = errors.New("negative")
			}
			return err
		},
	},
	boolean("lag-varies", func(s *Switches) *bool { return &s.LagVaries }),
	boolean("edge-agent", func(s *Switches) *bool { return &s.EdgeAgent }),
}

func enum[T ~string](name string, field func(*Switches) *T, values ...T) Switch {
	sw := Switch{Name: name}
	for _, v := range values {
		sw.Values = append(sw.Values, string(v))
	}
	sw.get = func(s *Switches) string { return string(*field(s)) }
	sw.set = func(s *Switches, v string) error {
		if !slices.Contains(values, T(v)) {
			return errors.New("unknown value")
		}
		*field(s) = T(v)
		return nil
	}
	return sw
}

func boolean(name string, field func(*Switches) *bool) Switch {
	return Switch{
		Name: name, Values: []string{"false", "true"},
		get: func(s *Switches) string { return strconv.FormatBool(*field(s)) },
		set: func(s *Switches, v string) (err error) { *field(s), err = strconv.ParseBool(v); return err },
	}
}

// normalize replaces zero values by the defaults they stand for and refuses
// values that no switch has.
func (s *Switches) normalize() error {
	var errs []error
	for _, sw := range switchTable {
		v := sw.get(s)
		if v == "" || v == "0" {
			v = sw.Values[0]
		}
		if err := sw.apply(s, v); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (sw Switch) apply(s *Switches, v string) error {
	err := sw.set(s, v)
	if err == nil && sw.Name == "bulk-size-status" && !slices.Contains(sw.Values, v) {
		err = errors.New("unknown value")
	}
	if err != nil {
		return fmt.Errorf("clerksim: switch %s=%q: want one of %s", sw.Name, v, strings.Join(sw.Values, ", "))
	}
	return nil
}

// String lists the switches that differ from the defaults, as ParseSwitches
// reads them; with none it is empty.
func (s Switches) String() string {
	_ = s.normalize() // an odd value is printed as it is
	var b []string
	for _, sw := range switchTable {
		switch v := sw.get(&s); {
		case v == sw.Values[0]:
		case v == "true":
			b = append(b, sw.Name)
		default:
			b = append(b, sw.Name+"="+v)
		}
	}
	return strings.Join(b, ",")
}

// DrawSwitches draws every switch with equal chances for its values. EdgeAgent
// keeps its default: it is about a client's configuration, not its behaviour.
func DrawSwitches(r *rand.Rand) Switches {
	var s Switches
	for _, sw := range switchTable {
		if sw.Name != "edge-agent" {
			_ = sw.apply(&s, sw.Values[r.IntN(len(sw.Values))]) // its own values are valid
		}
	}
	return s
}
