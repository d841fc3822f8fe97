package enqueuetest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// kit is what stands behind the client of a test.
type kit struct {
	mini    *miniredis.Miniredis
	sim     *clerksim.Sim
	bubbled bool // The test is in a bubble of its own.

	mu    sync.Mutex
	ahead time.Duration // how far the kit's time is ahead of the machine's
	now   time.Time     // that Redis was told last; it never goes back
	fails map[string]tasks.Reason
}

// kits are those of the tests that run.
var kits sync.Map // *enqueue.Client → *kit

// New returns a client that enqueues into a Redis of its own, until the test ends.
func New(t testing.TB) *enqueue.Client {
	t.Helper()
	k := &kit{mini: miniredis.NewMiniRedis(), bubbled: inBubble(), fails: map[string]tasks.Reason{}}
	var err error
	if k.sim, err = clerksim.New(clerksim.Config{Fault: k.fault}); err != nil {
		t.Fatalf("enqueuetest: %v", err)
	}
	// It begins with its first connection, which may be one of Deliver's otherwise.
	first, err := k.mini.Dial()
	if err != nil {
		t.Fatalf("enqueuetest: %v", err)
	}
	_ = first.Close() // nothing was written
	rdb := redis.NewClient(options(k.dial).Simple())
	c, err := enqueue.New(enqueue.Config{Redis: rdb})
	if err != nil {
		t.Fatalf("enqueuetest: %v", err)
	}
	kits.Store(c, k)
	t.Cleanup(func() {
		kits.Delete(c)
		if err := rdb.Close(); err != nil {
			t.Errorf("enqueuetest: %v", err)
		}
		k.sim.Close()
		k.mini.Close()
		if k.bubbled {
			time.Sleep(subscriptionsEnd)
		}
	})
	return c
}

func kitOf(t testing.TB, c *enqueue.Client) *kit {
	t.Helper()
	k, ok := kits.Load(c)
	if !ok {
		t.Fatal("enqueuetest: this client is not one of New's, or its test has ended")
	}
	return k.(*kit) //nolint:forcetypeassert // nothing else is stored
}

// inBubble reports whether the caller is in a bubble.
func inBubble() (in bool) {
	defer func() {
		if p := recover(); p != nil {
			in = false
		}
	}()
	synctest.Wait()
	return true
}

// Clerk returns the simulated Clerk to which Deliver delivers.
func Clerk(t testing.TB, c *enqueue.Client) *clerksim.Sim {
	t.Helper()
	return kitOf(t, c).sim
}

// Now returns the time of the test's Redis and its Clerk.
func Now(t testing.TB, c *enqueue.Client) time.Time {
	t.Helper()
	return kitOf(t, c).time()
}

// time is the kit's time for those who are outside of Deliver's bubble.
func (k *kit) time() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now().Round(0).Add(k.ahead); now.After(k.now) {
		return now
	}
	return k.now
}

// tell tells Redis what time it is.
func (k *kit) tell(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.After(k.now) {
		k.now = now
	}
	k.mini.SetTime(k.now)
}

// dial connects to Redis from where it was made: outside of Deliver's bubble.
func (k *kit) dial(context.Context, string, string) (net.Conn, error) {
	c, err := k.mini.Dial()
	if err != nil {
		return nil, fmt.Errorf("enqueuetest: the test has ended: %w", err)
	}
	return timed{c, func() { k.tell(k.time()) }}, nil
}

// timed is a connection whose server is told the time before each command.
type timed struct {
	net.Conn

	tell func()
}

func (c timed) Write(b []byte) (int, error) {
	c.tell()
	return c.Conn.Write(b)
}

func options(dial func(context.Context, string, string) (net.Conn, error)) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs: []string{"127.0.0.1:6379"}, Dialer: dial, // An address, so that nothing is resolved.
		// A client that waits for a free connection uses timers that all bubbles share.
		PoolSize:                 512,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DisableIdentity:          true,
		Protocol:                 2,
	}
}

// client returns a Clerk client that dials so.
func client(dial func(context.Context, string, string) (net.Conn, error)) (*clerk.Client, error) {
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		return nil, err
	}
	return clerk.New(clerk.Config{SecretKey: key, BaseURL: clerksim.PipeURL, DialContext: dial})
}
