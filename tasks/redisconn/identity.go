package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Identity is who a server is, and how much it has written.
type Identity struct {
	// Known is false where INFO is forbidden or left out, as some managed
	// services do; then the other fields say nothing.
	Known bool

	RunID   string // Changes with every start of the process.
	ReplID  string // Names the history of its data: changes with a failover, and with a restart that did not keep it.
	Offset  int64  // master_repl_offset: how many bytes of that history it has. It stays 0 until there was a replica, unless repl-backlog is made.
	Role    string // "master" or "slave"
	Version string // As in 7.0.15, or that of a fork that calls itself compatible.
}

// Identify reads who the server is that has the data behind a key: the server
// itself, the sentinels' present master, or in a Cluster the master of the key.
// The error is one of the connection; that INFO is refused is none.
func Identify(ctx context.Context, rdb redis.UniversalClient, key string) (Identity, error) {
	server, err := ServerOf(ctx, rdb, key)
	if err != nil {
		return Identity{}, err
	}
	pipe := server.Pipeline() // one connection, so one server
	general, replication := pipe.Info(ctx, "server"), pipe.Info(ctx, "replication")
	_, err = pipe.Exec(ctx)
	if _, answered := errors.AsType[redis.Error](err); answered {
		return Identity{}, nil
	}
	if err != nil {
		return Identity{}, err
	}
	s, r := Info(general.Val()), Info(replication.Val())
	offset, _ := strconv.ParseInt(r["master_repl_offset"], 10, 64)
	return Identity{
		Known: s["run_id"] != "" && r["master_replid"] != "",
		RunID: s["run_id"], ReplID: r["master_replid"], Offset: offset, Role: r["role"], Version: s["redis_version"],
	}, nil
}

// Info reads the lines of an answer to INFO, name:value each.
func Info(answer string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(answer) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(name, "#") {
			fields[name] = value
		}
	}
	return fields
}

// Server is a client of the one server that has the data of a key.
type Server interface {
	redis.Cmdable
	Conn() *redis.Conn
}

// ServerOf returns a client of the server that has the data behind a key. In a
// Cluster that changes with a failover: ask again rather than keep it.
func ServerOf(ctx context.Context, rdb redis.UniversalClient, key string) (Server, error) {
	switch c := rdb.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	}
	return nil, fmt.Errorf("a %T does not tell which server has a key; use a client of go-redis for one server, sentinels or a Cluster", rdb)
}
