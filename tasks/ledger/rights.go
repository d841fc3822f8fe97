package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// What a worker's user must be allowed, as deployments/redis.acl lists it: KEY
// stands for a key of the kind; a command without it has no other arguments that
// matter. The commands of our own scripts come from their text.
var (
	ledgerRights = []string{
		"DEL", "EXISTS", "GET", "HDEL", "HEXISTS", "HGET", "HGETALL", "HLEN", "HMGET", "HSET", "HSETNX", "LRANGE", "PERSIST", "SET",
		"XACK", "XAUTOCLAIM", "XGROUP CREATE KEY", "XGROUP DELCONSUMER KEY", "XINFO CONSUMERS KEY", "XRANGE", "XREAD STREAMS KEY 0",
		"XREADGROUP GROUP g c STREAMS KEY >", "XREVRANGE", "ZADD", "ZCARD", "ZCOUNT", "ZLEXCOUNT", "ZRANGE", "ZRANK", "ZREM", "ZREVRANGE", "ZSCORE",
	}
	asynqRights = []string{
		"DEL", "EXISTS", "EXPIRE", "EXPIREAT", "GET", "HDEL", "HGET", "HMGET", "HSET", "HVALS", "INCR", "LLEN", "LPUSH", "LRANGE",
		"LREM", "MEMORY USAGE KEY", "RPOPLPUSH KEY KEY", "RPUSH", "SADD", "SET", "SETEX", "SISMEMBER", "SMEMBERS", "SREM", "ZADD", "ZCARD",
		"ZRANGE", "ZRANGEBYSCORE", "ZREM", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREVRANGE", "ZSCORE",
	}
	asynqChannel = "asynq:cancel"
)

// rightsScript says which of the calls the user may not make. An unknown command
// is one.
var rightsScript = redis.NewScript(`#!lua flags=no-writes,allow-oom
local out = {}
for i, call in ipairs(ARGV) do
  local args = {}
  for word in string.gmatch(call, '[^ ]+') do args[#args + 1] = word end
  local known, may = pcall(redis.acl_check_cmd, unpack(args))
  if not (known and may) then out[#out + 1] = call end
end
return out
`)

// CheckRights asks whether Redis lets this user do all that a worker does, and
// explains everything that is missing at once. Servers before 7.0 cannot tell;
// there it returns nil.
func (l *Ledger) CheckRights(ctx context.Context) error {
	if !l.flags {
		return nil
	}
	own := slices.Clone(ledgerRights)
	for name := range parts {
		src, err := l.source(name)
		if err != nil {
			return err
		}
		own = append(own, commandsOf(src)...)
	}
	queues := tasks.QueuesOf(l.cfg.Instance)
	kinds := map[string][]string{
		l.keys.prefix + "*":           callsOn(own, l.keys.prefix+"rec"),
		"asynq:*":                     append(callsOn(asynqRights, "asynq:{"+queues.Interactive+"}:pending"), callsOn([]string{"SADD"}, "asynq:queues")...),
		"the channel " + asynqChannel: {"SUBSCRIBE " + asynqChannel, "PUBLISH " + asynqChannel + " m"},
	}
	var missing []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		calls := make([]any, len(kinds[kind]))
		for i, call := range kinds[kind] {
			calls[i] = call
		}
		denied, err := rightsScript.Run(ctx, l.rdb, []string{l.keys.prefix}, calls...).StringSlice()
		switch {
		case err != nil:
			return err
		case len(denied) == len(calls):
			missing = append(missing, "anything on "+kind)
		case len(denied) > 0:
			missing = append(missing, fmt.Sprintf("%s on %s", strings.Join(namesOf(denied), ", "), kind))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return redisconn.Missing(redisconn.PlaceOf(l.rdb), strings.Join(missing, "; "))
}

// callsOn writes out calls on a key, each once.
func callsOn(commands []string, key string) []string {
	calls := make([]string, 0, len(commands))
	for _, c := range commands {
		if !strings.Contains(c, " ") {
			c += " KEY"
		}
		calls = append(calls, strings.ReplaceAll(c, "KEY", key))
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

// namesOf are the commands of calls, subcommands included.
func namesOf(calls []string) []string {
	var names []string
	for _, call := range calls {
		words := strings.Fields(strings.ToLower(call))
		name := words[0]
		if slices.Contains([]string{"xgroup", "xinfo", "memory"}, name) {
			name += " " + words[1]
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
