// Package store keeps the ledger of one process in one folder, for people who have no
// Redis. It runs a private redis-server if there is one on the PATH, and keeps a journal
// of an embedded one otherwise. In both every write is on disk before it is answered.
//
// The folder belongs to one process at a time: a lock sees to that, which ends with the
// process however it ends. What a process leaves behind that was killed is complete up
// to its last answered write; the next one goes on from there.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/redisconn"
)

// ErrBusy says that another process has the folder.
var ErrBusy = errors.New("another process works with this folder")

// Store is an open folder.
type Store struct {
	// Orderly is true if the process before this one closed the folder, or there was
	// none: then nothing can have been forgotten.
	Orderly bool

	dir     string
	lock    *flock.Flock
	backend backend
}

// backend is what holds the ledger.
type backend interface {
	connect(o *redis.UniversalOptions) // makes the options lead to it
	done() <-chan struct{}             // closed when it has ended before it was told to
	err() error                        // why that was
	stop() error                       // ends it; the error is also one that ended it before
}

// closed is the file that tells of an orderly end. It is there only while nobody has
// the folder open.
const closed = "closed"

// Open makes the folder, for nobody else to read, takes its lock, and starts what
// keeps the ledger in it. The error is ErrBusy if another process has the lock.
func Open(ctx context.Context, dir string) (_ *Store, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder that nobody else may enter
		return nil, err
	}
	s := &Store{dir: dir, lock: flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))}
	locked, err := s.lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, ErrBusy
	}
	defer func() {
		if err != nil {
			_ = s.lock.Close() // the process that failed has written nothing
		}
	}()
	s.Orderly = !exists(dir, journalName) && !exists(dir, appendOnly...) || exists(dir, closed)
	if err := os.Remove(filepath.Join(dir, closed)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// From here on a crash is told from an orderly end.
	if err := syncFolder(dir); err != nil {
		return nil, err
	}
	return s, s.start(ctx)
}

// start starts what has begun the folder, or the better one if it is new.
func (s *Store) start(ctx context.Context) error {
	_, err := exec.LookPath("redis-server")
	usable := err == nil && len(socketIn(s.dir)) <= longestSocket
	switch {
	case exists(s.dir, appendOnly...):
		if !usable {
			return errors.New("it was begun with a redis-server: put that on the PATH again")
		}
	case exists(s.dir, journalName), !usable:
		e, whole, err := openEmbedded(s.dir)
		s.backend, s.Orderly = e, s.Orderly && whole
		return err
	}
	s.backend, err = startServer(ctx, s.dir)
	return err
}

// exists reports whether the folder has one of the files.
func exists(dir string, names ...string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// syncFolder puts on disk which files a folder has.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Options are those of a client of the ledger.
func (s *Store) Options() (*redis.UniversalOptions, error) {
	o, err := redisconn.Parse("", redisconn.Files{})
	if err != nil {
		return nil, err
	}
	s.backend.connect(o)
	o.ClientName = "inviteq"
	return o, nil
}

// Done is closed when the store has ended before it was told to.
func (s *Store) Done() <-chan struct{} { return s.backend.done() }

// Err says why that was.
func (s *Store) Err() error { return s.backend.err() }

// Close puts everything on disk, and gives the folder back.
func (s *Store) Close() error {
	err := s.backend.stop()
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, closed), nil, 0o600)
	}
	if err == nil {
		err = syncFolder(s.dir)
	}
	if err != nil {
		err = fmt.Errorf("close %s: %w", s.dir, err)
	}
	return errors.Join(err, s.lock.Close())
}
