package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// aKey is a setting for INVITEQ_ENCRYPTION_KEY.
func aKey(n byte) string {
	key := []byte("0123456789abcdef0123456789abcdef")
	key[0] = n
	return base64.StdEncoding.EncodeToString(key)
}

// memory goes through what a process has in memory, as its dump would.
func memory(t *testing.T, pid int, look func(where string, part []byte)) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	must(t, err)
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	must(t, err)
	defer mem.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "rw") {
			continue
		}
		part := make([]byte, to-from)
		if _, err := mem.ReadAt(part, int64(from)); err == nil || err == io.EOF {
			look("memory "+lines.Text(), part)
		}
	}
}

// TestEncryptedNowhereInTheClear lets the program do all kinds of things for people whose
// addresses hold a canary, and looks for it in everything that Redis has: its files, its
// keys and its memory.
func TestEncryptedNowhereInTheClear(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--slowlog-log-slower-than", "0")
	w := newWorld(t).withClerk(clerksim.Config{})
	w.env = append(w.env, "REDIS_URL="+server.URL(), "INVITEQ_ENCRYPTION_KEY="+aKey(1))
	worker := w.startWorker()
	w.ok("invite", "sent@canary.example", "--id", "sent", "--wait")
	w.ok("invite", "twice@canary.example", "--ignore-existing", "--metadata", `{"note":"canary"}`, "--wait")
	w.ok("import", file(t, "list.csv", "email_address,note\na@canary.example,canary\nb@canary.example,canary\nb@canary.example,again\n"), "--skip-invalid", "--wait")
	w.ok("revoke", "sent@canary.example", "--wait")
	w.ok("renew", "twice@canary.example")
	token := strings.TrimSpace(w.ok("api", "token", "create", "backend"))
	served := w.start("api", "--api-addr", "127.0.0.1:0")
	eventually(t, "the API listens", func() bool {
		return strings.Contains(served.log.String(), `"addr":"`) || strings.Contains(served.log.String(), `"api":"`)
	})
	_, rest, _ := strings.Cut(served.log.String(), "127.0.0.1:")
	port, _, _ := strings.Cut(rest, `"`)
	for _, body := range []string{`{"email_address":"api@canary.example","public_metadata":{"note":"canary"}}`, `{"email_address":"api2@canary.example"}`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/v1/invitations", strings.NewReader(body))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", fmt.Sprint("order-", len(body)))
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("got %s", resp.Status)
		}
	}
	if worker.stop() != exitDone {
		t.Error("the worker failed")
	}
	w.ok("pause")
	w.ok("invite", "waits@canary.example", "--id", "waits")
	w.ok("revoke", "stranger@canary.example")
	wants(t, w.ok("status", "waits@canary.example"), "waits@canary.example", "queued")
	wants(t, w.ok("list"), "twice@canary.example", "api2@canary.example")
	w.ok("forget", "a@canary.example", "--yes")

	rdb := server.Client(t)
	must(t, rdb.Save(t.Context()).Err())
	look := func(where string, part []byte) {
		t.Helper()
		if n := bytes.Index(bytes.ToLower(part), []byte("canary")); n >= 0 {
			t.Errorf("it stands in %s: %q", where, part[max(0, n-60):min(len(part), n+60)])
		}
	}
	files := 0
	must(t, filepath.WalkDir(filepath.Dir(server.Socket), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		look(path, b)
		return err
	}))
	if files < 3 {
		t.Errorf("Redis has written %d files", files)
	}
	memory(t, server.Pid(), look)
	for _, log := range []string{worker.log.String(), served.log.String()} {
		look("a log", []byte(log))
	}

	// Who has no key, or another one, is told what is missing, and nothing happens.
	for _, tc := range []struct{ key, says string }{{"", "INVITEQ_ENCRYPTION_KEY"}, {aKey(2), "is needed, and the given one is"}} {
		other := &world{t: t, env: append(w.env, "INVITEQ_ENCRYPTION_KEY="+tc.key)}
		for _, args := range [][]string{{"worker", "--admin-addr", "off"}, {"invite", "late@canary.example"}, {"status"}, {"rekey"}} {
			if r := other.run(args...); r.code == exitDone || !strings.Contains(r.stderr, tc.says) || strings.Contains(r.stderr, aKey(1)) {
				t.Errorf("inviteq %q with the key %q: %d %s", args, tc.key, r.code, r.stderr)
			}
		}
	}
	for _, bad := range []string{"secret", strings.Repeat("A", 43) + "=", aKey(1) + ",short"} {
		other := &world{t: t, env: append(w.env, "INVITEQ_ENCRYPTION_KEY="+bad)}
		if r := other.run("status"); r.code != exitUsage || !strings.Contains(r.stderr, "INVITEQ_ENCRYPTION_KEY: ") || !strings.Contains(r.stderr, "openssl rand -base64 32") || strings.Contains(r.stderr, bad) {
			t.Errorf("with a bad key: %d %s", r.code, r.stderr)
		}
	}
	// A new key, while everything runs that has both.
	w.env = append(w.env, "INVITEQ_ENCRYPTION_KEY="+aKey(3)+","+aKey(1))
	w.startWorker()
	wants(t, w.ok("rekey"), "no longer with")
	w.ok("resume")
	w.ok("invite", "after@canary.example", "--wait")
	if r := w.run("rekey", "--anew"); r.code != exitFailed || !strings.Contains(r.stderr, "workers are running") {
		t.Errorf("beside a worker: %d %s", r.code, r.stderr)
	}
}
