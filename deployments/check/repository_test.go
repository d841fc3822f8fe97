package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is the top of the repository, relative to this package.
const root = "../.."

// read returns a file of the repository.
func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// buildFolder is where the program is built; it is removed after the tests.
var buildFolder string

// buildOnce builds the program once for all tests of this package.
var buildOnce = sync.OnceValues(func() (string, error) {
	program := filepath.Join(buildFolder, "inviteq")
	build := exec.Command("go", "build", "-o", program, "./cmd/inviteq")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(output)))
	}
	return program, nil
})

// program returns the path of an inviteq binary built from this repository.
func program(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatalf("building inviteq: %v", err)
	}
	return path
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if buildFolder, err = os.MkdirTemp("", "inviteq-check-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(buildFolder)
		return m.Run()
	}())
}

// process is a program that runs for the length of a test.
type process struct {
	*transcript
	command *exec.Cmd
}

// kill ends the process as a crash would (SIGKILL) and waits until it is gone.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// run starts a process that ends with the test.
func run(t *testing.T, environment []string, name string, args ...string) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, name, args...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	command.Env = environment
	output := &transcript{}
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = command.Wait() // it was told to end
		if t.Failed() {
			t.Logf("%s %q printed:\n%s", filepath.Base(name), args, output)
		}
	})
	return &process{transcript: output, command: command}
}

// transcript collects what a process prints.
type transcript struct {
	mu   sync.Mutex
	text []byte
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	return len(p), nil
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// eventually retries until done returns nil, and fails the test with the last
// error after ten seconds.
func eventually(t *testing.T, what string, done func() error) {
	t.Helper()
	eventuallyWithin(t, 10*time.Second, what, done)
}

func eventuallyWithin(t *testing.T, patience time.Duration, what string, done func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// freePort returns a loopback port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
