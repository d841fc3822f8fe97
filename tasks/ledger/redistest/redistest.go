// Package redistest gives tests a real redis-server of their own.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server that this process has started, on a unix socket in a
// folder of its own.
type Server struct {
	Socket  string
	Addr    string // host:port, of a server that StartTCP has started
	dir     string
	command []string // what redis-server is told
	cmd     *exec.Cmd
}

// Start runs a private redis-server until the test ends. Further arguments are
// redis-server's own, such as "--appendonly", "yes".
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s, err := start(args...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.remove)
	return s
}

// Client returns a new client, closed when the test ends.
func (s *Server) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	c := redis.NewClient(s.Options().Simple())
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Options are those of a client of this server.
func (s *Server) Options() *redis.UniversalOptions {
	return &redis.UniversalOptions{Addrs: []string{s.Socket}}
}

// OptionsOf are those of another client of the same server.
func OptionsOf(rdb *redis.Client) *redis.UniversalOptions {
	return &redis.UniversalOptions{Addrs: []string{rdb.Options().Addr}, DB: rdb.Options().DB}
}

// URL is what REDIS_URL would be.
func (s *Server) URL() string { return "unix://" + s.Socket }

// Pid is the process's, for a test that wants to stop or kill it.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Kill ends the server at once, as kill -9 does.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Restart starts a killed server again, on the same socket and files.
func (s *Server) Restart() error { return s.run() }

func start(args ...string) (*Server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is missing: run `make test`, which installs it, or `apt-get install redis-server`")
	}
	dir, err := temporary()
	if err != nil {
		return nil, err
	}
	s := &Server{Socket: filepath.Join(dir, "redis.sock"), dir: dir}
	s.command = append([]string{"--port", "0", "--unixsocket", s.Socket, "--dir", s.dir, "--save", "", "--loglevel", "warning"}, args...)
	if err := s.run(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// temporary makes a folder whose name leaves room for that of a socket.
func temporary() (string, error) { return os.MkdirTemp("", "inviteq-redis-") }

func (s *Server) run() error {
	_ = os.Remove(s.Socket)
	s.cmd = exec.Command("redis-server", s.command...)
	var out strings.Builder
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	dieWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	c := redis.NewClient(s.Options().Simple())
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := c.Ping(context.Background()).Err()
		if _, answers := errors.AsType[redis.Error](err); err == nil || answers && !redis.IsLoadingError(err) {
			return nil // It may want a login.
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("redis-server did not answer: %w; it said: %s", err, out.String())
		}
	}
}

func (s *Server) remove() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
	count  atomic.Int64
	tests  sync.Map // instance → the test that uses it
}

// Shared returns a client of the one server that all tests of a package share.
// The package's TestMain must be Main, which ends the server.
func Shared(tb testing.TB) *redis.Client {
	tb.Helper()
	shared.once.Do(func() { shared.server, shared.err = start() })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.server.Client(tb)
}

// Instance returns a name that no other test of this process uses, so that each
// has keys and queues of its own.
func Instance() string {
	name := fmt.Sprintf("t%d", shared.count.Add(1))
	shared.tests.Store(name, runningTest())
	return name
}

// runningTest names the test function that has called.
func runningTest() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		frame, more := frames.Next()
		name := frame.Function[strings.LastIndex(frame.Function, "/")+1:]
		if _, test, _ := strings.Cut(name, "."); strings.HasPrefix(test, "Test") {
			return test
		}
		if !more {
			return ""
		}
	}
}

// Main runs the tests, checks the steps that invites have taken in them, and ends
// the shared server. Use it in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
func Main(m *testing.M) int {
	defer func() {
		if shared.server != nil {
			shared.server.remove()
		}
	}()
	code := m.Run()
	if code == 0 && shared.server != nil && !sharedSteps() {
		return 1
	}
	return code
}
