package worker

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/worker/webhook"
)

// Config says what a worker works with. Redis (or RedisURL) and Clerk are
// required.
type Config struct {
	// Redis says where ledger and queues are: one server, sentinels or a Cluster.
	// The worker makes its own connections.
	Redis *redis.UniversalOptions
	// RedisURL says it in place of Redis: see package redisconn.
	RedisURL string

	Ledger ledger.Config // Instance, limits, reserve.
	Clerk  *clerk.Client
	Log    zerolog.Logger

	Version string   // Of the program, for people who compare workers. Defaults to none.
	Observe Observer // Is told what happens. Defaults to nobody.

	Calls           int           // Calls to Clerk in flight. Defaults to 4.
	Concurrency     int           // Tasks handled at a time; they wait more than they work. Defaults to 32.
	RequestTimeout  time.Duration // How long one call may take: the client's own. Defaults to clerk.DefaultTimeout.
	ShutdownTimeout time.Duration // How long Run may take to return once its context has ended. Defaults to 35 s.
	MaxAttempts     int           // Answered attempts before an invite fails. Defaults to 12, about five hours.
	NoScreening     bool          // Do not look for existing users and invitations before a bulk call.

	ReconcileEvery     time.Duration // How often the newest invitations are compared. Defaults to 5 min; negative: never.
	ReconcileFullEvery time.Duration // How often all are. Defaults to 24 h.
	Retention          time.Duration // How long settled invites are remembered. Defaults to 90 days; negative: for ever.
	StuckRetention     time.Duration // How long failed and parked invites are remembered. Defaults to a year; negative: for ever.
	Tombstones         time.Duration // How long the ids of forgotten ones go on deduping. Defaults to a year.

	Webhook *webhook.Sender // Where events are posted. Defaults to nowhere.

	// Mark is the key of public_metadata under which every call carries the id of its
	// invite, so that whose an invitation is can be told for certain. Defaults to none:
	// the metadata is the caller's.
	Mark string

	// RequireDurable turns /readyz red while Redis does not fulfil what the promises rest
	// on (tasks.Condition). Default: a warning.
	RequireDurable bool

	ResendUnknown bool // With ignore_existing: send again what reading cannot find. Default: park it.

	// Unhurried looks around rarely, for tests in virtual time (enqueue/enqueuetest): there
	// looking takes all the time. What is decided does not depend on it. Default: shipped pace.
	Unhurried bool
}

// Check says everything that is wrong with the configuration, as New would, and
// does nothing else.
func (c Config) Check() error { _, err := c.withDefaults(); return err }

// withDefaults fills in the defaults and complains about everything at once.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	switch {
	case c.Redis != nil && c.RedisURL != "":
		errs = append(errs, errors.New("worker: give either Redis or RedisURL, not both"))
	case c.RedisURL != "":
		var err error
		if c.Redis, err = redisconn.Parse(c.RedisURL, redisconn.Files{}); err != nil {
			errs = append(errs, fmt.Errorf("worker: %w", err))
		}
		c.RedisURL = ""
	case c.Redis == nil:
		errs = append(errs, errors.New("worker: Redis is missing"))
	}
	if c.Clerk == nil {
		errs = append(errs, errors.New("worker: Clerk is missing"))
	}
	setDefault(&c.Calls, 4)
	setDefault(&c.Concurrency, 32)
	setDefault(&c.RequestTimeout, clerk.DefaultTimeout)
	setDefault(&c.ShutdownTimeout, 35*time.Second)
	setDefault(&c.MaxAttempts, 12)
	setDefault(&c.ReconcileEvery, 5*time.Minute)
	setDefault(&c.ReconcileFullEvery, 24*time.Hour)
	setDefault(&c.Retention, 90*24*time.Hour)
	setDefault(&c.StuckRetention, 365*24*time.Hour)
	setDefault(&c.Tombstones, 365*24*time.Hour)
	setDefault(&c.Ledger.ClaimTTL, c.RequestTimeout+screenTimeout+claimMargin)
	for name, n := range map[string]int{"Calls": c.Calls, "Concurrency": c.Concurrency, "MaxAttempts": c.MaxAttempts} {
		if n < 1 {
			errs = append(errs, fmt.Errorf("worker: %s must be at least 1", name))
		}
	}
	if c.Mark != "" && !markKey.MatchString(c.Mark) {
		errs = append(errs, errors.New("worker: Mark must have 1 to 64 letters, digits and underscores"))
	}
	// A call must end before its claim does, and a shutdown must outlast both.
	if c.Ledger.ClaimTTL < c.RequestTimeout+screenTimeout+claimMargin {
		errs = append(errs, fmt.Errorf("worker: the claim (%s) must last %s longer than a request (%s)",
			c.Ledger.ClaimTTL, screenTimeout+claimMargin, c.RequestTimeout))
	}
	if c.ShutdownTimeout <= c.Ledger.ClaimTTL {
		errs = append(errs, fmt.Errorf("worker: the shutdown timeout (%s) must exceed the claim (%s)", c.ShutdownTimeout, c.Ledger.ClaimTTL))
	}
	return c, errors.Join(errs...)
}

var markKey = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

const (
	screenTimeout = 8 * time.Second // for all reads before a call
	claimMargin   = 5 * time.Second // between the end of a call and the end of its claim
)
