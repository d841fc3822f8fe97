package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/worker/verdict"
)

// Worker delivers the invites of one Clerk instance. Any number of workers may
// share a ledger.
type Worker struct {
	cfg    Config
	ledger *ledger.Ledger
	queues tasks.Queues
	tempo  tempo

	rdb        redis.UniversalClient // for the ledger
	asynqRedis redis.UniversalClient // for asynq's server, with the hooks of redis.go
	client     *asynq.Client

	outcomes outcomes
	health   health

	// Each has a loop of its own.
	pulse      *pulse
	dispatcher *dispatcher
	chores     *chores
	sweep      *sweep
	trim       *trim
	watch      *watch
	schedule   *schedule
	relay      *relay
	conditions *conditions

	handlers *handlers
}

// New checks the configuration, complains about everything at once, and opens
// the ledger, which needs Redis to answer. Run starts the work and closes what
// New has opened.
func New(ctx context.Context, cfg Config) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		cfg:    cfg,
		tempo:  shippedTempo,
		pulse:  &pulse{waits: ledger.Waits{}},
		health: health{log: cfg.Log, place: redisconn.Place(cfg.Redis)},
	}
	if cfg.Unhurried {
		w.tempo = unhurriedTempo
	}
	w.rdb = redisconn.New(tellConnected(cfg.Redis, w.pulse.connected))
	w.asynqRedis = newAsynqRedis(cfg.Redis, &w.health)
	if redisconn.Unverified(cfg.Redis) {
		w.cfg.Log.Warn().Msg(redisconn.UnverifiedWarning)
	}
	if w.ledger, err = ledger.Open(ctx, w.rdb, cfg.Ledger); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if err := w.ledger.CheckRights(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.cfg.Ledger = w.ledger.Config() // with its defaults: screening asks how many a full bulk holds
	w.queues = tasks.QueuesOf(w.ledger.Instance())
	w.client = asynq.NewClientFromRedisClient(w.rdb)
	w.wire()
	return w, nil
}

// wire gives every actor what it needs.
func (w *Worker) wire() {
	cfg, log, limits := &w.cfg, w.cfg.Log, w.cfg.Ledger.Limits
	policy := verdict.Policy{MaxAttempts: cfg.MaxAttempts, ResendUnknown: cfg.ResendUnknown}
	clerks := newReads(w.ledger, cfg.Clerk, w.pulse.facts)
	w.pulse.ledger, w.pulse.clerk, w.pulse.reads, w.pulse.health, w.pulse.log = w.ledger, cfg.Clerk, clerks, &w.health, log
	w.pulse.mark, w.pulse.tempo, w.pulse.name = cfg.Mark, &w.tempo, workerName()
	w.pulse.version = cfg.Version
	tell := cfg.Observe.Delivered
	cfg.Observe.Delivered = func(lane tasks.Lane, waited time.Duration) {
		w.pulse.clicked(lane, waited)
		if tell != nil {
			tell(lane, waited)
		}
	}
	w.pulse.pauses = pauses{w.ledger, w.rdb, w.queues}
	w.pulse.server = func(ctx context.Context) (string, error) {
		server, err := redisconn.Identify(ctx, w.rdb, w.ledger.Key())
		return server.RunID, err
	}
	revokes := &revokes{w.ledger, cfg.Clerk, clerks, &w.outcomes, log}
	w.chores = &chores{
		ledger: w.ledger, revokes: revokes, beat: w.pulse.beat, heard: w.heard, log: log, tempo: &w.tempo, wake: newNudges(),
		unknowns: &unknowns{w.ledger, clerks, &w.outcomes, policy, log},
		arrivals: &arrivals{w.ledger, cfg.Clerk, clerks, log},
	}
	w.watch = &watch{ledger: w.ledger, clerk: cfg.Clerk, reads: clerks, health: &w.health, tempo: &w.tempo, name: w.pulse.name}
	w.health.asking = true
	calls := &delivery{
		ledger: w.ledger, clerk: cfg.Clerk, reads: clerks, policy: policy, mark: cfg.Mark,
		outcomes: &w.outcomes, health: &w.health, observe: &cfg.Observe, log: log, timeout: cfg.RequestTimeout,
		screens:  !cfg.NoScreening && (limits.Single.Calls > 0 || limits.Bulk.Calls > 0), // without limits, no token is worth a read
		doubtful: w.chores.wake.nudge,
	}
	w.dispatcher = &dispatcher{
		ledger: w.ledger, calls: calls, watch: w.watch, pulse: w.pulse, health: &w.health, tempo: &w.tempo,
		slots: make(chan struct{}, cfg.Calls), wake: newNudges(),
	}
	w.pulse.wake = w.dispatcher.wake.nudge
	w.sweep = &sweep{w.ledger, w.client, w.queues, &cfg.Observe, log, &w.tempo}
	w.trim = &trim{
		ledger: w.ledger, inspector: asynq.NewInspectorFromRedisClient(w.rdb), queues: w.queues, log: log, tempo: &w.tempo,
		retention: cfg.Retention, stuck: cfg.StuckRetention, tombstones: cfg.Tombstones,
	}
	w.schedule = &schedule{
		ledger: w.ledger, clerk: cfg.Clerk, client: w.client, queue: w.queues.Control,
		every: cfg.ReconcileEvery, fullEvery: cfg.ReconcileFullEvery, retention: cfg.Retention, facts: w.pulse.facts,
		health: &w.health, observe: &cfg.Observe, log: log, watch: w.watch,
	}
	w.relay = &relay{w.ledger, w.client, w.queues.Control, cfg.Webhook, &w.health, log}
	w.conditions = &conditions{
		inspect: func(ctx context.Context) (redisconn.Findings, error) {
			return redisconn.Inspect(ctx, w.rdb, w.ledger.Key())
		},
		health: &w.health, log: log, require: cfg.RequireDurable,
	}
	w.handlers = &handlers{w.ledger, revokes, &w.outcomes, w.dispatcher.wake.nudge, w.chores.wake.nudge}
}

