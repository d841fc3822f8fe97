package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestConfigurationIsReportedTogether names everything that is wrong, once, and
// no secret.
func TestConfigurationIsReportedTogether(t *testing.T) {
	w := &world{t: t, env: []string{
		"REDIS_URL=http://user:hunter2@example.com", "INVITEQ_INSTANCE=Bad Name", "CLERK_API_URL=ftp://hunter2",
		"INVITEQ_LIMIT_SINGLE=100", "INVITEQ_LIMIT_BULK=0/1h", "INVITEQ_LIMIT_OTHER=x", "INVITEQ_RESERVE=-2",
		"INVITEQ_BULK_SIZE=11", "INVITEQ_REQUEST_TIMEOUT=soon", "INVITEQ_SHUTDOWN_TIMEOUT=1s", "INVITEQ_MAX_ATTEMPTS=0",
		"INVITEQ_CALLS=many", "INVITEQ_CONCURRENCY=-1", "INVITEQ_SCREEN=perhaps", "INVITEQ_LOG_LEVEL=loud",
		"INVITEQ_ADMIN_ADDR=8080", "INVITEQ_UNKNOWN=forget",
	}}
	r := w.run("worker")
	if r.code != exitUsage || r.stdout != "" {
		t.Errorf("exit code %d, stdout %q", r.code, r.stdout)
	}
	names := []string{
		"REDIS_URL", "INVITEQ_INSTANCE", "CLERK_API_URL", "CLERK_SECRET_KEY", "INVITEQ_LIMIT_SINGLE", "INVITEQ_LIMIT_BULK",
		"INVITEQ_LIMIT_OTHER", "INVITEQ_RESERVE", "INVITEQ_BULK_SIZE", "INVITEQ_REQUEST_TIMEOUT", "shutdown timeout",
		"INVITEQ_MAX_ATTEMPTS", "INVITEQ_CALLS", "INVITEQ_CONCURRENCY", "INVITEQ_SCREEN", "INVITEQ_LOG_LEVEL",
		"INVITEQ_ADMIN_ADDR", "INVITEQ_UNKNOWN",
	}
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	for _, name := range names {
		n := 0
		for _, line := range lines {
			if strings.Contains(line, name) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is named by %d lines, want 1", name, n)
		}
	}
	if len(lines) != len(names) {
		t.Errorf("got %d lines, want %d:\n%s", len(lines), len(names), r.stderr)
	}
	if strings.Contains(r.stderr, "hunter2") {
		t.Errorf("a password was printed:\n%s", r.stderr)
	}
}

func TestSecretKeyFile(t *testing.T) {
	key := file(t, "key", clerksim.DefaultSecretKey+"\n")
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"file", []string{"CLERK_SECRET_KEY_FILE=" + key}, ""},
		{"both", []string{"CLERK_SECRET_KEY_FILE=" + key, "CLERK_SECRET_KEY=sk_test_x"}, "are both set"},
		{"missing", []string{"CLERK_SECRET_KEY_FILE=" + key + "x"}, "cannot be read"},
		{"empty", []string{"CLERK_SECRET_KEY_FILE=" + file(t, "empty", " \n")}, "empty file"},
		{"none", nil, "CLERK_SECRET_KEY is not set"},
		{"unprintable", []string{"CLERK_SECRET_KEY=sk_test_\u00e4"}, "a character that no key has"},
		{"plain http with a live key", []string{"CLERK_SECRET_KEY=sk_live_x", "CLERK_API_URL=http://example.com/v1"}, "would send the key readably"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProgram(c.env, strings.NewReader(""), os.Stdout, os.Stderr)
			command := &workerCommand{clerkFlag: clerkFlag{"https://api.clerk.com/v1"}}
			for _, pair := range c.env {
				if url, ok := strings.CutPrefix(pair, "CLERK_API_URL="); ok {
					command.ClerkAPIURL = url
				}
			}
			p.clerkClient(command.ClerkAPIURL, 0)
			got := ""
			if err := p.complaints.usage(); err != nil {
				got = err.Error()
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want one line with %q", got, c.want)
			}
		})
	}
}

