package enqueue_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/seal"
)

// side is a client with an instance of its own, and the other ends of what it
// writes.
type side struct {
	*enqueue.Client

	rdb       *redis.Client
	ledger    *ledger.Ledger
	inspector *asynq.Inspector
	queues    tasks.Queues
}

func newSide(tb testing.TB) side {
	tb.Helper()
	return sideOver(tb, redistest.Shared(tb))
}

// sideOver has a client that enqueues over the given connection.
func sideOver(tb testing.TB, conn *redis.Client) side {
	tb.Helper()
	return sideBetween(tb, conn, redistest.Shared(tb))
}

// sideOn is all on one server.
func sideOn(tb testing.TB, rdb *redis.Client) side { tb.Helper(); return sideBetween(tb, rdb, rdb) }

func sideBetween(tb testing.TB, conn, rdb *redis.Client) side {
	tb.Helper()
	return sideWith(tb, conn, rdb, nil)
}

// sideWith has encryption keys.
func sideWith(tb testing.TB, conn, rdb *redis.Client, keys seal.Keys) side {
	tb.Helper()
	instance := redistest.Instance()
	c, err := enqueue.New(enqueue.Config{Redis: conn, Instance: instance, EncryptionKeys: keys})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := ledger.Open(tb.Context(), rdb, ledger.Config{Instance: instance, Limits: ledger.Limits{}, EncryptionKeys: keys})
	if err != nil {
		tb.Fatal(err)
	}
	return side{c, rdb, l, asynq.NewInspectorFromRedisClient(rdb), tasks.QueuesOf(instance)}
}

// hire has a worker there, as far as anybody can tell.
func (s side) hire(tb testing.TB) {
	tb.Helper()
	if _, err := s.ledger.Announce(tb.Context(), ledger.Now, ledger.Fellow{Name: "one"}); err != nil {
		tb.Fatal(err)
	}
}

// queued returns the tasks of a queue that may run at once.
func (s side) queued(tb testing.TB, queue string) []*asynq.TaskInfo {
	tb.Helper()
	got, err := s.inspector.ListPendingTasks(queue, asynq.PageSize(10_000))
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		tb.Fatal(err)
	}
	return got
}

// record returns the one record with this id.
func (s side) record(tb testing.TB, id string) ledger.Record {
	tb.Helper()
	got, err := s.ledger.Get(tb.Context(), id)
	if err != nil || len(got) != 1 {
		tb.Fatalf("got %d records for %s, %v; want 1", len(got), id, err)
	}
	return got[0]
}

func email(tb testing.TB, s string) tasks.Email {
	tb.Helper()
	e, err := tasks.ParseEmail(s)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// faults are what goes wrong between a client and Redis.
type faults struct {
	mu     sync.Mutex
	lose   string // The next command that contains this is carried out, and its answer lost.
	refuse string // Every command that contains this fails before it leaves.
}

func (f *faults) set(lose, refuse string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose, f.refuse = lose, refuse
}

// isLost reports whether the fault has happened.
func (f *faults) isLost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lose == ""
}

// client connects to the shared server through the faults.
func (f *faults) client(tb testing.TB, retries int) *redis.Client {
	tb.Helper()
	opts := *redistest.Shared(tb).Options()
	opts.MaxRetries = retries
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &faultyConn{Conn: c, faults: f}, err
	}
	c := redis.NewClient(&opts)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

type faultyConn struct {
	net.Conn
	faults *faults
	losing bool
}

var errRefused = errors.New("connection refused by the test")

func (c *faultyConn) Write(p []byte) (int, error) {
	c.faults.mu.Lock()
	if r := c.faults.refuse; r != "" && bytes.Contains(p, []byte(r)) {
		c.faults.mu.Unlock()
		return 0, errRefused
	}
	if l := c.faults.lose; l != "" && bytes.Contains(p, []byte(l)) {
		c.faults.lose, c.losing = "", true
	}
	c.faults.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.losing { // Redis has answered, so it has done what it was told.
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func TestNewNamesEveryProblemAndNoSecret(t *testing.T) {
	_, err := enqueue.New(enqueue.Config{RedisURL: "redis://user:hunter2@host:port/0", Instance: "Not Good"})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"instance may contain", "Redis URL (REDIS_URL) has a port that is no number"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the password is quoted: %v", err)
	}
	rdb := redistest.Shared(t)
	if _, err := enqueue.New(enqueue.Config{RedisURL: "redis://localhost", Redis: rdb}); err == nil {
		t.Error("both ways of naming Redis: got no error")
	}
}

func TestClientStartsBeforeRedis(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	c, err := enqueue.New(enqueue.Config{RedisURL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	invite := tasks.Invite{EmailAddress: email(t, "ada@example.com")}
	r, err := c.Invite(t.Context(), invite)
	if err == nil || r.ID == "" {
		t.Fatalf("without Redis: got %+v, %v; want an error, and the id to repeat it with", r, err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	invite.ID = r.ID
	if r, err := c.Invite(t.Context(), invite); err != nil || r.TaskErr != nil || r.ID != invite.ID {
		t.Errorf("with Redis: got %+v, %v", r, err)
	}
}

func TestCloseLeavesBorrowedConnection(t *testing.T) {
	s := newSide(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after Close: got %v, want the caller's connection to live", err)
	}
	own, err := enqueue.New(enqueue.Config{RedisURL: "unix://" + s.rdb.Options().Addr})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "ada@example.com")}); err != nil {
		t.Fatal(err)
	}
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Status(t.Context(), "ada@example.com"); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("after Close of its own connection: got %v, want it closed", err)
	}
}
