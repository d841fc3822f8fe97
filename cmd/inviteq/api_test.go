package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// apiAddr waits for a command that serves the API to say where.
func (b *background) apiAddr(t *testing.T) string {
	t.Helper()
	addr := ""
	eventually(t, "the API listens", func() bool {
		for line := range strings.Lines(b.log.String()) {
			var l struct{ API, Message string }
			if json.Unmarshal([]byte(line), &l) == nil && strings.HasSuffix(l.Message, "starts") {
				addr = l.API
			}
		}
		return addr != ""
	})
	return "http://" + addr
}

// ask makes a request with a token, and returns status and body.
func ask(t *testing.T, method, url, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestAPI goes the way of somebody who sets the API up: a token, the server, a
// request, the token's end.
func TestAPI(t *testing.T) {
	w := newWorld(t)
	made := w.run("api", "token", "create", "billing")
	token := strings.TrimSuffix(made.stdout, "\n")
	if made.code != exitDone || !strings.HasPrefix(token, "sk_test_") || strings.ContainsAny(token, " \n") {
		t.Fatalf("exit code %d, stdout %q", made.code, made.stdout)
	}
	if strings.Contains(made.stderr, token) {
		t.Error("the token was printed twice")
	}
	served := w.start("api", "--api-addr", "127.0.0.1:0")
	url := served.apiAddr(t)
	if status, body := ask(t, "POST", url+"/v1/invitations", token, `{"email_address":"canary@example.com"}`); status != 200 || !strings.Contains(body, `"id":"inq_`) {
		t.Errorf("create: %d %s", status, body)
	}
	wants(t, w.ok("list"), "queued", "canary@example.com")
	wants(t, w.ok("api", "token", "list"), "billing", "tok_", "now")
	list := objects(t, w.ok("api", "token", "list", "--json"))
	if len(list) != 1 || list[0]["name"] != "billing" || list[0]["used_at"] == nil {
		t.Errorf("got %v", list)
	}
	wants(t, w.ok("api", "token", "revoke", "billing"), "is revoked")
	if status, body := ask(t, "GET", url+"/v1/invitations", token, ""); status != 401 {
		t.Errorf("a revoked token: %d %s", status, body)
	}
	if r := w.run("api", "token", "revoke", "billing"); r.code != exitFailed {
		t.Errorf("revoked twice: exit code %d", r.code)
	}
	if code := served.stop(); code != exitDone {
		t.Errorf("the API left with exit code %d", code)
	}
	log := served.log.String()
	wants(t, log, `"token":"billing"`, `"route":"/v1/invitations"`, `"status":200`, `"status":401`, `"invites":1`, "api has left")
	if strings.Contains(log, "canary") || strings.Contains(log, token) || strings.Contains(log, token[30:]) {
		t.Errorf("the log names somebody, or the token:\n%s", log)
	}
}

// TestStatusOfAKey: what was asked for over HTTP is found by its Idempotency-Key.
func TestStatusOfAKey(t *testing.T) {
	w := newWorld(t)
	own, all := strings.TrimSpace(w.ok("api", "token", "create", "billing")), strings.TrimSpace(w.ok("api", "token", "create", "backend", "--scope", "instance"))
	served := w.start("api", "--api-addr", "127.0.0.1:0")
	url := served.apiAddr(t)
	for n, c := range []struct{ path, kind, key, body, want string }{
		{"/v1/invitations", "application/json", "order-0", `{"email_address":"alan@example.com"}`, "alan@example.com"},
		{"/v1/invitations", "application/json", "order-1", `{"email_address":"canary@example.com"}`, "canary@example.com"},
		{"/v1/invitations/bulk", "application/json", "order-2", `[{"email_address":"ada@example.com"},{"email_address":"grace@example.com"}]`, "grace@example.com"},
		{"/v1/imports", "text/csv", "order-3", "email\nmira@example.com\n", "1 invite"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+c.path, strings.NewReader(c.body))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+[]string{all, own}[min(n, 1)])
		req.Header.Set("Content-Type", c.kind)
		req.Header.Set("Idempotency-Key", c.key)
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		res.Body.Close()
		wants(t, w.ok("status", c.key), c.want)
	}
	if r := w.run("status", "order-4"); r.code != exitFailed {
		t.Errorf("a key of nothing: exit code %d", r.code)
	}
	if code := served.stop(); code != exitDone {
		t.Errorf("the API left with exit code %d", code)
	}
}

// TestWorkerServesTheAPI has one process do both, so that the answer has Clerk's
// id.
func TestWorkerServesTheAPI(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	token := strings.TrimSpace(w.ok("api", "token", "create", "web"))
	worker := w.startWorker("--api-addr", "127.0.0.1:0", "--api-wait", "10s")
	url := worker.apiAddr(t)
	status, body := ask(t, "POST", url+"/v1/invitations", token, `{"email_address":"canary@example.com"}`)
	if status != 200 || !strings.Contains(body, `"id":"inv_`) {
		t.Errorf("create: %d %s", status, body)
	}
	if code := worker.stop(); code != exitDone {
		t.Errorf("the worker left with exit code %d", code)
	}
	if strings.Contains(worker.log.String(), "canary") {
		t.Error("the log names somebody")
	}
}

func TestAPIUsage(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"api token create", exitUsage, "inviteq api token create --help"},
		{"api token create ada@example.com", exitUsage, "letters, digits, dots"},
		{"api token revoke nobody", exitFailed, "no such token"},
		{"api --api-addr 8081", exitUsage, "INVITEQ_API_ADDR"},
		{"api --api-rate=-1 --api-wait=1h", exitUsage, "INVITEQ_API_WAIT"},
		{"api --api-addr 256.0.0.1:1", exitFailed, "choose another --api-addr"},
	} {
		r := w.run(strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || strings.Contains(r.stderr, "ada@") {
			t.Errorf("%s: exit code %d, want %d; stderr, which should have %q:\n%s", c.args, r.code, c.code, c.want, r.stderr)
		}
	}
	bad := &world{t: t, env: append(w.env, "CLERK_SECRET_KEY=sk_test_x", "INVITEQ_WORKER_API_ADDR=nowhere")}
	if r := bad.run("worker"); r.code != exitUsage || !strings.Contains(r.stderr, "INVITEQ_WORKER_API_ADDR") {
		t.Errorf("worker: exit code %d, %s", r.code, r.stderr)
	}
}