// heard lets the watch learn from what became of reads.
func (w *Worker) heard(ctx context.Context, err error) { w.watch.heard(ctx, err) }

// Ledger returns the worker's ledger.
func (w *Worker) Ledger() *ledger.Ledger { return w.ledger }

// Run works until ctx ends. Then it takes no new turn, lets the calls in flight
// finish and settles them, and returns within Config.ShutdownTimeout.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.publish(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // Told to leave before it began: nothing is amiss.
		}
		return fmt.Errorf("publish the limits: %w", err)
	}
	var parts sync.WaitGroup
	stop := func() {}
	if !w.tempo.deaf {
		server := asynq.NewServerFromRedisClient(w.asynqRedis, w.serverConfig())
		if err := server.Start(w.mux()); err != nil {
			return fmt.Errorf("start asynq: %w", err)
		}
		// Beside the others, not after them: both may take their time. asynq waits for
		// ever while its subscription waits for an answer that was lost on the way.
		stop = func() {
			parts.Go(func() {
				giveUp := time.AfterFunc(w.cfg.ShutdownTimeout-time.Second/2, func() { _ = w.asynqRedis.Close() })
				defer giveUp.Stop()
				server.Shutdown()
			})
		}
	}
	for _, run := range []func(context.Context){
		w.pulse.run, w.dispatcher.run, w.chores.run, w.sweep.run, w.trim.run, w.watch.run, w.schedule.run, w.relay.run,
		w.conditions.run,
	} {
		parts.Go(func() { run(ctx) })
	}
	<-ctx.Done()
	w.cfg.Log.Info().Msg("draining: no new turn, calls in flight are settled")
	w.health.draining()
	stop()
	parts.Wait()
	w.pulse.leave(ctx)
	return nil
}

func (w *Worker) close() error {
	err := w.asynqRedis.Close()
	if errors.Is(err, redis.ErrClosed) { // when asynq did not leave by itself
		err = nil
	}
	return errors.Join(err, w.rdb.Close())
}

// publish tells the ledger how this worker is configured.
func (w *Worker) publish(ctx context.Context) error {
	if err := w.ledger.Publish(ctx); err != nil {
		return err
	}
	since, err := w.ledger.PublishMark(ctx, ledger.Now, w.cfg.Mark)
	w.pulse.carriesMark(since)
	return err
}
