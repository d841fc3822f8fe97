package worker

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/seal"
)

// world is everything there is in one synctest bubble: a Redis, a Clerk, any
// number of workers and a producer, all of them the shipped ones but for Redis
// and Clerk, and all connected by pipes, because a real socket would stop the
// bubble's clock. A world must be made, and closed, inside its bubble.
type world struct {
	t     testing.TB
	mini  *miniredis.Miniredis
	sim   *clerksim.Sim
	hurts hurts
	seed  uint64
	keys  seal.Keys

	// The configuration that all workers share, and what a test changes in it.
	limits  ledger.Limits
	reserve int
	tempo   tempo
	change  []func(*Config)

	calm     *ledger.Ledger  // sees everything, and meets no fault
	redis    *redis.Client   // the connection of calm
	producer *enqueue.Client // meets the faults of its wire

	mu      sync.Mutex
	workers []*simWorker // all that ever lived
	live    []*simWorker
	log     []string // what the simulation did, with the virtual time
	gates   gateWatch
	began   time.Time
	closers []func()

	// Redis, as simback_test.go has it.
	server   atomic.Int64 // which server it is
	nameless atomic.Bool  // it does not tell
	ahead    atomic.Int64 // of its clock, in nanoseconds
	trouble  atomic.Value // the error it answers, a string
	inside   atomic.Bool  // the simulation itself asks

	lastEvent string // that was read into past
	past      []happening
}

// simWorker is one worker process of a world.
type simWorker struct {
	*Worker
	name   string
	wire   *wire
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
	killed bool
	born   time.Time
	log    bytes.Buffer // written under the world's lock
}

// simTempo looks around as often as what a test measures needs, and no more:
// most of an idle virtual day would be polling.
var simTempo = tempo{
	idle:   30 * time.Second,
	chores: 5 * time.Second,
	sweep:  time.Hour,
	trim:   time.Hour,
	beat:   10 * time.Second,
	watch:  10 * time.Minute,
	tasks:  2 * time.Second,
	due:    5 * time.Second,
	deaf:   true,
}

func newWorld(t testing.TB, seed uint64, cfg clerksim.Config) *world {
	t.Helper()
	quietRedis.Do(func() { redis.SetLogger(quiet{}) })
	sim, err := clerksim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, mini: miniredis.NewMiniRedis(), sim: sim, seed: seed,
		limits: ledger.ClerkLimits, reserve: ledger.AutoReserve, tempo: simTempo, began: time.Now(),
	}
	w.gates.world = w
	w.identify()
	// Keys with a time to live run down in steps, because miniredis visits all
	// keys at each: expiry is garbage collection, nothing may depend on it.
	over := make(chan struct{})
	w.closers = append(w.closers, func() { close(over) })
	go func() {
		const step = time.Minute
		for tick := time.NewTicker(step); ; {
			select {
			case <-tick.C:
				w.mini.FastForward(step)
			case <-over:
				return
			}
		}
	}()
	w.redis = redis.NewClient(w.redisOptions(nil).Simple())
	if seed%2 == 1 { // In every other world the ledger is encrypted.
		if w.keys, err = seal.ParseKeys(strings.Repeat("0123456789abcdef", 4)); err != nil {
			t.Fatal(err)
		}
	}
	if w.calm, err = ledger.Open(t.Context(), w.redis, ledger.Config{EncryptionKeys: w.keys}); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(w.redisOptions(newWire(seed^0xabcdef, &w.hurts)).Simple())
	w.closers = append(w.closers, func() { _ = rdb.Close() })
	if w.producer, err = enqueue.New(enqueue.Config{Redis: rdb, EncryptionKeys: w.keys}); err != nil {
		t.Fatal(err)
	}
	return w
}

// redisOptions are those of a client whose connections run over a wire; nil is
// one without faults.
func (w *world) redisOptions(on *wire) *redis.UniversalOptions {
	return w.redisOver(on, true)
}

func (w *world) redisOver(on *wire, slow bool) *redis.UniversalOptions {
	retries := 0 // go-redis's default
	if !slow {
		retries = -1 // it would wait in between
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return w.mini.Dial() }
	if on != nil {
		dial = on.dialer(true, slow, dial)
	}
	return &redis.UniversalOptions{
		// An address, so that nothing is resolved.
		Addrs: []string{"127.0.0.1:6379"}, Dialer: dial,
		// A client that waits for a free connection uses timers that all bubbles share.
		PoolSize: 512, MaxActiveConns: 0,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DisableIdentity:          true,
		MaxRetries:               retries,
		DialerRetryTimeout:       time.Nanosecond,
		Protocol:                 2,
	}
}

