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

// A Switch is one field of Switches as text, for command lines, logs and draws.
type Switch struct {
	Name string
	Asks string // what it decides, as a question
	// Values are the values to choose from, the default first. For a duration
	// they are the ones to draw from.
	Values []string

	get func(*Switches) string
	set func(*Switches, string) error
}

// AllSwitches are all switches with their values, the default first.
func AllSwitches() []Switch { return slices.Clone(switchTable) }

var switchTable = []Switch{
	enum("limiter", "How do the limits count?", func(s *Switches) *Limiter { return &s.Limiter },
		LimiterSliding, LimiterFixedAligned, LimiterFixedAnchored, LimiterWeighted, LimiterBucket, LimiterHalfBucket),
	boolean("refused-count", "Do requests that were refused count, too?", func(s *Switches) *bool { return &s.RefusedCount }),
	enum("retry-after", "What does Retry-After say?", func(s *Switches) *RetryAfter { return &s.RetryAfter },
		RetryAfterSeconds, RetryAfterDate, RetryAfterWindow, RetryAfterShort, RetryAfterNone),
	enum("bulk-user", "How is a bulk call with a user's address refused?", func(s *Switches) *BulkUser { return &s.BulkUser }, BulkUser422, BulkUser400, BulkUserDuplicate),
	enum("bulk-user-naming", "Does that refusal name the address?", func(s *Switches) *Naming { return &s.BulkUserNaming }, Unnamed, NamedFirst, NamedAll),
	enum("bulk-invalid-naming", "Does a validation error in bulk name the member?", func(s *Switches) *Naming { return &s.BulkInvalidNaming }, Unnamed, NamedFirst, NamedAll),
	enum("blocked-naming", "Does not_allowed_access name the blocked address?", func(s *Switches) *Naming { return &s.BlockedNaming }, NamedAll, NamedFirst, Unnamed),
	boolean("bulk-partial", "Does a refused bulk call create its good members all the same?", func(s *Switches) *bool { return &s.BulkPartial }),
	boolean("bulk-in-order", "Is the answer to a bulk call in the order of the request?", func(s *Switches) *bool { return &s.BulkInOrder }),
	number("bulk-size-status", "What is the status of bulk_size_exceeded?", func(s *Switches) *int { return &s.BulkSizeStatus }, 400, 422),
	enum("equal-in-body", "What happens to two equal addresses in one bulk call?", func(s *Switches) *EqualInBody { return &s.EqualInBody }, EqualAccepted, EqualDuplicate, EqualInvalid),
	enum("user-bypass", "When does ignore_existing override that the address is a user's?", func(s *Switches) *UserBypass { return &s.UserBypass }, UserBypassDocumented, UserBypassNever, UserBypassAlways),
	boolean("duplicate-sees-expired", "Does an expired invitation count as existing?", func(s *Switches) *bool { return &s.DuplicateSeesExpired }),
	boolean("refuse-revoke-expired", "Is it refused to revoke an expired invitation?", func(s *Switches) *bool { return &s.RefuseRevokeExpired }),
	boolean("unfamiliar-codes", "Are the error codes wrong that were only inferred?", func(s *Switches) *bool { return &s.UnfamiliarCodes }),
	enum("echo-address", "In which form are addresses kept and answered?", func(s *Switches) *EchoAddress { return &s.EchoAddress },
		EchoAddressLower, EchoAddressAsSent, EchoAddressUndotted, EchoAddressUnicode),
	enum("query", "How does the query of a list match?", func(s *Switches) *Query { return &s.Query }, QueryExact, QueryPrefix, QuerySubstring),
	boolean("unstable-ties", "Does the order of rows with equal keys change?", func(s *Switches) *bool { return &s.UnstableTies }),
	{
		Name: "lag", Asks: "How far do reads lag behind writes?", Values: []string{"0s", "500ms", "3s"},
		get: func(s *Switches) string { return shortDuration(s.Lag) },
		set: func(s *Switches, v string) (err error) {
			s.Lag, err = time.ParseDuration(v)
			if err == nil && s.Lag < 0 {
				err = errors.New("negative")
			}
			return err
		},
	},
	boolean("lag-varies", "Does that differ from read to read?", func(s *Switches) *bool { return &s.LagVaries }),
	boolean("edge-agent", "Does the edge refuse a default User-Agent?", func(s *Switches) *bool { return &s.EdgeAgent }),
	enum("echo-metadata", "How is public_metadata answered?", func(s *Switches) *EchoMetadata { return &s.EchoMetadata }, EchoMetadataAsSent, EchoMetadataReordered, EchoMetadataChanged),
	enum("revoked-code", "Which code has the revoke of a revoked invitation? Both are published.", func(s *Switches) *RevokedCode { return &s.RevokedCode }, RevokedCodeAlready, RevokedCodeRevoked),
	enum("delete-answer", "What is a deletion answered with?", func(s *Switches) *DeleteAnswer { return &s.DeleteAnswer }, DeleteAnswerObject, DeleteAnswerInvitation, DeleteAnswerEmpty),
	{
		Name: "bulk-max", Asks: "How many may a bulk call really have?", Values: []string{"10", "5", "1"}, // any number from 1 to 10 will do
		get: func(s *Switches) string { return strconv.Itoa(s.BulkMax) },
		set: func(s *Switches, v string) (err error) {
			s.BulkMax, err = strconv.Atoi(v)
			if err == nil && (s.BulkMax < 1 || s.BulkMax > BulkMax) {
				err = errors.New("out of range")
			}
			return err
		},
	},
	number("empty-bulk-status", "What is the status of a bulk call without members?", func(s *Switches) *int { return &s.EmptyBulkStatus }, 400, 422),
	number("wrong-method-status", "What is the status of a method that a path does not have?", func(s *Switches) *int { return &s.WrongMethodStatus }, 405, 404),
	enum("unknown-query", "Are unknown parameters of a list refused?", func(s *Switches) *Strictness { return &s.UnknownQuery }, Refused, Ignored),
	enum("empty-query", "Is an empty status=, limit= or order_by= refused?", func(s *Switches) *Strictness { return &s.EmptyQuery }, Refused, Ignored),
	enum("trailing-slash", "Is a path that ends with a slash refused as another path?", func(s *Switches) *Strictness { return &s.TrailingSlash }, Ignored, Refused),
	enum("no-content-type", "Is a body without Content-Type refused?", func(s *Switches) *Strictness { return &s.NoContentType }, Refused, Ignored),
}

func enum[T ~string](name, asks string, field func(*Switches) *T, values ...T) Switch {
	sw := Switch{Name: name, Asks: asks}
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

func boolean(name, asks string, field func(*Switches) *bool) Switch {
	return Switch{
		Name: name, Asks: asks, Values: []string{"false", "true"},
		get: func(s *Switches) string { return strconv.FormatBool(*field(s)) },
		set: func(s *Switches, v string) (err error) { *field(s), err = strconv.ParseBool(v); return err },
	}
}

func number(name, asks string, field func(*Switches) *int, values ...int) Switch {
	sw := Switch{Name: name, Asks: asks}
	for _, v := range values {
		sw.Values = append(sw.Values, strconv.Itoa(v))
	}
	sw.get = func(s *Switches) string { return strconv.Itoa(*field(s)) }
	sw.set = func(s *Switches, v string) error {
		if !slices.Contains(sw.Values, v) {
			return errors.New("unknown value")
		}
		n, err := strconv.Atoi(v)
		*field(s) = n
		return err
	}
	return sw
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
	if err := sw.set(s, v); err != nil {
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
