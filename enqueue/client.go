package enqueue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/seal"
)

// DefaultRedisURL is where Redis is looked for unless Config says otherwise:
// redis://127.0.0.1:6379/0.
const DefaultRedisURL = redisconn.DefaultURL

// Config says where the invites go. The zero value is ready to use with a Redis
// on this machine.
type Config struct {
	// RedisURL names one server (redis://, rediss:// for TLS, unix://), sentinels
	// (redis-sentinel://…?master=NAME) or a Cluster (redis-cluster://), as package
	// redisconn (tasks/redisconn) says. Defaults to DefaultRedisURL; no environment
	// variable is read.
	RedisURL string

	// Redis is a connection to use in place of RedisURL. It stays the caller's to
	// close. A CA file or a client certificate is given so:
	//
	//	opts, err := redisconn.Parse(url, redisconn.Files{CA: "ca.pem"})
	//	rdb := redisconn.New(opts)
	Redis redis.UniversalClient

	// Durability says when an invite, an import or a revoke counts as accepted: when
	// Redis has it (redisconn.Local, the default), when a replica has it, too
	// (redisconn.Replica), or when it is on Redis' disk (redisconn.Fsync). If that does
	// not come within two seconds, the error is redisconn.ErrNotDurable: ask again under
	// the same id. Fsync needs Redis 7.2, or appendfsync always.
	Durability redisconn.Durability

	// Instance names the Clerk instance (one secret key) whose worker shall
	// send. Defaults to "default".
	Instance string

	// EncryptionKeys encrypt what the ledger keeps about people, as those of the worker
	// do: seal.ParseKeys (tasks/seal) understands what their INVITEQ_ENCRYPTION_KEY holds.
	// While the ledger is encrypted with another key, or is not, every call returns
	// ledger.ErrNoKey or ledger.ErrNotEncrypted (tasks/ledger). Defaults to none.
	EncryptionKeys seal.Keys
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
	durable  redisconn.Durability
	keys     seal.Keys
	opened   atomic.Pointer[ledger.Ledger]
}

// New returns a client. It makes no call: Redis may come up later than the
// service that enqueues. All that is wrong with the configuration is reported
// at once; a URL is never quoted.
func New(cfg Config) (*Client, error) {
	if cfg.Instance == "" {
		cfg.Instance = tasks.DefaultInstance
	}
	_, err := redisconn.ParseDurability(string(cfg.Durability))
	errs := []error{tasks.CheckInstance(cfg.Instance), err}
	rdb, owned := cfg.Redis, false
	switch {
	case rdb != nil && cfg.RedisURL != "":
		errs = append(errs, errors.New("give either Redis or RedisURL, not both"))
	case rdb == nil:
		opts, err := redisconn.Parse(cfg.RedisURL, redisconn.Files{})
		if err != nil {
			errs = append(errs, err)
			break
		}
		if errors.Join(errs...) == nil {
			rdb, owned = redisconn.New(opts), true
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	c := &Client{rdb: rdb, owned: owned, instance: cfg.Instance, queues: tasks.QueuesOf(cfg.Instance), durable: cfg.Durability, keys: cfg.EncryptionKeys}
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
		Instance: c.instance, Durability: c.durable, EncryptionKeys: c.keys, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve, ForecastFor: time.Second,
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
