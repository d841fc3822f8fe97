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
	e := explained{place: Place(o), lost: func(context.Context) {}}
	if c, ok := rdb.(*redis.ClusterClient); ok {
		e.lost = c.ReloadState
	}
	rdb.AddHook(e)
	return rdb
}

// explained puts words to the errors of a client. It also lets the client of a
// Cluster look again at who has which keys when a node does not answer: by itself
// go-redis asks the dead node for a minute, whoever has been promoted meanwhile.
type explained struct {
	place string
	lost  func(context.Context)
}

func (explained) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (e explained) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil {
			return nil
		}
		return e.put(ctx, cmd, err)
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
				_ = e.put(ctx, cmd, cmd.Err())
			}
		}
		return e.of(ctx, err)
	}
}

// put gives a command its error in words. Answers that we have no words for stay
// as they are: scripts have errors of their own.
func (e explained) put(ctx context.Context, cmd redis.Cmder, err error) error {
	err = e.of(ctx, err)
	cmd.SetErr(err)
	return err
}

func (e explained) of(ctx context.Context, err error) error {
	switch KindOf(err) { //nolint:exhaustive // the others are explained
	case "", Other:
		return err
	case Unreachable, ClusterDown, MasterDown:
		e.lost(ctx)
	}
	return Explain(e.place, err)
}
