package enqueue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// DefaultRedisURL is where Redis is looked for unless Config says otherwise.
const DefaultRedisURL = "redis://127.0.0.1:6379/0"

// Config says where the invites go. The zero value is ready to use with a Redis
// on this machine.
type Config struct {
	// RedisURL is a redis://, rediss:// or unix:// URL, with a user name and
	// password if need be. Defaults to DefaultRedisURL.
	RedisURL string

	// Redis is a connection to use in place of RedisURL, for example one to a
	// cluster. It stays the caller's to close.
	Redis redis.UniversalClient

	// Instance names the Clerk instance (one secret key) whose worker shall
	// send. Defaults to "default".
	Instance string
}

// Client enqueues invites for one instance. It is safe for concurrent use; make
// one and keep it.
type Client struct {
	rdb      redis.UniversalClient
	owned    bool // We made the connection, and close it.
	asynq    *asynq.Client
	inOne    bool // One round trip can do both, record and task.
	instance string
	queues   tasks.Queues
	opened   atomic.Pointer[ledger.Ledger]
}

// New returns a client. It makes no call: Redis may come up later than the
// service that enqueues. All that is wrong with the configuration is reported
// at once; a URL is never quoted.
func New(cfg Config) (*Client, error) {
	if cfg.Instance == "" {
		cfg.Instance = tasks.DefaultInstance
	}
	errs := []error{tasks.CheckInstance(cfg.Instance)}
	rdb, owned := cfg.Redis, false
	switch {
	case rdb != nil && cfg.RedisURL != "":
		errs = append(errs, errors.New("give either Redis or RedisURL, not both"))
	case rdb == nil:
		if cfg.RedisURL == "" {
			cfg.RedisURL = DefaultRedisURL
		}
		opts, err := redis.ParseURL(cfg.RedisURL)
		if err != nil {
			// Its own text quotes the URL, which may hold a password.
			errs = append(errs, errors.New("the Redis URL must look like redis://user:password@host:6379/0, rediss://host:6379 or unix:///path"))
			break
		}
		// Only Redis's cloud knows these; elsewhere they cost a call a connection.
		opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		if errors.Join(errs...) == nil {
			rdb, owned = redis.NewClient(opts), true
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	c := &Client{rdb: rdb, owned: owned, instance: cfg.Instance, queues: tasks.QueuesOf(cfg.Instance)}
	c.asynq, c.inOne = asynqClient(rdb)
	return c, nil
}

// Close closes the connection if New made it. No call may be made afterwards.
func (c *Client) Close() error {
	if !c.owned {
		return nil
	}
	return c.rdb.Close()
}

// open returns the ledger. The first call that reaches Redis opens it; until
// then every call tries.
func (c *Client) open(ctx context.Context) (*ledger.Ledger, error) {
	if l := c.opened.Load(); l != nil {
		return l, nil
	}
	// The limits are those for estimates until a worker has told its own.
	l, err := ledger.Open(ctx, c.rdb, ledger.Config{
		Instance: c.instance, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve,
	})
	if err != nil {
		return nil, err
	}
	c.opened.Store(l)
	return l, nil
}

// give enqueues a task. That its id is taken means that it is there already:
// go-redis repeats a script whose reply was lost, and ids are never reused.
func (c *Client) give(ctx context.Context, kind string, payload []byte, opts []asynq.Option) error {
	_, err := c.asynq.EnqueueContext(ctx, asynq.NewTaskWithHeaders(kind, payload, headers(ctx)), opts...)
	if err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return fmt.Errorf("enqueue a task: %w", err)
}
