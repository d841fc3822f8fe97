// Package postgrestest gives tests a real PostgreSQL of their own. Its programs (initdb,
// postgres) must be installed, on the PATH or where Debian puts them; no server needs to
// run. It brings a driver along, jackc/pgx under the name "pgx".
package postgrestest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// Server is a PostgreSQL that this process has started, on a unix socket in a folder of
// its own.
type Server struct {
	dir string
	bin string
	cmd *exec.Cmd
}

// Start runs a private server until the test ends. It keeps its word as a production
// server does: a commit is on the disk. Without PostgreSQL's programs the test fails.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{}
	err := s.start()
	tb.Cleanup(func() {
		s.Kill()
		if s.dir != "" {
			_ = os.RemoveAll(s.dir)
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *Server) start() (err error) {
	if s.bin, err = binaries(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "inviteq-pg-"); err != nil {
		return err
	}
	if err := give(s.dir); err != nil {
		return err
	}
	initdb := s.command("initdb", "-D", filepath.Join(s.dir, "data"), "-U", "inviteq", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return s.Restart()
}

// binaries is the folder of PostgreSQL's programs: Debian keeps them off the PATH.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if file, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(file), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // The pattern is right.
	if len(found) == 0 {
		return "", errors.New("postgres is missing: run `make test`, which installs it, or `apt-get install postgresql`")
	}
	return filepath.Dir(slices.Max(found)), nil
}

// command is one of PostgreSQL's programs, which refuse to run as root.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	asUser(c)
	return c
}

// URL is what a driver is given, as in sql.Open("pgx", s.URL()).
func (s *Server) URL() string { return "postgres://inviteq@/postgres?sslmode=disable&host=" + s.dir }

// DB returns a new pool of connections, closed when the test ends.
func (s *Server) DB(tb testing.TB) *sql.DB {
	tb.Helper()
	db, err := sql.Open("pgx", s.URL())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Kill ends the server and all of its processes at once, as kill -9 does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Restart starts a killed server again, on the same files, which it recovers.
func (s *Server) Restart() error {
	var out strings.Builder
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s.cmd == nil { // What is left of the last server may take a moment to notice that it is dead.
			s.cmd = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-c", "listen_addresses=", "-c", "shared_buffers=32MB")
			s.cmd.Stdout, s.cmd.Stderr = &out, &out
			if err := s.cmd.Start(); err != nil {
				return err
			}
		}
		if s.ping() == nil {
			return nil
		}
		if s.ended() {
			s.Kill()
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("postgres did not answer; it said: %s", out.String())
		}
	}
}

func (s *Server) ping() error {
	db, err := sql.Open("pgx", s.URL())
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(context.Background())
}
