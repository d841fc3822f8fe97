package worker

import (
	"context"
	"fmt"
	"strings"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// Redis in a bubble can go back: the simulation's own seam gives it what miniredis
// lacks, a dump of every type and an identity.

// snapshot returns commands that make what Redis holds now.
func (w *world) snapshot() [][]any {
	ctx := context.Background()
	var commands [][]any
	add := func(args ...any) { commands = append(commands, args) }
	for _, key := range w.redis.Keys(ctx, "inviteq:*").Val() {
		switch w.redis.Type(ctx, key).Val() {
		case "string":
			add("SET", key, w.redis.Get(ctx, key).Val())
		case "hash":
			for f, v := range w.redis.HGetAll(ctx, key).Val() {
				add("HSET", key, f, v)
			}
		case "list":
			for _, v := range w.redis.LRange(ctx, key, 0, -1).Val() {
				add("RPUSH", key, v)
			}
		case "set":
			for _, v := range w.redis.SMembers(ctx, key).Val() {
				add("SADD", key, v)
			}
		case "zset":
			for _, z := range w.redis.ZRangeWithScores(ctx, key, 0, -1).Val() {
				add("ZADD", key, fmt.Sprintf("%.17g", z.Score), fmt.Sprint(z.Member))
			}
		case "stream":
			for _, m := range w.redis.XRange(ctx, key, "-", "+").Val() {
				args := []any{"XADD", key, m.ID}
				for f, v := range m.Values {
					args = append(args, f, v)
				}
				add(args...)
			}
		}
	}
	return commands
}

// setBack makes Redis hold what a snapshot says, and nothing else of ours. nil
// empties it.
func (w *world) setBack(commands [][]any) {
	ctx := context.Background()
	if keys := w.redis.Keys(ctx, "inviteq:*").Val(); len(keys) > 0 {
		w.redis.Del(ctx, keys...)
	}
	_, err := w.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range commands {
			p.Do(ctx, c...)
		}
		return nil
	})
	if err != nil {
		w.t.Errorf("set back: %v", err)
	}
}

// identify lets miniredis tell which server it is.
func (w *world) identify() {
	if w.mini.Server() == nil { // It begins with its first connection.
		if c, err := w.mini.Dial(); err == nil {
			_ = c.Close()
		}
	}
	w.newServer()
	w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if strings.EqualFold(cmd, "INFO") && len(args) == 1 && strings.EqualFold(args[0], "server") {
			c.WriteBulk("# Server\r\nrun_id:" + fmt.Sprintf("%040d", w.server.Load()) + "\r\n")
			return true
		}
		return false
	})
}

// newServer makes it another server from now on.
func (w *world) newServer() { w.server.Add(1) }
