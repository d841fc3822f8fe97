package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
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
