package ledger

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/redisconn"
)

// accept runs a script that somebody asks for, and waits until it is as durable as
// Config.Durability says.
func (l *Ledger) accept(ctx context.Context, script string, args ...any) *redis.Cmd {
	if !l.guarantee.Wanted() {
		return l.run(ctx, script, args...)
	}
	server, err := redisconn.ServerOf(ctx, l.rdb, l.Key())
	if err != nil {
		return failed(ctx, err)
	}
	send := func(eval func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd) *redis.Cmd {
		pipe := server.Pipeline()
		cmd := eval(ctx, pipe, []string{l.keys.prefix}, args...)
		confirmed := l.guarantee.Confirm(ctx, pipe)
		_, _ = pipe.Exec(ctx) // Each has its own error.
		if cmd.Err() == nil {
			cmd.SetErr(confirmed())
		}
		return cmd
	}
	cmd := send(l.code[script].EvalSha)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = send(l.code[script].Eval)
	}
	return cmd
}

func failed(ctx context.Context, err error) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(err)
	return cmd
}
