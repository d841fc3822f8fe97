package outbox_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/outbox"
	"github.com/inviteq/inviteq/enqueue/outbox/postgrestest"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// TestRedisForgets: Redis comes back without the last second of what it had acknowledged,
// as appendfsync everysec permits, and what a relay had handed on is handed on again.
func TestRedisForgets(t *testing.T) {
	db := postgrestest.Start(t).DB(t)
	if err := outbox.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	redis := redistest.Start(t, "--appendonly", "yes")
	c, err := enqueue.New(enqueue.Config{RedisURL: redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	relay := &outbox.Relay{DB: db, Client: c, Keep: time.Second}

	add(t, db, invite(t, "early"), true)
	if b := relay.Once(t.Context()); b != (outbox.Batch{Accepted: 1}) {
		t.Fatalf("got %+v", b)
	}
	await(t, 2*relay.Keep)
	if b := relay.Once(t.Context()); b != (outbox.Batch{}) || count(t, db) != 0 {
		t.Errorf("what Redis has kept for long enough stays in the table: %+v", b)
	}

	logs, err := filepath.Glob(filepath.Join(filepath.Dir(redis.Socket), "appendonlydir", "*.incr.aof"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	before, err := os.Stat(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"late1", "late2"} {
		add(t, db, invite(t, id), true)
	}
	if b := relay.Once(t.Context()); b != (outbox.Batch{Accepted: 2}) {
		t.Fatalf("got %+v", b)
	}
	redis.Kill()
	if err := os.Truncate(logs[0], before.Size()); err != nil {
		t.Fatal(err)
	}
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	var sum outbox.Batch
	for range 200 { // Of errors there may be one a connection.
		b := relay.Once(t.Context())
		if sum.Accepted, sum.Again = sum.Accepted+b.Accepted, sum.Again+b.Again; count(t, db) == 0 {
			break
		}
		await(t, 50*time.Millisecond)
	}
	if sum != (outbox.Batch{Accepted: 2, Again: 2}) {
		t.Errorf("got %+v", sum)
	}
	if waiting, err := c.Waiting(t.Context()); err != nil || waiting != 3 {
		t.Errorf("%d wait, want 3: %v", waiting, err)
	}
}