// go-redis prints what it thinks of the faults; the oracle judges what matters.
var quietRedis sync.Once

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// note writes down what the simulation does.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%-12s ", time.Since(w.began).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// lockedLog lets several goroutines, and the world, share a log.
type lockedLog struct {
	w   *world
	buf *bytes.Buffer
}

func (l lockedLog) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.buf.Write(b)
}

// start runs one more worker. It fails, as the process would, when Redis does
// not answer.
func (w *world) start() (*simWorker, error) {
	w.mu.Lock()
	n := len(w.workers)
	s := &simWorker{name: fmt.Sprintf("w%d", n), wire: newWire(w.seed*1000+uint64(n), &w.hurts), born: time.Now(), ended: make(chan struct{})}
	w.workers = append(w.workers, s)
	w.mu.Unlock()

	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		return nil, err
	}
	client, err := clerk.New(clerk.Config{
		SecretKey: key, BaseURL: clerksim.PipeURL, UserAgent: "inviteq/sim",
		DialContext: s.wire.dialer(false, false, w.sim.DialContext),
	})
	if err != nil {
		return nil, err
	}
	cfg := Config{
		Redis:  w.redisOptions(s.wire),
		Ledger: ledger.Config{Limits: w.limits, Reserve: w.reserve, EncryptionKeys: w.keys},
		Clerk:  client,
		Log:    zerolog.New(lockedLog{w, &s.log}).Level(zerolog.InfoLevel),
	}
	for _, f := range w.change {
		f(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if s.Worker, err = New(ctx, cfg); err != nil {
		cancel()
		client.Close()
		close(s.ended)
		return nil, err
	}
	s.Worker.tempo = w.tempo
	s.Worker.conditions.inspect = func(context.Context) (redisconn.Findings, error) { return nil, nil } // miniredis has no configuration
	// go-redis holds a lock while it connects a subscription again, and whoever
	// waits for a lock stops the bubble's clock: this client has no slow lines.
	_ = s.Worker.asynqRedis.Close()
	s.Worker.asynqRedis = newAsynqRedis(w.redisOver(s.wire, false), &s.Worker.health)
	s.Worker.rdb.AddHook(w.gates.hook())
	w.mu.Lock()
	w.live = append(w.live, s)
	w.mu.Unlock()
	go func() {
		s.err = s.Worker.Run(ctx)
		client.Close()
		w.gone(s)
		close(s.ended)
	}()
	return s, nil
}

func (w *world) gone(s *simWorker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range w.live {
		if l == s {
			w.live = append(w.live[:i:i], w.live[i+1:]...)
		}
	}
}

// stop ends a worker as SIGTERM does, and returns how long that took.
func (w *world) stop(s *simWorker) time.Duration {
	start := time.Now()
	s.cancel()
	<-s.ended
	return time.Since(start)
}

// nudge tells one of the workers that something has come, as a handler does.
func (w *world) nudge(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.live) > 0 {
		w.live[n%len(w.live)].dispatcher.wake.nudge()
	}
}

func (w *world) alive() []*simWorker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*simWorker(nil), w.live...)
}

// close ends everything, so that the bubble can end. No invite may have taken a step
// that is not in the table.
func (w *world) close() {
	for _, s := range w.alive() {
		w.stop(s)
	}
	w.mu.Lock()
	all := w.workers
	w.mu.Unlock()
	for _, s := range all {
		<-s.ended
	}
	for _, f := range w.closers {
		f()
	}
	w.mini.SetError("")
	if err := redistest.CheckSteps(context.Background(), w.redis); err != nil {
		w.t.Errorf("seed %d: %v", w.seed, err)
	}
	_ = w.redis.Close()
	w.sim.Close()
	w.mini.Close()
	time.Sleep(time.Minute) // go-redis' subscriptions notice within a moment that they are closed; no time passes after this.
}

// logs returns what the workers logged.
func (w *world) logs() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b bytes.Buffer
	for _, s := range w.workers {
		for line := range bytes.Lines(s.log.Bytes()) {
			b.WriteString(s.name + " ")
			b.Write(line)
		}
	}
	return b.String()
}
