package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// Worker delivers the invites of one Clerk instance. Any number of workers may
// share a ledger.
type Worker struct {
	cfg    Config
	log    zerolog.Logger
	clerk  *clerk.Client
	ledger *ledger.Ledger
	queues tasks.Queues
	tempo  tempo

	rdb        redis.UniversalClient // for the ledger
	asynqRedis redis.UniversalClient // for asynq's server, with the hooks of redis.go
	client     *asynq.Client

	dispatcher *dispatcher
	choresWake chan struct{}
	outcomes   outcomes
	health     health
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
		cfg: cfg, log: cfg.Log, clerk: cfg.Clerk,
		rdb:        redisconn.New(cfg.Redis),
		choresWake: make(chan struct{}, 1),
		tempo:      shippedTempo,
		health:     health{log: cfg.Log, place: redisconn.Place(cfg.Redis)},
	}
	w.asynqRedis = newAsynqRedis(cfg.Redis, &w.health)
	if redisconn.Unverified(cfg.Redis) {
		w.log.Warn().Msg(redisconn.UnverifiedWarning)
	}
	if w.ledger, err = ledger.Open(ctx, w.rdb, cfg.Ledger); err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.cfg.Ledger = w.ledger.Config() // with its defaults: screening asks how many a full bulk holds
	w.queues = tasks.QueuesOf(w.ledger.Instance())
	w.client = asynq.NewClientFromRedisClient(w.rdb)
	w.dispatcher = &dispatcher{Worker: w, slots: make(chan struct{}, cfg.Calls), wake: make(chan struct{}, 1)}
	return w, nil
}

// Ledger returns the worker's ledger.
func (w *Worker) Ledger() *ledger.Ledger { return w.ledger }

// Run works until ctx ends. Then it takes no new turn, lets the calls in flight
// finish and settles them, and returns within Config.ShutdownTimeout.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.ledger.Publish(ctx); err != nil {
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
	forget := trim{w.ledger, w.log, w.tempo.trim, w.cfg.Retention, w.cfg.Tombstones}
	for _, part := range []func(context.Context){w.dispatcher.run, w.chores, w.sweep, forget.run, w.watch, w.schedule, w.relay} {
		parts.Go(func() { part(ctx) })
	}
	<-ctx.Done()
	w.log.Info().Msg("draining: no new turn, calls in flight are settled")
	w.health.draining()
	stop()
	parts.Wait()
	return nil
}

func (w *Worker) serverConfig() asynq.Config {
	return asynq.Config{
		Concurrency:              w.cfg.Concurrency,
		Queues:                   map[string]int{w.queues.Interactive: 6, w.queues.Control: 3, w.queues.Import: 1},
		TaskCheckInterval:        w.tempo.tasks,
		DelayedTaskCheckInterval: w.tempo.due,
		RetryDelayFunc:           retryDelay,
		IsFailure:                isFailure,
		ShutdownTimeout:          w.cfg.ShutdownTimeout - time.Second,
		Logger:                   asynqLogger{w.log.With().Str("part", "asynq").Logger(), &w.health},
		LogLevel:                 asynq.WarnLevel,
	}
}

func (w *Worker) close() error {
	err := w.asynqRedis.Close()
	if errors.Is(err, redis.ErrClosed) { // when asynq did not leave by itself
		err = nil
	}
	return errors.Join(err, w.rdb.Close())
}

// asynqLogger passes asynq's few messages on. While Redis is in trouble they are
// many, and say what the log has said already: then they are for debugging.
type asynqLogger struct {
	log    zerolog.Logger
	health *health
}

func (l asynqLogger) at(level zerolog.Level) *zerolog.Event {
	if l.health.has(tasks.ProblemRedis) {
		level = zerolog.DebugLevel
	}
	return l.log.WithLevel(level)
}

func (l asynqLogger) Debug(args ...any) { l.log.Debug().Msg(fmt.Sprint(args...)) }
func (l asynqLogger) Info(args ...any)  { l.log.Info().Msg(fmt.Sprint(args...)) }
func (l asynqLogger) Warn(args ...any)  { l.at(zerolog.WarnLevel).Msg(fmt.Sprint(args...)) }
func (l asynqLogger) Error(args ...any) { l.at(zerolog.ErrorLevel).Msg(fmt.Sprint(args...)) }
func (l asynqLogger) Fatal(args ...any) { l.log.Error().Msg(fmt.Sprint(args...)) }
