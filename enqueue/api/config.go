package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Config says what the API works on. Client and Ledger are required, and must be
// of the same instance.
type Config struct {
	Client *enqueue.Client
	Ledger *ledger.Ledger

	// Audit, if set, is told of every request once it is answered. It may be
	// called by several goroutines at once, and should not take long.
	Audit func(Entry)

	// RateLimit is how many requests a second each token may make, with bursts
	// of twice as many, in this process. Defaults to 50; negative lifts it.
	RateLimit float64

	// Wait is how long the answer to a create waits for a worker when the
	// request has no ?wait=. Defaults to 0; at most 30 s.
	Wait time.Duration

	// TLS, if set, is what Serve speaks. Defaults to plain HTTP.
	TLS *tls.Config

	// MaxImport is the largest list that POST /v1/imports takes, in bytes. Two of
	// them lie in the folder for temporary files at a time. Defaults to 64 MiB.
	MaxImport int64

	// MaxRows is the most rows of a list. Defaults to lists.DefaultMaxRows.
	MaxRows int

	// MaxWaiting is how many invites of the instance may wait when a list comes,
	// its own included. Defaults to no limit.
	MaxWaiting int64

	// ReadTimeout is how long a client may take to send its headers, its body, and
	// in an import any 64 KiB of it. Defaults to 15 s.
	ReadTimeout time.Duration

	// Grace is how long requests in flight have to end when Serve is told to.
	// Defaults to 15 s. Those that wait for a worker are answered at once.
	Grace time.Duration
}

// Bounds that are nobody's to choose.
const (
	maxWait    = 30 * time.Second
	revokeWait = 3 * time.Second // Usually a worker takes a third of a second.

	maxBody     = 64 << 10 // of one invitation: metadata is at most 8 KiB
	maxBulkBody = 4 << 20
	maxBulk     = 1000
	maxKey      = 255

	inFlight  = 256 // requests at a time
	waiting   = 512 // requests that wait for a worker; further ones are answered at once
	heavy     = 8   // bulk creates, and lists in another order than the newest first
	imports   = 2
	storeTime = 20 * time.Second // for one request's work in Redis
	importFor = 10 * time.Minute
	keyLife   = 7 * 24 * time.Hour
)

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Client == nil || c.Ledger == nil {
		errs = append(errs, errors.New("Client and Ledger are required"))
	}
	if c.Wait < 0 || c.Wait > maxWait {
		errs = append(errs, fmt.Errorf("Wait must be 0 to %s", maxWait))
	}
	if c.MaxImport < 0 || c.MaxRows < 0 || c.MaxWaiting < 0 || c.ReadTimeout < 0 || c.Grace < 0 {
		errs = append(errs, errors.New("MaxImport, MaxRows, MaxWaiting, ReadTimeout and Grace must not be negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("api: %w", err)
	}
	if c.Audit == nil {
		c.Audit = func(Entry) {}
	}
	if c.RateLimit == 0 {
		c.RateLimit = 50
	}
	if c.MaxImport == 0 {
		c.MaxImport = 64 << 20
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 15 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 15 * time.Second
	}
	return c, nil
}

// API answers requests. It is safe for concurrent use.
type API struct {
	cfg      Config
	limits   limits
	store    *Store
	guesses  access.Guesses
	inFlight chan struct{}
	waiting  chan struct{}
	heavy    chan struct{}
	imports  chan struct{}

	// life ends when whatever still works must give up; draining is closed when
	// nobody should wait any more.
	life     context.Context //nolint:containedctx // it outlives every request: an accepted list is written to its end
	die      context.CancelFunc
	draining chan struct{}
}

// New complains about everything that is wrong with the configuration at once.
// It makes no call.
func New(cfg Config) (*API, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &API{
		cfg: cfg, store: NewStore(cfg.Ledger.Redis(), cfg.Ledger.Instance()), inFlight: make(chan struct{}, inFlight), waiting: make(chan struct{}, waiting), heavy: make(chan struct{}, heavy),
		imports: make(chan struct{}, imports), draining: make(chan struct{}),
	}
	a.limits = limits{rate: rate.Limit(cfg.RateLimit), burst: int(2*cfg.RateLimit) + 1, callers: map[string]*caller{}}
	a.life, a.die = context.WithCancel(context.Background())
	return a, nil
}
