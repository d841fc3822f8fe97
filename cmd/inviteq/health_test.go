package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

func TestHealth(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	worker := w.startWorker()
	_, port, err := net.SplitHostPort(worker.adminAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "Clerk has answered", func() bool { return w.run("health", "--admin-addr", "127.0.0.1:"+port).code == exitDone })
	// As in a container, whose variable names every address.
	for _, host := range []string{"127.0.0.1:", "0.0.0.0:", ":"} {
		wants(t, w.ok("health", "--admin-addr", host+port), "ready")
	}
	if code := worker.stop(); code != exitDone {
		t.Errorf("the worker left with exit code %d", code)
	}
	if r := w.run("health", "--admin-addr", "127.0.0.1:"+port); r.code != exitFailed || !strings.Contains(r.stderr, "connection refused): start `inviteq worker` on this machine, or say by --admin-addr where it listens") {
		t.Errorf("after it has left: exit code %d, %s", r.code, r.stderr)
	}
}

// TestHealthNamesWorkersThatDisagree runs a worker beside one with other limits: it is
// ready, and says so.
func TestHealthNamesWorkersThatDisagree(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	other, err := ledger.Open(t.Context(), redistest.Shared(t), ledger.Config{Instance: w.instance, Limits: ledger.Limits{Single: ledger.Limit{Calls: 50, Window: time.Hour}}})
	must(t, err)
	_, err = other.Announce(t.Context(), ledger.Now, ledger.Fellow{Name: "another", Since: time.Now()})
	must(t, err)
	worker := w.startWorker()
	addr := worker.adminAddr(t)
	var r ran
	eventually(t, "it says that they disagree", func() bool {
		r = w.run("health", "-v", "--admin-addr", addr)
		return strings.Contains(r.stderr, "different limits")
	})
	if r.code != exitDone || !strings.HasPrefix(r.stdout, "ready\n") || !strings.Contains(r.stdout, "\nworker another (single 50/1h") || !strings.Contains(r.stderr, "up to the highest: single 100/1h, bulk none") {
		t.Errorf("exit code %d, stdout %q, stderr %s", r.code, r.stdout, r.stderr)
	}
	worker.stop()
	if !strings.Contains(worker.log.String(), "workers have different limits") {
		t.Errorf("the worker's log does not say it: %s", worker.log.String())
	}
}

// TestHealthSaysWhyNot lets Clerk refuse the key.
func TestHealthSaysWhyNot(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	w.env = append(w.env, "CLERK_SECRET_KEY=sk_test_wrong")
	addr := w.startWorker().adminAddr(t)
	w.ok("invite", "canary@example.com")
	var r ran
	eventually(t, "it is not ready", func() bool {
		r = w.run("health", "--admin-addr", addr)
		return r.code != exitDone && !strings.Contains(r.stderr, "clerk_unreached")
	})
	if r.code != exitFailed || !strings.Contains(r.stderr, "CLERK_SECRET_KEY") || r.stdout != "" {
		t.Errorf("exit code %d, stdout %q, stderr %s", r.code, r.stdout, r.stderr)
	}
}

func TestHealthUsage(t *testing.T) {
	odd := httptest.NewServer(http.NotFoundHandler())
	defer odd.Close()
	w := &world{t: t}
	for args, want := range map[string]string{
		"health --admin-addr off":                                           "must be HOST:PORT",
		"health --api --api-addr 8081":                                      "must be HOST:PORT",
		"health --admin-addr " + strings.TrimPrefix(odd.URL, "http://"):     "404",
		"health --api --api-addr " + strings.TrimPrefix(odd.URL, "http://"): "404",
	} {
		if r := w.run(strings.Fields(args)...); r.code == exitDone || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d, %s", args, r.code, r.stderr)
		}
	}
}

func TestNearest(t *testing.T) {
	for host, want := range map[string]string{"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "127.0.0.1": "127.0.0.1", "10.0.0.7": "10.0.0.7", "localhost": "localhost"} {
		if got := nearest(host); got != want {
			t.Errorf("%q: got %s, want %s", host, got, want)
		}
	}
}

// TestHealthSaysWhatRedisLacks runs a worker on a Redis that keeps nothing: a warning,
// which the operator can have turned red.
func TestHealthSaysWhatRedisLacks(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t).withClerk(clerksim.Config{})
	w.env = append(w.env, "REDIS_URL="+server.URL())
	worker := w.startWorker()
	addr := worker.adminAddr(t)
	var r ran
	eventually(t, "the warning", func() bool {
		r = w.run("health", "-v", "--admin-addr", addr)
		return strings.Contains(r.stdout, "warning: nothing_on_disk: ") // Before Clerk has been asked, it is not ready.
	})
	if r.code != exitDone || !strings.HasPrefix(r.stdout, "ready\n") || !strings.Contains(r.stdout, "Set appendonly yes.") {
		t.Errorf("exit code %d, %s", r.code, r.stdout)
	}
	if got := w.ok("health", "--admin-addr", addr); got != "ready\n" {
		t.Errorf("without -v: %s", got)
	}
	if code := worker.stop(); code != exitDone {
		t.Errorf("the worker left with exit code %d", code)
	}
	w.env = append(w.env, "INVITEQ_REQUIRE_DURABLE=true")
	addr = w.startWorker().adminAddr(t)
	eventually(t, "it is not ready", func() bool {
		r = w.run("health", "--admin-addr", addr)
		return r.code != exitDone && !strings.Contains(r.stderr, "clerk_unreached")
	})
	if !strings.Contains(r.stderr, "not ready: durability: Redis keeps nothing on its disk") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}

// TestImportNeedsRoom: a Redis that is nearly full takes single invites and no import,
// and the same import goes on once it has room.
func TestImportNeedsRoom(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--maxmemory", "100mb")
	w := newWorld(t)
	w.env = append(w.env, "REDIS_URL="+server.URL())
	rdb := server.Client(t)
	list := filepath.Join(t.TempDir(), "team.csv")
	if err := os.WriteFile(list, []byte("email\nada@example.com\nbob@example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// By a script, so that no buffer holds it for a while, too.
	if err := rdb.Eval(t.Context(), "return redis.call('SET', KEYS[1], string.rep('x', 20 * 1024 * 1024))", []string{"somebody-elses"}).Err(); err != nil {
		t.Fatal(err)
	}
	used, err := rdb.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	limit := func(bytes string) {
		if err := rdb.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	n, err := strconv.Atoi(redisconn.Info(used)["used_memory"])
	if err != nil {
		t.Fatal(err)
	}
	limit(strconv.Itoa(n * 100 / 95))
	r := w.run("import", list)
	if r.code == exitDone || !strings.Contains(r.stderr, "of its maxmemory") || !strings.Contains(r.stderr, "nine tenths") {
		t.Errorf("exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	w.ok("invite", "second@example.com")
	limit("1mb")
	if r := w.run("invite", "third@example.com"); r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "is full (maxmemory)") {
		t.Errorf("exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	limit("100mb")
	w.ok("import", list)
}
