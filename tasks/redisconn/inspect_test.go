package redisconn_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// TestInspect asks real servers that are configured well and badly.
func TestInspect(t *testing.T) {
	t.Parallel()
	const key = "inviteq:{default}:meta"
	well := []string{"--appendonly", "yes"}
	for _, c := range []struct {
		name string
		args []string
		want []tasks.Condition
	}{
		{"as redis.conf has it", well, nil},
		{"nothing on disk", nil, []tasks.Condition{tasks.ConditionNoDisk}},
		{"snapshots", []string{"--save", "60 1"}, []tasks.Condition{tasks.ConditionSnapshots}},
		{"no fsync", append(well, "--appendfsync", "no"), []tasks.Condition{tasks.ConditionNoSync}},
		{"evicts", append(well, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), []tasks.Condition{tasks.ConditionEvicts}},
		{"full", append(well, "--maxmemory", "900kb"), []tasks.Condition{tasks.ConditionNearlyFull}},
	} {
		rdb := redistest.Start(t, c.args...).Client(t)
		got, err := redisconn.Inspect(t.Context(), rdb, key)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, got, err, c.want)
		}
		if err := redisconn.Room(t.Context(), rdb, key); (redisconn.KindOf(err) == redisconn.NearlyFull) != (c.name == "full") {
			t.Errorf("%s: room for an import: %v", c.name, err)
		} else if err != nil {
			t.Log(err)
		}
	}

	// A user who may not ask: that is said, and what is told counts.
	server := redistest.StartTCP(t, "--user", "quiet", "on", ">p", "~*", "+@all", "-config", "--user", "mute", "on", ">p", "~*", "+@all", "-config", "-info")
	for name, want := range map[string]string{"quiet": "CONFIG GET refused", "mute": "INFO and CONFIG GET refused"} {
		rdb := redisconn.New(&redis.UniversalOptions{Addrs: []string{server.Addr}, Username: name, Password: "p"})
		got, err := redisconn.Inspect(t.Context(), rdb, key)
		if err != nil || got[tasks.ConditionUnchecked] != want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		if err := redisconn.Room(t.Context(), rdb, key); err != nil {
			t.Errorf("%s: room for an import: %v", name, err)
		}
		if text := got.Text(tasks.ConditionUnchecked); !strings.Contains(text, "("+want+"). See to it") {
			t.Errorf("it reads %q", text)
		}
		_ = rdb.Close()
	}

	// One that is gone tells nothing, and that is an error.
	rdb := redisconn.New(&redis.UniversalOptions{Addrs: []string{server.Addr}})
	server.Kill()
	if got, err := redisconn.Inspect(t.Context(), rdb, key); err == nil {
		t.Errorf("a server that is gone: %v", got)
	}
	_ = rdb.Close()
}

// TestInspectReplicas: a master with a replica does not wait for it, unless it is told to.
func TestInspectReplicas(t *testing.T) {
	t.Parallel()
	const key = "inviteq:{default}:meta"
	s := redistest.StartSentinels(t, 1, "--appendonly", "yes")
	o, err := redisconn.Parse(s.URL(), redisconn.Files{})
	if err != nil {
		t.Fatal(err)
	}
	rdb := redisconn.New(o)
	t.Cleanup(func() { _ = rdb.Close() })
	if got, err := redisconn.Inspect(t.Context(), rdb, key); err != nil || len(got) != 1 || got[tasks.ConditionReplicas] == "" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := rdb.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := redisconn.Inspect(t.Context(), rdb, key); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}
