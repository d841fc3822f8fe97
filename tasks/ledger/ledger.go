// Package ledger keeps all of inviteq's state in Redis: the record of every
// invite and what became of it, the quotas, the gates, and the turn that
// decides what is sent next. The ledger is the truth; an asynq task is a hint.
//
// Every step that must not be seen half done is one Lua script, in a file of
// its own that says what it takes, what it returns and what it keeps true. Keys
// are spelt in keys.go only, words (states, reasons) in package tasks only; both
// are spelt into the scripts. Time is Redis' own (clock.go).
//
// # Which file is for whom
//
//	producers   admit.go revokereq.go hint.go
//	a worker    turn.go settle.go due.go change.go gate.go quota.go calls.go lease.go fellows.go
//	after loss  epoch.go aside.go
//	readers     record.go find.go lines.go browse.go changed.go newest.go owned.go events.go tally.go overview.go queues.go eta.go
//	keepers     adopt.go trim.go forget.go mention.go rekey.go sample.go report.go receiver.go mark.go
//	underneath  script.go spell.go keys.go salt.go clock.go rights.go canonical.go oldwords.go
package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/seal"
)

// Config says which ledger to open and under which limits it is spent. Producers
// need no more than the zero value.
type Config struct {
	Instance string // Defaults to "default". One for each Clerk secret key.

	Limits  Limits // Zero limits are no limits. A worker passes ClerkLimits unless told otherwise.
	Bulk    int    // Invitations in a full bulk call, 1 to BulkSize. Defaults to BulkSize.
	Reserve int    // Single calls kept for interactive invites. AutoReserve follows the demand.
	// Durability says when Admit, Cancel and RequestRevoke return. Defaults to
	// redisconn.Local. If the server cannot fulfil it, Open fails.
	Durability redisconn.Durability

	// EncryptionKeys encrypt what the ledger keeps about people. Without, it is not encrypted.
	// With, ErrNotEncrypted is the error of Open for one that has been written to without.
	EncryptionKeys seal.Keys

	ClaimTTL time.Duration // How long a worker may take between claim and settle. Defaults to 25 s.

	// ForecastFor is how long ETAs are read from one forecast. It takes milliseconds
	// of a processor to make one, so whoever is asked often needs some time here.
	// Defaults to 0: each call of ETAs makes its own.
	ForecastFor time.Duration
}

// AutoReserve keeps as many single calls for the interactive lane as it has
// needed in the last window, and never less than a tenth.
const AutoReserve = -1

// Ledger is safe for concurrent use. It holds the connection, and remembers the
// salt that stands in Redis.
type Ledger struct {
	rdb  redis.UniversalClient
	cfg  Config
	keys keys
	salt atomic.Pointer[salt]
	code map[string]*redis.Script

	guarantee redisconn.Guarantee

	clock  clock
	memory memory
	flags  bool // Redis knows flags of scripts, and can tell a user's rights (7.0 and later).

	forecasts sync.Mutex // held while a forecast is made, which several may wait for
	outlook   Overview   // the last one that ETAs were read from
}

// Open prepares the ledger of one instance. It asks Redis what it is (see
// redisconn.Check), and for the salt that hides addresses in indexes and logs; it
// writes one only if there is none, so that a full Redis can be opened. The
// connection stays the caller's to close.
func Open(ctx context.Context, rdb redis.UniversalClient, cfg Config) (*Ledger, error) {
	l, err := prepare(ctx, rdb, cfg)
	if err != nil {
		return nil, err
	}
	mine, err := newSalt(cfg.EncryptionKeys)
	if err == nil {
		err = l.loadSalt(ctx, mine)
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// prepare is Open but for the salt.
func prepare(ctx context.Context, rdb redis.UniversalClient, cfg Config) (*Ledger, error) {
	if cfg.Instance == "" {
		cfg.Instance = tasks.DefaultInstance
	}
	if cfg.Bulk == 0 {
		cfg.Bulk = BulkSize
	}
	if cfg.ClaimTTL == 0 {
		cfg.ClaimTTL = 25 * time.Second
	}
	var errs []error
	errs = append(errs, tasks.CheckInstance(cfg.Instance))
	if cfg.Bulk < 1 || cfg.Bulk > BulkSize {
		errs = append(errs, fmt.Errorf("bulk size must be 1 to %d", BulkSize))
	}
	if cfg.Reserve < AutoReserve {
		errs = append(errs, errors.New("reserve must be auto, or a number that is not negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	server, err := redisconn.Check(ctx, rdb, redisconn.PlaceOf(rdb))
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger{rdb: rdb, cfg: cfg, keys: newKeys(cfg.Instance), code: map[string]*redis.Script{}}
	l.flags = server.AtLeast(7, 0)
	if l.guarantee, err = cfg.Durability.Guarantee(ctx, rdb, l.Key(), server); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := l.loadScripts(); err != nil {
		return nil, err
	}
	return l, nil
}

// Instance returns the name of the instance.
func (l *Ledger) Instance() string { return l.cfg.Instance }

// Key returns a key of the instance: all others lie on the same server.
func (l *Ledger) Key() string { return l.keys.of("meta") }

// Config returns the configuration with its defaults filled in.
func (l *Ledger) Config() Config { return l.cfg }

// Redis returns the connection.
func (l *Ledger) Redis() redis.UniversalClient { return l.rdb }
