package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// aof remembers how long Redis's log was, so that its end can be cut off.
type aof struct {
	mu    sync.Mutex
	sizes []aofSize // the newest last
	dir   string
}

type aofSize struct {
	at   time.Time
	path string
	size int64
}

func watchAOF(t *testing.T, s *redistest.Server) *aof {
	t.Helper()
	a := &aof{dir: strings.TrimSuffix(s.Socket, "redis.sock") + "appendonlydir"}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			a.look()
			pause(ctx, 50*time.Millisecond)
		}
	})
	t.Cleanup(func() { stop(); watching.Wait() })
	return a
}

func (a *aof) look() {
	entries, _ := os.ReadDir(a.dir) // it may not be there yet
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasSuffix(e.Name(), ".incr.aof") {
			a.sizes = append(a.sizes, aofSize{time.Now(), a.dir + "/" + e.Name(), info.Size()})
		}
	}
	a.sizes = a.sizes[max(0, len(a.sizes)-1200):]
}

// cut makes the log as it was some time ago: what appendfsync everysec may lose
// when the power fails. Redis must not run. It returns how it was when.
func (a *aof) cut(t *testing.T, ago time.Duration) (then time.Time) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sizes) == 0 {
		t.Fatal("Redis has no log that could be cut")
	}
	last := a.sizes[len(a.sizes)-1]
	for i := len(a.sizes) - 1; i >= 0; i-- {
		if s := a.sizes[i]; s.path == last.path && time.Since(s.at) >= ago {
			if err := os.Truncate(s.path, s.size); err != nil {
				t.Fatal(err)
			}
			return s.at
		}
	}
	t.Error("Redis had written its log for too short a time to cut it")
	return then
}

// newest is the file that Redis writes to, and how long it is.
func (a *aof) newest(t *testing.T) (path string, size int64) {
	t.Helper()
	a.look()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sizes) == 0 {
		t.Fatal("Redis has no log that could be hurt")
	}
	last := a.sizes[len(a.sizes)-1]
	return last.path, last.size
}

// when is the last time at which the log, which has this size now, was not longer.
func (a *aof) when(size int64, killed time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range slices.Backward(a.sizes) {
		if s.at.Before(killed) && s.size <= size {
			return s.at
		}
	}
	return time.Time{}
}
