package redisconn

import (
	"context"
	"net"

	"github.com/redis/go-redis/v9"
)

// New returns a client of what the options name; nothing is dialled before the
// first command. What goes wrong comes back as *Trouble, in words for a person;
// the error of go-redis is inside.
func New(o *redis.UniversalOptions) redis.UniversalClient {
	rdb := redis.NewUniversalClient(o)
	rdb.AddHook(explained{Place(o)})
	return rdb
}

// explained puts words to the errors of a client.
type explained struct{ place string }

func (explained) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (e explained) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil {
			return nil
		}
		return e.put(cmd, err)
	}
}

func (e explained) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		for _, cmd := range cmds {
			if cmd.Err() != nil {
				_ = e.put(cmd, cmd.Err())
			}
		}
		return e.of(err)
	}
}

// put gives a command its error in words. Answers that we have no words for stay
// as they are: scripts have errors of their own.
func (e explained) put(cmd redis.Cmder, err error) error {
	err = e.of(err)
	cmd.SetErr(err)
	return err
}

func (e explained) of(err error) error {
	if kind := KindOf(err); kind == "" || kind == Other {
		return err
	}
	return Explain(e.place, err)
}
