package worker

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// The traps of asynq 0.26 that concern us. Where a remedy is ours, the test also
// runs without it, and says so when upstream has mended the trap.

// around is a hook around every command.
type around func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error

func (around) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (a around) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return a(ctx, cmd, next) }
}

func (around) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// trapServer runs a bare asynq server with our settings in the world's Redis.
func trapServer(t *testing.T, rdb *redis.Client, check time.Duration, handle asynq.HandlerFunc) {
	t.Helper()
	s := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: 4, TaskCheckInterval: check, DelayedTaskCheckInterval: check,
		IsFailure: isFailure, RetryDelayFunc: retryDelay, LogLevel: asynq.FatalLevel,
	})
	if err := s.Start(handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
}

func TestCompletionSurvivesOneHiccup(t *testing.T) {
	runs := func(t *testing.T, remedy bool) (n int64) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, clerksim.Config{})
			t.Cleanup(w.close)
			rdb := redis.NewClient(w.redisOptions(nil).Simple())
			t.Cleanup(func() { _ = rdb.Close() })
			if remedy {
				rdb.AddHook(finishWrites{})
			}
			var failed atomic.Bool
			rdb.AddHook(around(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
				completes := strings.HasPrefix(cmd.Name(), "eval") && slices.ContainsFunc(cmd.Args(), func(a any) bool {
					s, ok := a.(string)
					return ok && strings.HasSuffix(s, ":completed")
				})
				if completes && failed.CompareAndSwap(false, true) {
					return errors.New("one hiccup")
				}
				if err := ctx.Err(); err != nil {
					return err // as go-redis does before it writes
				}
				return next(ctx, cmd)
			}))
			var count atomic.Int64
			trapServer(t, rdb, time.Second, func(context.Context, *asynq.Task) error { count.Add(1); return nil })
			c := asynq.NewClientFromRedisClient(w.redis)
			if _, err := c.Enqueue(asynq.NewTask("t", nil), asynq.Retention(time.Hour)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Minute)
			if !failed.Load() {
				t.Error("there was no hiccup")
			}
			n = count.Load()
		})
		return n
	}
	if n := runs(t, true); n != 1 {
		t.Errorf("with the remedy: got %d runs of a task that succeeded, want 1", n)
	}
	if n := runs(t, false); n == 1 {
		t.Error("without the remedy the task ran once: asynq has mended it, so finishWrites can go")
	}
}

// TestConflictWithOurselves lets every script run twice, which is what go-redis
// does when a reply is lost.
func TestConflictWithOurselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, clerksim.Config{})
		t.Cleanup(w.close)
		rdb := redis.NewClient(w.redisOptions(nil).Simple())
		t.Cleanup(func() { _ = rdb.Close() })
		rdb.AddHook(around(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			if strings.HasPrefix(cmd.Name(), "eval") {
				if err := next(ctx, cmd); err != nil {
					return err
				}
			}
			return next(ctx, cmd)
		}))
		_, err := asynq.NewClientFromRedisClient(rdb).Enqueue(asynq.NewTask("t", nil), asynq.TaskID("once"))
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			t.Errorf("a bare enqueue answers %v: asynq has mended it", err)
		}
		producer, err := enqueue.New(enqueue.Config{Redis: rdb, EncryptionKeys: w.keys})
		if err != nil {
			t.Fatal(err)
		}
		i := person(1)
		i.ID = "once"
		if r, err := producer.Invite(t.Context(), i); err != nil || r.TaskErr != nil {
			t.Errorf("got %v, %v", err, r.TaskErr)
		}
		queue := tasks.QueuesOf(tasks.DefaultInstance).Interactive
		if info, err := asynq.NewInspectorFromRedisClient(w.redis).GetQueueInfo(queue); err != nil || info.Size != 1 {
			t.Errorf("got %+v, %v, want one task", info, err)
		}

		// The sweep gives a task to a record that has one: no error, no second task.
		sweeper := &sweep{ledger: w.calm, queues: tasks.QueuesOf(tasks.DefaultInstance), client: asynq.NewClientFromRedisClient(rdb)}
		time.Sleep(2 * time.Minute)
		if m, err := w.calm.Missing(t.Context(), time.Now(), 10); err != nil || len(m.Creates) != 1 {
			t.Fatalf("the sweep would look at %v (%v), want the invite", m.Creates, err)
		}
		if given, err := sweeper.retask(t.Context()); err != nil || given != 0 {
			t.Errorf("sweep: gave %d tasks, %v", given, err)
		}
		if info, err := asynq.NewInspectorFromRedisClient(w.redis).GetQueueInfo(queue); err != nil || info.Size != 1 {
			t.Errorf("after the sweep: got %+v, %v, want one task", info, err)
		}
	})
}

func TestSnoozeIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, clerksim.Config{})
		t.Cleanup(w.close)
		var ours, bare atomic.Int64
		trapServer(t, w.redis, 5*time.Second, func(_ context.Context, task *asynq.Task) error {
			n := &bare
			if task.Type() == "ours" {
				n = &ours
			}
			if n.Add(1) > 30 {
				return nil
			}
			return &snooze{time.Now().Add(time.Minute), "not yet"}
		})
		queue := tasks.QueuesOf(tasks.DefaultInstance).Interactive
		c := asynq.NewClientFromRedisClient(w.redis)
		for name, opts := range map[string][]asynq.Option{
			"bare": {asynq.MaxRetry(0), asynq.TaskID("bare")},
			"ours": append(tasks.Options(queue, "ours"), asynq.Queue("default"), asynq.Retention(3*time.Hour)),
		} {
			if _, err := c.Enqueue(asynq.NewTask(name, nil), opts...); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		in := asynq.NewInspectorFromRedisClient(w.redis)
		got, err := in.GetTaskInfo("default", "ours")
		if err != nil || got.State != asynq.TaskStateCompleted || got.Retried != 0 || ours.Load() != 31 {
			t.Errorf("after 30 snoozes: %d runs, %+v, %v", ours.Load(), got, err)
		}
		// Why MaxRetry is out of reach: it is tested before IsFailure.
		if got, err := in.GetTaskInfo("default", "bare"); err != nil || got.State != asynq.TaskStateArchived {
			t.Errorf("a snooze at MaxRetry is not archived any more: asynq has mended it (%+v, %v)", got, err)
		}
	})
}

// asynq floors the time of a retry to the second.
func TestSnoozeIsNeverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, clerksim.Config{})
		t.Cleanup(w.close)
		var until time.Time
		runs := 0
		trapServer(t, w.redis, time.Second, func(context.Context, *asynq.Task) error {
			if early := time.Until(until); early > 0 {
				t.Errorf("run %d came %s early", runs, early)
			}
			if runs++; runs > 30 {
				return nil
			}
			until = time.Now().Add(minSnooze + time.Duration(runs)*137*time.Millisecond)
			return &snooze{until, "not yet"}
		})
		if _, err := asynq.NewClientFromRedisClient(w.redis).Enqueue(asynq.NewTask("t", nil)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if runs < 30 {
			t.Errorf("got %d runs", runs)
		}
	})
}

// While Redis answers errors, asynq asks again at once. A loop that never waits
// would stop a bubble's clock, so this runs in real time.
func TestFetchLoopWaitsAfterErrors(t *testing.T) {
	commands := func(t *testing.T, remedy bool) int64 {
		rdb := redis.NewClient(redistest.Shared(t).Options())
		t.Cleanup(func() { _ = rdb.Close() })
		if remedy {
			rdb.AddHook(slowErrors{&health{log: zerolog.Nop()}})
		}
		var n atomic.Int64
		var well atomic.Bool
		t.Cleanup(func() { well.Store(true) })
		rdb.AddHook(around(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			if well.Load() || !strings.HasPrefix(cmd.Name(), "eval") {
				return next(ctx, cmd)
			}
			n.Add(1)
			err := redisRefusal("NOPERM this user has no permissions")
			cmd.SetErr(err)
			return err
		}))
		trapServer(t, rdb, 100*time.Millisecond, func(context.Context, *asynq.Task) error { return nil })
		<-time.After(1200 * time.Millisecond)
		return n.Load()
	}
	if n := commands(t, true); n > 20 {
		t.Errorf("with the remedy: got %d commands in 1.2 s, want a few", n)
	}
	if n := commands(t, false); n < 200 {
		t.Errorf("without the remedy: got %d commands in 1.2 s: asynq has mended it, so slowErrors can go", n)
	}
}

// redisRefusal is an error that Redis itself answers.
type redisRefusal string

func (r redisRefusal) Error() string { return string(r) }
func (redisRefusal) RedisError()     {}
