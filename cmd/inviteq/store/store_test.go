package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	os.Exit(m.Run())
}

// quiet swallows what go-redis says of connections that end with their server.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// open opens a folder until the test ends, or close is called.
func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.lock.Locked() {
			_ = s.Close()
		}
	})
	return s
}

func (s *Store) client(t testing.TB) redis.UniversalClient {
	t.Helper()
	o, err := s.Options()
	if err != nil {
		t.Fatal(err)
	}
	rdb := redisconn.New(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// both runs a test with each backend.
func both(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	for name, path := range map[string]string{"redis-server": os.Getenv("PATH"), "embedded": ""} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", path)
			dir, err := os.MkdirTemp("", "iq") //nolint:usetesting // the test's own is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			f(t, filepath.Join(dir, "a", "b"))
		})
	}
}

// TestStore: what was written is there again, under a lock, in a folder that nobody
// else may enter; and an orderly end is told from another.
func TestStore(t *testing.T) {
	both(t, func(t *testing.T, dir string) {
		s := open(t, dir)
		if !s.Orderly {
			t.Error("a new folder is said to have been left in disorder")
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the folder has the mode %v, %v", info.Mode(), err)
		}
		if _, err := Open(t.Context(), dir); !errors.Is(err, ErrBusy) {
			t.Errorf("a second one: %v, want ErrBusy", err)
		}
		rdb := s.client(t)
		first, err := redisconn.Identify(t.Context(), rdb, "")
		if err != nil || !first.Known {
			t.Fatalf("got %+v, %v", first, err)
		}
		if err := rdb.Set(t.Context(), "a", "1\x00\n", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		rdb = s.client(t)
		if got := rdb.Get(t.Context(), "a").Val(); got != "1\x00\n" || !s.Orderly {
			t.Errorf("got %q, orderly %t", got, s.Orderly)
		}
		again, err := redisconn.Identify(t.Context(), rdb, "")
		if err != nil || again.RunID == first.RunID {
			t.Errorf("the next one is taken for the same server: %v", err)
		}
		_ = s.lock.Close() // as if the process had been killed
		if embedded, ok := s.backend.(*embedded); ok {
			_ = embedded.journal.file.Close()
		}
		if next := open(t, dir); next.Orderly || next.client(t).Get(t.Context(), "a").Val() == "" {
			t.Error("a kill is taken for an orderly end, or has lost something")
		}
	})
}

// TestOtherBackend: a folder stays with what has begun it.
func TestOtherBackend(t *testing.T) {
	dir, path := t.TempDir(), os.Getenv("PATH")
	t.Setenv("PATH", "")
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	s := open(t, dir)
	if _, ok := s.backend.(*embedded); !ok {
		t.Errorf("a journal is continued by %T", s.backend)
	}
	_ = s.Close()
	if err := errors.Join(os.Remove(filepath.Join(dir, journalName)), os.Mkdir(filepath.Join(dir, appendOnly[0]), 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "put that on the PATH again") {
		t.Errorf("without redis-server: %v", err)
	}
}

// openJournal opens the embedded one.
func openJournal(t testing.TB, dir string) (*Store, *embedded) {
	t.Helper()
	t.Setenv("PATH", "")
	s := open(t, dir)
	e, ok := s.backend.(*embedded)
	if !ok {
		t.Fatalf("got a %T", s.backend)
	}
	return s, e
}

// dumped is what it holds, in an order.
func (e *embedded) dumped() []string {
	var all []string
	for _, words := range e.dump() {
		if words[0] == "ZADD" || words[0] == "HSET" {
			slices.Sort(words[2:])
		}
		if words[0] == "PEXPIRE" {
			words = words[:2]
		}
		all = append(all, fmt.Sprintf("%q", words))
	}
	slices.Sort(all)
	return all
}

// work does what a ledger does, with scripts that ask for the time and make ids of
// events, and asynq's own.
func work(t testing.TB, rdb redis.UniversalClient, limits ledger.Limits, from, to int) {
	t.Helper()
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Beat(t.Context(), ledger.Now, "a"); err != nil {
		t.Fatal(err)
	}
	for n := from; n < to; n++ {
		email, err := tasks.ParseEmail(fmt.Sprintf("person.%d@example.com", n))
		if err != nil {
			t.Fatal(err)
		}
		i := tasks.Invite{ID: fmt.Sprintf("i%d", n), EmailAddress: email, Lane: tasks.Import, ImportID: "imp"}
		if _, _, err := l.Admit(t.Context(), ledger.Now, []tasks.Invite{i}); err != nil {
			t.Fatal(err)
		}
		if n%10 == 9 {
			turn, err := l.Turn(t.Context(), ledger.Now, fmt.Sprintf("t%d", n))
			if err != nil {
				t.Fatal(err)
			}
			if len(turn.Batch) == 0 {
				t.Fatalf("no turn: %+v", turn)
			}
		}
	}
	if err := rdb.Set(t.Context(), "lease", "1", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]any{{"LPUSH", "list", "a", "b"}, {"RPOPLPUSH", "list", "other"}, {"SADD", "set", "\xff\x00"}, {"HDEL", "none", "f"}} {
		if err := rdb.Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJournal: at any moment the journal holds what memory holds, made anew or not.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	s, e := openJournal(t, dir)
	rdb := s.client(t)
	for round := range 3 {
		work(t, rdb, ledger.Limits{Bulk: ledger.Limit{Calls: 1000, Window: time.Hour}}, round*30, round*30+30)
		want := e.dumped()
		if len(want) < 10 {
			t.Fatalf("there is nothing to compare: %q", want)
		}
		copied := t.TempDir()
		text, err := os.ReadFile(filepath.Join(dir, journalName))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, journalName), text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, other := openJournal(t, copied)
		if diff := cmp.Diff(want, other.dumped()); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
		if ttl := other.mini.TTL("lease"); ttl <= 0 || ttl > time.Minute {
			t.Errorf("the lease ends in %s", ttl)
		}
		if round == 1 {
			e.mu.Lock()
			if err := e.renew(); err != nil {
				t.Fatal(err)
			}
			e.mu.Unlock()
		}
	}
	for _, words := range []string{"MULTI", "BLPOP list 0", "SELECT 1"} {
		if err := rdb.Do(t.Context(), anys(strings.Fields(words))...).Err(); err == nil || !strings.Contains(err.Error(), "not served") {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func anys(words []string) []any {
	var all []any
	for _, w := range words {
		all = append(all, w)
	}
	return all
}

// TestLeaseEnds: what runs out while nobody is there has run out.
func TestLeaseEnds(t *testing.T) {
	dir := t.TempDir()
	s, _ := openJournal(t, dir)
	if err := s.client(t).Set(t.Context(), "lease", "1", 30*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-time.After(50 * time.Millisecond)
	s, _ = openJournal(t, dir)
	if n := s.client(t).Exists(t.Context(), "lease").Val(); n != 0 {
		t.Error("the lease is still held")
	}
}

// TestTornJournal cuts the journal at every byte of its last steps, and damages it: what
// is read is what was written before, and it is told that something is amiss.
func TestTornJournal(t *testing.T) {
	dir := t.TempDir()
	s, e := openJournal(t, dir)
	rdb := s.client(t)
	var ends []int64
	for n := range 4 {
		if err := rdb.Set(t.Context(), "n", n, 0).Err(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, e.journal.size)
	}
	text, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	read := func(text []byte) (last string, whole bool) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, journalName), text, 0o600); err != nil {
			t.Fatal(err)
		}
		whole, err := readJournal(dir, func(s step) { last = s.Commands[0][2] })
		if err != nil {
			t.Fatal(err)
		}
		return last, whole
	}
	for cut := ends[1]; cut <= ends[3]; cut++ {
		want := "1"
		if cut >= ends[2] {
			want = "2"
		}
		if cut == ends[3] {
			want = "3"
		}
		if last, whole := read(text[:cut]); last != want || whole != slices.Contains(ends, cut) {
			t.Errorf("cut at %d of %d: got %s, whole %t", cut, ends[3], last, whole)
		}
	}
	for at := ends[1]; at < ends[2]; at++ {
		damaged := slices.Clone(text)
		damaged[at] ^= 0x40
		if last, whole := read(damaged); last != "1" || whole {
			t.Errorf("damaged at %d: got %s, whole %t", at, last, whole)
		}
	}
	s, _ = openJournal(t, dir)
	if s.Orderly {
		t.Error("a damaged journal is taken for a whole one")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte("inviteq journal 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "is no journal of this version") {
		t.Errorf("a journal of another version: %v", err)
	}
}

// TestFullDisk: when the journal cannot be written, nothing is answered any more, since
// what memory holds would be believed.
func TestFullDisk(t *testing.T) {
	s, e := openJournal(t, t.TempDir())
	rdb := s.client(t)
	if err := rdb.Set(t.Context(), "a", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_ = e.journal.file.Close() // as good as full
	for _, words := range []string{"SET a 2", "GET a"} {
		if err := rdb.Do(t.Context(), anys(strings.Fields(words))...).Err(); err == nil || !strings.Contains(err.Error(), "cannot write to its disk") {
			t.Errorf("%s: %v", words, err)
		}
	}
	select {
	case <-s.Done():
	default:
		t.Error("it is not told that it has ended")
	}
	if err := s.Close(); err == nil {
		t.Error("closed as if nothing had happened")
	}
	if exists(s.dir, closed) {
		t.Error("it is taken for an orderly end")
	}
}

// BenchmarkAdmitAndTurn is how many are admitted and claimed in a second, each step on
// disk.
func BenchmarkAdmitAndTurn(b *testing.B) {
	for name, path := range map[string]string{"redis-server": os.Getenv("PATH"), "embedded": ""} {
		b.Run(name, func(b *testing.B) {
			b.Setenv("PATH", path)
			dir, err := os.MkdirTemp("", "iq") //nolint:usetesting // the test's own is too long for a socket
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(dir)
			rdb := open(b, dir).client(b)
			n := 0
			for b.Loop() {
				work(b, rdb, ledger.Limits{}, n, n+10)
				n += 10
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "invites/s")
		})
	}
}
