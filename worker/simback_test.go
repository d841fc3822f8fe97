package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// Redis in a bubble can go back: the simulation's own seam gives it what miniredis
// lacks, a dump of every type, an identity, and a clock of its own.

// snapshot returns commands that make what Redis holds now. Nothing happens in the
// bubble meanwhile.
func (w *world) snapshot() [][]any {
	synctest.Wait()
	w.inside.Store(true)
	defer w.inside.Store(false)
	ctx := context.Background()
	var commands [][]any
	add := func(args ...any) { commands = append(commands, args) }
	keys := w.redis.Keys(ctx, "*").Val()
	slices.Sort(keys)
	for _, key := range keys {
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
		if ttl := w.redis.PTTL(ctx, key).Val(); ttl > 0 {
			add("PEXPIRE", key, ttl.Milliseconds())
		}
	}
	return commands
}

// setBack makes Redis hold what a snapshot says, and nothing else, in one step. nil
// empties it.
func (w *world) setBack(commands [][]any) {
	synctest.Wait()
	w.history() // what is about to be forgotten
	w.inside.Store(true)
	defer w.inside.Store(false)
	if err := redistest.CheckSteps(context.Background(), w.redis); err != nil {
		w.t.Errorf("seed %d: %v", w.seed, err)
	}
	const restore = `redis.call('FLUSHALL')
local i = 1
while ARGV[i] do
  local n = tonumber(ARGV[i])
  redis.call(unpack(ARGV, i + 1, i + n))
  i = i + n + 1
end`
	var args []any
	for _, c := range commands {
		args = append(append(args, len(c)), c...)
	}
	err := w.redis.Eval(context.Background(), restore, nil, args...).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		w.t.Errorf("set back: %v", err)
	}
	w.skipHistory()
}

// identify lets miniredis tell which server it is, what time it is there, and that
// it is in trouble.
func (w *world) identify() {
	if w.mini.Server() == nil { // It begins with its first connection.
		if c, err := w.mini.Dial(); err == nil {
			_ = c.Close()
		}
	}
	w.newServer()
	w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		trouble, _ := w.trouble.Load().(string)
		switch {
		case w.inside.Load():
		case trouble != "":
			c.WriteError(trouble)
			return true
		case strings.EqualFold(cmd, "INFO"):
			if w.nameless.Load() {
				c.WriteError("NOPERM this user has no permissions to run the 'info' command")
			} else {
				id := fmt.Sprintf("%040d", w.server.Load())
				c.WriteBulk("# Server\r\nrun_id:" + id + "\r\n# Replication\r\nrole:master\r\nmaster_replid:" + id + "\r\nmaster_repl_offset:0\r\n")
			}
			return true
		case strings.EqualFold(cmd, "TIME") && len(args) == 0:
			now := w.redisTime()
			c.WriteLen(2)
			c.WriteBulk(strconv.FormatInt(now.Unix(), 10))
			c.WriteBulk(strconv.Itoa(now.Nanosecond() / 1000))
			return true
		}
		return false
	})
}

// redisTime is what Redis' clock shows.
func (w *world) redisTime() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// newServer makes it another server from now on.
func (w *world) newServer() { w.server.Add(1) }

// refuse makes Redis answer every command with an error; "" ends that.
func (w *world) refuse(text string) { w.trouble.Store(text) }

// happening is one event of the ledger's, with its time by the bubble's clock.
type happening struct {
	id, from, to, reason, invitation string
	at                               time.Time
}

// history returns every event there ever was, also those that a ledger which went
// back has forgotten.
func (w *world) history() []happening {
	w.inside.Store(true)
	defer w.inside.Store(false)
	begin := "-"
	if w.lastEvent != "" {
		begin = "(" + w.lastEvent
	}
	ahead := time.Duration(w.ahead.Load())
	for _, m := range w.redis.XRange(context.Background(), "inviteq:{default}:events", begin, "+").Val() {
		w.lastEvent = m.ID
		text := func(field string) string { s, _ := m.Values[field].(string); return s }
		at, _ := strconv.ParseInt(text("at"), 10, 64)
		w.past = append(w.past, happening{text("id"), text("from"), text("to"), text("reason"), text("invitation_id"), time.UnixMilli(at).Add(-ahead)})
	}
	return w.past
}

// skipHistory goes to the end of a stream that was set back.
func (w *world) skipHistory() {
	w.lastEvent = ""
	if last, err := w.redis.XRevRangeN(context.Background(), "inviteq:{default}:events", "+", "-", 1).Result(); err == nil && len(last) > 0 {
		w.lastEvent = last[0].ID
	}
}
