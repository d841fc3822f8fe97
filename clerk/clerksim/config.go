package clerksim

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// DefaultSecretKey is the secret key a Sim accepts when Config names none.
const DefaultSecretKey = "sk_test_clerksim"

// BulkMax is the most invitations one bulk call may carry
// (https://clerk.com/docs/reference/backend-api, "Create multiple invitations").
const BulkMax = 10

// Config describes one simulated Clerk instance. The zero Config works: a
// production instance with Clerk's published limits, every switch at its
// default, no latency and no faults.
type Config struct {
	// SecretKey is the only key that is let in. A live key (sk_live_…) is
	// refused by New: it has no business in a simulator.
	// Defaults to DefaultSecretKey.
	SecretKey string

	// Development makes this a development instance: 100 requests per 10 s
	// instead of 1000, and after MailCap e-mails in a calendar month (UTC)
	// invitations are still created but silently not mailed.
	// Defaults to false, a production instance.
	Development bool

	// Limits are the rate limits, each defaulting to what Clerk publishes.
	Limits Limits

	// Switches answer what Clerk's documents leave open. See Switches.
	Switches Switches

	// ClockOffset is how far Clerk's clock is ahead of this machine's (negative:
	// behind): created_at, expires_at, the header Date and what else Clerk says of
	// time follow it. SetClockOffset changes it. Defaults to 0.
	ClockOffset time.Duration

	// Latency is how long requests take. Defaults to none.
	Latency Latency

	// Rules are faults that strike by chance, by number or by time, as
	// ParseFaults makes them. They are asked in order after Fault and Inject.
	Rules []Rule

	// Fault, when set, is asked before every request and decides its fault; a
	// zero Fault leaves the decision to Inject and Rules. It is called without
	// any lock held, from many goroutines, and may call the Sim's methods.
	Fault func(Request) Fault

	// OnCall, when set, is told every request after it was judged and before it
	// is answered, from many goroutines, without any lock held. A Call holds
	// addresses: leave them out of logs.
	OnCall func(Call)

	// Seed determines everything random: ids, trace ids, latency, shuffled
	// answers and Rules. Draws depend on the request's content and on how often
	// that content was seen, not on the order in which requests arrive, so
	// concurrency does not spoil a replay. Defaults to 0, a seed like any other.
	Seed uint64

	// MaxHistory bounds the call and mail records kept: at least that many of
	// the newest remain. Counters, invitations and users are not bounded by it.
	// Defaults to 0, everything is kept.
	MaxHistory int
}

// Limits are the three rate limits of an instance (Clerk, "Rate limits":
// https://clerk.com/docs/guides/how-clerk-works/system-limits).
type Limits struct {
	Single Limit // POST /invitations; defaults to 100 an hour
	Bulk   Limit // POST /invitations/bulk; defaults to 25 an hour
	Other  Limit // all requests together; defaults to 1000 (development: 100) per 10 s
}

// Limit permits N requests per Window. The zero Limit stands for the published
// one, Unlimited for none.
type Limit struct {
	N      int
	Window time.Duration
}

// Unlimited is the Limit that refuses nothing.
var Unlimited = Limit{N: -1}

// String renders the limit as ParseLimits reads it: 100/1h, or unlimited.
func (l Limit) String() string {
	if l.N < 0 {
		return "unlimited"
	}
	return fmt.Sprintf("%d/%s", l.N, shortDuration(l.Window))
}

// PublishedLimits are the limits that Clerk publishes for a production or a
// development instance.
func PublishedLimits(development bool) Limits {
	limits := Limits{
		Single: Limit{100, time.Hour},
		Bulk:   Limit{25, time.Hour},
		Other:  Limit{1000, 10 * time.Second},
	}
	if development {
		limits.Other.N = 100
	}
	return limits
}

// Latency is how long a request takes: log-normal with the given median and
// 99.9th percentile. The request is judged and committed at a random moment
// within it, as on a real network. The zero Latency answers at once; a P999 not
// above the Median makes every request take exactly the Median.
type Latency struct {
	Median, P999 time.Duration
}

// TypicalLatency is what Clerk's create call was seen to take from a cloud host.
var TypicalLatency = Latency{Median: 190 * time.Millisecond, P999: 1800 * time.Millisecond}

// MailCap is how many e-mails a development instance sends in a calendar month
// before it silently stops (Clerk, "Email and SMS delivery").
const MailCap = 100

// withDefaults fills in what the zero values stand for, or names everything
// that is wrong.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.SecretKey == "" {
		c.SecretKey = DefaultSecretKey
	}
	if err := checkKey(c.SecretKey); err != nil {
		errs = append(errs, err)
	}
	published := PublishedLimits(c.Development)
	for _, l := range []struct {
		name      string
		limit     *Limit
		published Limit
	}{
		{"single", &c.Limits.Single, published.Single},
		{"bulk", &c.Limits.Bulk, published.Bulk},
		{"other", &c.Limits.Other, published.Other},
	} {
		if *l.limit == (Limit{}) {
			*l.limit = l.published
		}
		if l.limit.N == 0 || l.limit.N > 0 && l.limit.Window <= 0 {
			errs = append(errs, fmt.Errorf("clerksim: limit %s: want a positive number and window, got %d/%v", l.name, l.limit.N, l.limit.Window))
		}
	}
	if c.Latency.Median < 0 || c.Latency.P999 < 0 {
		errs = append(errs, errors.New("clerksim: latency must not be negative"))
	}
	if c.MaxHistory < 0 {
		errs = append(errs, errors.New("clerksim: MaxHistory must not be negative"))
	}
	if err := c.Switches.normalize(); err != nil {
		errs = append(errs, err)
	}
	for _, r := range c.Rules {
		if err := r.check(); err != nil {
			errs = append(errs, err)
		}
	}
	return c, errors.Join(errs...)
}

func checkKey(key string) error {
	if strings.HasPrefix(key, "sk_live_") {
		return errors.New("clerksim: a live secret key must not be given to a simulator; use a key that starts with sk_test_")
	}
	return nil
}
