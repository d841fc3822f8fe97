package enqueue_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// TestAcceptedWhenAReplicaHasIt stops the replica of a real server: nothing is
// accepted until it is back, and asking again under the same id is harmless.
func TestAcceptedWhenAReplicaHasIt(t *testing.T) {
	t.Parallel()
	master := redistest.StartTCP(t)
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := redistest.StartTCP(t, "--replicaof", host, port)
	c, err := enqueue.New(enqueue.Config{RedisURL: "redis://" + master.Addr, Durability: redisconn.Replica})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	invite := func(id, address string) error {
		_, err := c.Invite(t.Context(), tasks.Invite{ID: id, EmailAddress: email(t, address)})
		return err
	}
	list := func(yield func(tasks.Invite, error) bool) {
		yield(tasks.Invite{EmailAddress: email(t, "row@example.com")}, nil)
	}
	redistest.Await(t, "the replica", func(ctx context.Context) bool { return invite("first", "first@example.com") == nil })

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(syscall.Kill(replica.Pid(), syscall.SIGSTOP))
	must(notDurable(invite("second", "second@example.com")))
	must(notDurable(invite("second", "second@example.com"))) // known by now, and still on one machine only
	_, err = c.BulkInvite(t.Context(), list, enqueue.BulkOptions{ImportID: "list"})
	must(notDurable(err))
	_, err = c.Revoke(t.Context(), "first")
	must(notDurable(err))
	must(syscall.Kill(replica.Pid(), syscall.SIGCONT))
	redistest.Await(t, "the replica again", func(ctx context.Context) bool { return invite("second", "second@example.com") == nil })
	r, err := c.BulkInvite(t.Context(), list, enqueue.BulkOptions{ImportID: "list"})
	if err != nil || r.Known != 1 {
		t.Errorf("the import again: %+v, %v", r, err)
	}
	if _, err := c.Revoke(t.Context(), "first"); err != nil {
		t.Error(err)
	}
}

func notDurable(err error) error {
	if errors.Is(err, redisconn.ErrNotDurable) {
		return nil
	}
	return fmt.Errorf("accepted although no replica has it: %w", cmp.Or(err, errors.New("no error")))
}

// TestDurabilityThatTheServerCannotKeep: fsync is refused where it would be a word.
func TestDurabilityThatTheServerCannotKeep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, says string }{
		{"--appendonly no", "appendonly is no"},
		{"--appendonly yes --appendfsync everysec", "and it is everysec"},
		{"--appendonly yes --appendfsync always", ""},
	} {
		server := redistest.Start(t, strings.Fields(c.args)...)
		client, err := enqueue.New(enqueue.Config{RedisURL: server.URL(), Durability: redisconn.Fsync})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "ada@example.com")})
		newer := strings.Contains(c.args, "everysec") && err == nil // by WAITAOF, since Redis 7.2
		if ok := c.says == "" && err == nil || c.says != "" && err != nil && strings.Contains(err.Error(), c.says); !ok && !newer {
			t.Errorf("%s: %v, want %q", c.args, err, c.says)
		}
		if c.says != "" && !newer && redisconn.KindOf(err) != redisconn.NoDurability {
			t.Errorf("%s is of the kind %q", c.args, redisconn.KindOf(err))
		}
		_ = client.Close()
	}
	if _, err := enqueue.New(enqueue.Config{Durability: "eternal"}); err == nil || !strings.Contains(err.Error(), "local, replica or fsync") {
		t.Errorf("got %v", err)
	}
}

// TestFailoverLosesNothingThatAReplicaHas: a replica lags, the master is killed, the
// replica takes over. What was accepted with redisconn.Replica is there; the same with
// redisconn.Local loses something, or the test would show nothing.
func TestFailoverLosesNothingThatAReplicaHas(t *testing.T) {
	t.Parallel()
	for durability, loses := range map[redisconn.Durability]bool{redisconn.Local: true, redisconn.Replica: false} {
		master := redistest.StartTCP(t)
		link := redistest.StartProxy(t, master.Addr)
		host, port, _ := strings.Cut(link.Addr, ":")
		replica := redistest.StartTCP(t, "--replicaof", host, port)
		c, err := enqueue.New(enqueue.Config{RedisURL: "redis://" + master.Addr, Durability: durability})
		if err != nil {
			t.Fatal(err)
		}
		rdb := redis.NewClient(&redis.Options{Addr: replica.Addr})
		redistest.Await(t, "the replica", func(ctx context.Context) bool {
			return strings.Contains(rdb.Info(ctx, "replication").Val(), "master_link_status:up")
		})
		ctx, stop := context.WithCancel(t.Context())
		var accepted sync.Map
		var producers sync.WaitGroup
		for p := range 4 {
			producers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					id := fmt.Sprintf("%d-%d", p, n)
					if _, err := c.Invite(ctx, tasks.Invite{ID: id, EmailAddress: email(t, id+"@example.com")}); err == nil {
						accepted.Store(id, true)
					}
				}
			})
		}
		<-time.After(300 * time.Millisecond)
		link.Deafen(true)
		<-time.After(300 * time.Millisecond)
		master.Kill()
		stop()
		producers.Wait()
		if err := rdb.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
		after, err := enqueue.New(enqueue.Config{RedisURL: "redis://" + replica.Addr})
		if err != nil {
			t.Fatal(err)
		}
		all, lost := 0, 0
		for id := range accepted.Range {
			all++
			if _, err := after.Status(t.Context(), id.(string)); errors.Is(err, enqueue.ErrNotFound) {
				lost++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %d accepted, %d lost", durability, all, lost)
		if all < 20 || (lost > 0) != loses {
			t.Errorf("%s: of %d that were accepted %d are lost", durability, all, lost)
		}
		_, _, _ = c.Close(), after.Close(), rdb.Close()
	}
}
