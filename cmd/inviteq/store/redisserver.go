package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a redis-server of our own, on a unix socket in the folder.
type redisServer struct {
	socket string
	ended  chan struct{} // closed when the process has ended
	log    string
}

// longestSocket is how long the path of a unix socket may be on every system.
const longestSocket = 100

func socketIn(dir string) string { return filepath.Join(dir, "redis.sock") }

// appendOnly are the names of what a redis-server leaves in the folder, since version
// 7 and before.
var appendOnly = []string{"appendonlydir", "appendonly.aof"}

// A redis-server is asked every so often whether it has read its files, for so long.
const (
	askEvery    = 20 * time.Millisecond
	loadsAtMost = 2 * time.Minute
	stopsAtMost = 20 * time.Second
)

// startServer starts one, and waits until it answers.
func startServer(ctx context.Context, dir string) (*redisServer, error) {
	s := &redisServer{socket: socketIn(dir), ended: make(chan struct{}), log: filepath.Join(dir, "redis.log")}
	ctx, cancel := context.WithTimeout(ctx, loadsAtMost)
	defer cancel()
	// The server of a process that was killed may be there still, and two on the same
	// files would spoil them.
	if err := s.end(ctx); err != nil {
		return nil, err
	}
	_ = os.Remove(s.log)                                                                                                                           // of the last run
	command := exec.CommandContext(context.WithoutCancel(ctx), "redis-server", "--port", "0", "--unixsocket", s.socket, "--unixsocketperm", "700", //nolint:gosec // the path is ours
		"--dir", dir, "--logfile", s.log, "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "0")
	ownGroup(command)
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = command.Wait() // its log says why
		close(s.ended)
	}()
	rdb := s.client()
	defer rdb.Close()
	for rdb.Ping(ctx).Err() != nil {
		select {
		case <-time.After(askEvery):
		case <-s.ended:
			return nil, s.err()
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), s.stop())
		}
	}
	return s, nil
}

func (s *redisServer) connect(o *redis.UniversalOptions) { o.Addrs = []string{s.socket} }

func (s *redisServer) done() <-chan struct{} { return s.ended }

func (s *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
}

// end tells the server in the folder to end, if there is one, until it does not answer
// any more. Every write is on disk already.
func (s *redisServer) end(ctx context.Context) error {
	rdb := s.client()
	defer rdb.Close()
	for {
		err := rdb.ShutdownNoSave(ctx).Err()
		if _, answered := errors.AsType[redis.Error](err); !answered && rdb.Ping(ctx).Err() != nil {
			return nil
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return errors.New("redis-server does not end")
		}
	}
}

// stop ends it. The error is what ended it before.
func (s *redisServer) stop() error {
	select {
	case <-s.ended:
		return s.err()
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopsAtMost)
	defer cancel()
	if err := s.end(ctx); err != nil {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return errors.New("redis-server does not end")
	}
}

// err says why the server has ended, as it said itself.
func (s *redisServer) err() error {
	text, _ := os.ReadFile(s.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("redis-server has ended; the end of its log (%s): %s", s.log, strings.Join(lines[max(0, len(lines)-3):], " / "))
}
