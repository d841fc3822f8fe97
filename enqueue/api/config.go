package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
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

	// MaxImport is the largest list that POST /v1/imports takes, in bytes. What four
	// of them hold lies in the folder for temporary files at most. Defaults to 64 MiB.
	MaxImport int64

	// MaxRows is the most rows of a list. Defaults to lists.DefaultMaxRows.
	MaxRows int

	// Preflight says what would become of a list of so many invites, by reads at
	// Clerk. Defaults to nothing: then nobody can ask for it.
	Preflight func(ctx context.Context, list iter.Seq2[tasks.Invite, error], size int) (tasks.Forecast, error)

	// Eraser deletes at Clerk. Defaults to nothing: then nobody can ask for it.
	Eraser Eraser

	// Agents, if set, answers the messages of agents with a token of the scope
	// instance at AgentsPath (Model Context Protocol).
	Agents func(access.Token) http.Handler

	// MaxWaiting is how many invites of the instance may wait when a list or an invite
	// comes, its own included. Half of them may be those of one token of scope own. Defaults
	// to no limit.
	MaxWaiting int64

	// ReadTimeout is how long a client may take to send the body of a bulk call, and
	// any 64 KiB of a list. For all else it is the server that knows. Defaults to 10 s.
	ReadTimeout time.Duration
}

// Eraser deletes invitations of any status at Clerk, for good.
type Eraser interface {
	// Invitation deletes one, by Clerk's id. found is false if Clerk has none of that id.
	Invitation(ctx context.Context, id string) (found bool, err error)

	// Person deletes every one for an address, and says how many there were. After an
	// error some may be deleted.
	Person(ctx context.Context, e tasks.Email) (int, error)
}

// Bounds that are nobody's to choose.
const (
	maxWait    = 30 * time.Second
	revokeWait = 3 * time.Second // Usually a worker takes a third of a second.

	maxBody     = 64 << 10 // of one invitation: metadata is at most 8 KiB
	maxBulkBody = 4 << 20
	maxBulk     = 1000
	maxKey      = 255

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
	if c.MaxImport < 0 || c.MaxRows < 0 || c.MaxWaiting < 0 || c.ReadTimeout < 0 {
		errs = append(errs, errors.New("MaxImport, MaxRows, MaxWaiting and ReadTimeout must not be negative"))
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
		c.ReadTimeout = 10 * time.Second
	}
	return c, nil
}

// API answers requests. It is safe for concurrent use.
type API struct {
	cfg     Config
	store   *store
	tokens  *access.Store
	limits  limits
	callers *access.Callers
	spooled atomic.Int64 // bytes of lists on the disk

	work    *room // what takes a moment
	heavy   *room // bulk creates, and lists in another order than the newest first
	imports *room
	bodies  *room // bodies of bulk creates that are being read, or wait for their place
	spools  *room // lists that are being read
	crowd   crowd
	waiting *room // requests that wait for a worker; further ones are answered at once

	// life ends when whatever still works must give up; draining is closed when
	// nobody should wait any more.
	life     context.Context //nolint:containedctx // it outlives every request: an accepted list is written to its end
	die      context.CancelFunc
	draining chan struct{}
	drain    sync.Once
}

// New complains about everything that is wrong with the configuration at once.
// It makes no call.
func New(cfg Config) (*API, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	tokens := access.NewStore(cfg.Ledger.Redis(), ledger.KeyPrefix(cfg.Ledger.Instance()))
	a := &API{
		cfg: cfg, store: newStore(cfg.Ledger.Redis(), cfg.Ledger.Instance()), tokens: tokens, callers: access.NewCallers(tokens), draining: make(chan struct{}),
		work:    newRoom(64, 48, 5*time.Second),
		heavy:   newRoom(8, 4, 5*time.Second),
		imports: newRoom(2, 1, time.Minute),
		bodies:  newRoom(16, 4, 5*time.Second),
		spools:  newRoom(32, 2, 5*time.Second),
		waiting: newRoom(512, 256, 0),
	}
	a.limits = limits{rate: rate.Limit(cfg.RateLimit), burst: int(2*cfg.RateLimit) + 1, meters: map[string]*meter{}}
	a.life, a.die = context.WithCancel(context.Background())
	return a, nil
}

// Drain answers at once all requests that wait for a worker or for a place, now and
// from now on. Call it when the server is about to end.
func (a *API) Drain() { a.drain.Do(func() { close(a.draining) }) }

// Close ends what is still being written, for instance a long list. Call it once
// the server has ended.
func (a *API) Close() {
	a.Drain()
	a.die()
}
