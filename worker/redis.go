package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/redisconn"
)

// newAsynqRedis returns the connection of asynq's server, which needs a remedy or
// two.
func newAsynqRedis(o *redis.UniversalOptions, h *health) redis.UniversalClient {
	rdb := redisconn.New(o)
	rdb.AddHook(finishWrites{})
	rdb.AddHook(slowErrors{h})
	return rdb
}

// finishWrites lets asynq finish what it has begun. Since v0.25.0 asynq marks a
// task as done with a context that may have ended, and does not repeat a write
// that failed: one hiccup, and a task that succeeded runs again.
type finishWrites struct{}

func (finishWrites) DialHook(next redis.DialHook) redis.DialHook { return next }

func (finishWrites) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return next(context.WithoutCancel(ctx), cmd) }
}

func (finishWrites) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return next(context.WithoutCancel(ctx), cmds) }
}

// slowErrors keeps asynq's fetch loop from spinning at thousands of calls a
// second while Redis answers with errors (NOPERM, OOM, MISCONF, LOADING), or
// cannot be reached by a client whose options leave out go-redis's own waits. The
// worker's health hears of it before asynq logs it.
type slowErrors struct{ health *health }

const errorPause = 500 * time.Millisecond

func (slowErrors) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (s slowErrors) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		// A connection's first word is part of a command that comes here itself;
		// go-redis says it with a lock in hand.
		if (redisconn.Refuses(err) || isBroken(err)) && cmd.Name() != "hello" {
			s.health.redis(err)
			time.Sleep(errorPause) //nolint:forbidigo // the caller is asynq's loop, whose context says nothing
		}
		return err
	}
}

func (slowErrors) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// isBroken reports whether the connection is at fault.
func isBroken(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// tellConnected returns the options of a client that tells when it has made a
// connection: it may lead to another server than the last one.
func tellConnected(o *redis.UniversalOptions, tell func()) *redis.UniversalOptions {
	c := *o
	before := c.OnConnect
	c.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		tell()
		if before != nil {
			return before(ctx, conn)
		}
		return nil
	}
	return &c
}
