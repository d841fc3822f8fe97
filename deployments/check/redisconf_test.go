package check

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// redisServer finds redis-server. It is found or installed by `make
// deployments`, so its absence is a failure and never a skip.
func redisServer(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is missing: run .ci/need redis-server")
	}
	return path
}

// startRedis runs the shipped redis.conf on a Unix socket and returns a function
// that sends it one command and returns the answer of redis-cli.
func startRedis(t *testing.T, dir string) (ask func(args ...string) (string, error), server *process) {
	t.Helper()
	// A socket's path may have 100 bytes or so; a test's folder is often longer.
	socketDir, err := os.MkdirTemp("", "iq")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(socketDir) })
	socket := filepath.Join(socketDir, "redis")
	config, err := filepath.Abs(filepath.Join(root, "deployments/redis.conf"))
	if err != nil {
		t.Fatal(err)
	}
	server = run(t, os.Environ(), redisServer(t), config,
		"--dir", dir, "--port", "0", "--unixsocket", socket)
	ask = func(args ...string) (string, error) {
		answer, err := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-s", socket}, args...)...).CombinedOutput()
		text := strings.TrimSpace(string(answer))
		if err != nil {
			return text, fmt.Errorf("redis-cli %q: %w: %s", args, err, text)
		}
		return text, nil
	}
	eventually(t, "redis-server with redis.conf", func() error {
		answer, err := ask("ping")
		if err == nil && answer != "PONG" {
			err = fmt.Errorf("ping answered %q", answer)
		}
		return err
	})
	return ask, server
}

func TestRedisConfIsTakenAsWritten(t *testing.T) {
	ask, server := startRedis(t, t.TempDir())
	for line := range bytes.Lines(read(t, "deployments/redis.conf")) {
		name, want, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		want = strings.Trim(want, `"`)
		answer, err := ask("config", "get", name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, got, _ := strings.Cut(answer, "\n")
		if strings.HasSuffix(want, "mb") { // Redis answers in bytes.
			got = strings.TrimSuffix(got, "\r")
			var bytes int
			if _, err := fmt.Sscanf(got, "%d", &bytes); err != nil {
				t.Errorf("%s = %q, want a number of bytes", name, got)
			}
			got = fmt.Sprintf("%dmb", bytes>>20)
		}
		if got != want {
			t.Errorf("%s = %q in the running server, want %q", name, got, want)
		}
	}
	for _, word := range []string{"FATAL", "Bad directive", "deprecated"} {
		if strings.Contains(server.String(), word) {
			t.Errorf("redis-server complains (%s):\n%s", word, server)
		}
	}
}

func TestRedisConfKeepsWhatWasAccepted(t *testing.T) {
	dir := t.TempDir()
	ask, server := startRedis(t, dir)
	if answer, err := ask("set", "promise", "kept"); err != nil || answer != "OK" {
		t.Fatalf("set = %q, %v", answer, err)
	}
	server.kill()
	ask, _ = startRedis(t, dir)
	if answer, err := ask("get", "promise"); err != nil || answer != "kept" {
		t.Errorf("after a crash, get = %q, %v; want kept", answer, err)
	}
}

func TestRedisConfRefusesRatherThanEvicts(t *testing.T) {
	ask, _ := startRedis(t, t.TempDir())
	if _, err := ask("set", "promise", "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := ask("config", "set", "maxmemory", "1mb"); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 64<<10)
	var refusal string
	for i := range 64 {
		answer, err := ask("set", fmt.Sprintf("filler:%d", i), value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(answer, "OOM") {
			refusal = answer
			break
		}
	}
	if refusal == "" {
		t.Error("a full Redis took 4 MB of writes beyond its maxmemory of 1 MB")
	}
	if answer, err := ask("get", "promise"); err != nil || answer != "kept" {
		t.Errorf("in a full Redis, get = %q, %v; want kept", answer, err)
	}
}