func TestLiveKeysStayAwayFromPretence(t *testing.T) {
	w := &world{t: t, env: []string{"CLERK_SECRET_KEY=sk_live_0123456789"}}
	for _, args := range [][]string{{"demo"}, {"clerksim"}, {"clerksim", "--addr", "127.0.0.1:0"}} {
		r := w.run(args...)
		if r.code != exitUsage || !strings.Contains(r.stderr, "live key") || strings.Contains(r.stderr, "0123456789") {
			t.Errorf("%q: exit code %d, %s", args, r.code, r.stderr)
		}
	}
}

func TestUsage(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w := newWorld(t)
	nobody := &world{t: t, env: []string{"REDIS_URL=redis://:hunter2@127.0.0.1:1/3", "CLERK_SECRET_KEY=sk_test_x"}}
	socket := &world{t: t, env: []string{"REDIS_URL=unix://" + filepath.Join(t.TempDir(), "none.sock")}}
	for _, c := range []struct {
		world *world
		args  string
		code  int
		want  string
	}{
		{w, "", exitUsage, "inviteq demo"},
		{w, "--help", exitDone, ""},
		{w, "--version", exitDone, ""},
		{w, "version --json", exitDone, ""},
		{w, "inivte", exitUsage, "inviteq --help"},
		{w, "status", exitDone, ""},
		{w, "status a b", exitUsage, "unexpected argument"},
		{w, "status canary@example.com canary@example.com", exitUsage, "unexpected argument"},
		{w, "status nobody@example.com", exitFailed, "nothing is known"},
		{w, "status inq_none", exitFailed, "nothing is known"},
		{w, "status imp_none --json", exitFailed, "nothing is known"},
		{w, "status not/an/id", exitUsage, "target must be printable"},
		{w, "status a@b@c", exitUsage, "one plain address"},
		{w, "list --state lost", exitUsage, "state must be one of queued"},
		{w, "list --limit=-1", exitUsage, "--limit must not be negative"},
		{w, "list --limit many", exitUsage, "--limit"},
		{w, "list --import-id imp_none", exitFailed, "nothing is known"},
		{w, "list", exitDone, ""},
		{w, "quota", exitDone, ""},
		{w, "pause --lane fast", exitUsage, "--lane"},
		{w, "retry", exitUsage, "say what to retry"},
		{w, "retry --state pending", exitUsage, "only those that are failed, parked, rejected"},
		{w, "retry inq_x --state failed", exitUsage, "either addresses and ids"},
		{w, "retry inq_x", exitFailed, "nothing is known"},
		{w, "retry --state failed", exitDone, ""},
		{w, "release inq_x", exitFailed, "nothing is known"},
		{w, "revoke inq_x", exitFailed, "nothing is known"},
		{w, "revoke a@@b", exitUsage, "one plain address"},
		{w, "worker", exitUsage, "CLERK_SECRET_KEY is not set"},
		{w, "clerksim --limits single=1 --fault boom --switch no --latency=-1s", exitUsage, "boom"},
		{w, "clerksim --switch help", exitDone, ""},
		{w, "clerksim --addr " + taken.Addr().String(), exitFailed, "choose another --addr"},
		{w, "demo --hour 1s", exitUsage, "5s at least"},
		{nobody, "quota", exitFailed, "Redis at 127.0.0.1:1/3 cannot be reached (connection refused): start it, or set REDIS_URL"},
		{nobody, "worker --admin-addr off", exitFailed, "cannot be reached"},
		{nobody, "invite ada@example.com", exitFailed, "cannot be reached"},
		{nobody, "worker --admin-addr " + taken.Addr().String(), exitFailed, "choose another --admin-addr"},
		{socket, "quota", exitFailed, "no such socket"},
	} {
		t.Run(c.args, func(t *testing.T) {
			c.world.t = t
			r := c.world.run(strings.Fields(c.args)...)
			if r.code != c.code || !strings.Contains(r.stderr, c.want) {
				t.Errorf("exit code %d, want %d; stderr, which should have %q:\n%s", r.code, c.code, c.want, r.stderr)
			}
			if strings.Contains(r.stderr, "canary") || strings.Contains(r.stderr, "hunter2") || strings.Contains(r.stderr, "panic") {
				t.Errorf("stderr says too much:\n%s", r.stderr)
			}
		})
	}
}

// TestInterrupted ends a run whose context has ended.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out safeBuffer
	if code := run(ctx, []string{"quota"}, w.env, strings.NewReader(""), &out, &out); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	wants(t, out.String(), "inviteq: interrupted")
}
