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
	keys := []string{l.keys.prefix}
	pipe := server.Pipeline()
	cmd := l.code[script].EvalSha(ctx, pipe, keys, args...)
	confirmed := l.guarantee.Confirm(ctx, pipe)
	_, _ = pipe.Exec(ctx) // Each has its own error.
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		pipe = server.Pipeline()
		cmd = l.code[script].Eval(ctx, pipe, keys, args...)
		confirmed = l.guarantee.Confirm(ctx, pipe)
		_, _ = pipe.Exec(ctx)
	}
	if cmd.Err() == nil {
		cmd.SetErr(confirmed())
	}
	return cmd
}

func failed(ctx context.Context, err error) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(err)
	return cmd
}
