package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestHealth(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	worker := w.startWorker()
	_, port, err := net.SplitHostPort(worker.adminAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	// As in a container, whose variable names every address.
	for _, host := range []string{"127.0.0.1:", "0.0.0.0:", ":"} {
		wants(t, w.ok("health", "--admin-addr", host+port), "ready")
	}
	if code := worker.stop(); code != exitDone {
		t.Errorf("the worker left with exit code %d", code)
	}
	if r := w.run("health", "--admin-addr", "127.0.0.1:"+port); r.code != exitFailed || !strings.Contains(r.stderr, "no answer from") {
		t.Errorf("after it has left: exit code %d, %s", r.code, r.stderr)
	}
}

// TestHealthNamesWorkersThatDisagree runs a worker beside one with other limits: it is
// ready, and says so.
func TestHealthNamesWorkersThatDisagree(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	other, err := ledger.Open(t.Context(), redistest.Shared(t), ledger.Config{Instance: w.instance, Limits: ledger.Limits{Single: ledger.Limit{Calls: 50, Window: time.Hour}}})
	must(t, err)
	_, err = other.Announce(t.Context(), ledger.Now, "another", time.Now())
	must(t, err)
	worker := w.startWorker()
	addr := worker.adminAddr(t)
	var r ran
	eventually(t, "it says that they disagree", func() bool {
		r = w.run("health", "-v", "--admin-addr", addr)
		return strings.Contains(r.stderr, "different limits")
	})
	if r.code != exitDone || !strings.Contains(r.stdout, "ready\nworker another (single 50/1h") || !strings.Contains(r.stderr, "up to the highest: single 100/1h, bulk none") {
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
	eventually(t, "it is not ready", func() bool { r = w.run("health", "--admin-addr", addr); return r.code != exitDone })
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
