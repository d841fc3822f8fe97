package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	code := redistest.Main(m)
	if buildFolder != "" {
		_ = os.RemoveAll(buildFolder) // the system clears its temporary files as well
	}
	os.Exit(code)
}

// world is a Redis, an instance of its own in it, and what the environment says
// about them.
type world struct {
	t        testing.TB
	instance string
	env      []string
	sim      *clerksim.Sim
}

// newWorld has no Clerk yet.
func newWorld(t testing.TB, env ...string) *world {
	t.Helper()
	w := &world{t: t, instance: redistest.Instance()}
	w.env = append([]string{
		"REDIS_URL=unix://" + redistest.Shared(t).Options().Addr,
		"INVITEQ_INSTANCE=" + w.instance,
	}, env...)
	return w
}

// withClerk adds a simulated Clerk that listens on a port of its own.
func (w *world) withClerk(cfg clerksim.Config) *world {
	w.t.Helper()
	var err error
	if w.sim, err = clerksim.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = w.sim.Serve(ctx, l) })
	w.t.Cleanup(func() { stop(); w.sim.Close(); served.Wait() })
	w.env = append(w.env, "CLERK_SECRET_KEY="+clerksim.DefaultSecretKey, "CLERK_API_URL=http://"+l.Addr().String()+"/v1")
	return w
}

// ran is what a run of the program left.
type ran struct {
	code           int
	stdout, stderr string
}

// run runs the program in this process.
func (w *world) run(args ...string) ran { w.t.Helper(); return w.runWith("", args...) }

func (w *world) runWith(stdin string, args ...string) ran {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, args, w.env, strings.NewReader(stdin), &out, &errs)
	return ran{code, out.String(), errs.String()}
}

// ok runs the program, which must exit with 0, and returns what it printed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.code != exitDone {
		w.t.Fatalf("inviteq %q: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// objects parses output of --json.
func objects(t testing.TB, text string) []map[string]any {
	t.Helper()
	var list []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("not a JSON object a line: %v\n%s", err, line)
		}
		list = append(list, o)
	}
	return list
}

// safeBuffer collects what a command in the background writes.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// background is a command that runs until it is told to stop.
type background struct {
	log  *safeBuffer
	stop func() int // returns the exit code
}

// start runs a command in the background until the test ends.
func (w *world) start(args ...string) *background {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{log: &safeBuffer{}}
	code := 0
	var wait sync.WaitGroup
	wait.Go(func() { code = run(ctx, args, w.env, strings.NewReader(""), b.log, b.log) })
	b.stop = func() int { cancel(); wait.Wait(); return code }
	w.t.Cleanup(func() {
		b.stop()
		if w.t.Failed() {
			w.t.Logf("inviteq %q:\n%s", args, b.log)
		}
	})
	return b
}

// startWorker runs a worker.
func (w *world) startWorker(args ...string) *background {
	w.t.Helper()
	b := w.start(append([]string{"worker", "--admin-addr", "127.0.0.1:0"}, args...)...)
	eventually(w.t, "the worker starts", func() bool { return strings.Contains(b.log.String(), "worker starts") })
	return b
}

// eventually waits up to a minute.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// file writes a file and returns its path.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wants checks that each text is in a string.
func wants(t testing.TB, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%q is missing in:\n%s", text, got)
		}
	}
}
