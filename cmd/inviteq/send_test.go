package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/cmd/inviteq/store"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// sender is the real program on a machine with a list and no Redis, and a simulated
// Clerk beside it.
type sender struct {
	*binary
	sim  *process
	addr string
}

// newSender starts the simulated Clerk, whose hour takes four seconds.
func newSender(t *testing.T, path string, faults ...string) *sender {
	t.Helper()
	s := &sender{binary: buildBinary(t)}
	s.env = append(s.env, "PATH="+path)
	s.env = append(s.env, "XDG_STATE_HOME="+shortFolder(t), "CLERK_SECRET_KEY="+clerksim.DefaultSecretKey,
		"INVITEQ_LIMIT_SINGLE=100/4s", "INVITEQ_LIMIT_BULK=25/4s", "INVITEQ_LIMIT_OTHER=1000/1s", "INVITEQ_REQUEST_TIMEOUT=1s")
	args := []string{"clerksim", "--addr", "127.0.0.1:0", "--limits", "single=100/4s,bulk=25/4s,other=1000/1s", "--latency", "100ms/300ms"}
	for _, fault := range faults {
		args = append(args, "--fault", fault)
	}
	s.sim = s.start(args...)
	eventually(t, "the simulated Clerk listens", func() bool { return strings.Contains(s.sim.log.String(), "/v1") })
	_, rest, _ := strings.Cut(s.sim.log.String(), "at http://")
	s.addr, _, _ = strings.Cut(rest, "/v1")
	s.env = append(s.env, "CLERK_API_URL=http://"+s.addr+"/v1")
	return s
}

// shortFolder is a folder whose name leaves room for that of a socket.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "iq") //nolint:usetesting // the test's own is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// invited counts the invitations of Clerk's list by address.
func (s *sender) invited(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for offset := 0; ; offset += 500 {
		page := invitations(t, s.addr, offset)
		for _, address := range page {
			count[address]++
		}
		if len(page) < 500 {
			return count
		}
	}
}

// good waits for the end of a process, which must be good.
func (p *process) good(t *testing.T, within time.Duration) {
	t.Helper()
	late := time.AfterFunc(within, func() { _ = p.Process.Kill() })
	defer late.Stop()
	if err := p.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
}

// TestSendKilled kills inviteq send twice in the middle, while Clerk loses answers. The
// third time it comes to its end, and each person has one mail.
func TestSendKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	withAndWithoutRedis(t, func(t *testing.T, path string) { killSend(t, path, "email", 0, 3*time.Minute) })
}

// withAndWithoutRedis runs a test with a redis-server on the PATH, and with none.
func withAndWithoutRedis(t *testing.T, f func(t *testing.T, path string)) {
	t.Helper()
	t.Parallel()
	for name, path := range map[string]string{"redis-server": os.Getenv("PATH"), "embedded": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, path)
		})
	}
}

// killSend sends a list of 700 people, of whom some have ignore_existing.
func killSend(t *testing.T, path, header string, again int, within time.Duration) {
	t.Helper()
	s := newSender(t, path, "bulk_create/drop-after:8%", "create/drop-after:4%")
	const people = 700
	var list strings.Builder
	fmt.Fprintf(&list, "%s\n", header)
	for n := range people {
		fmt.Fprintf(&list, "person.%d@example.com", n)
		if strings.Contains(header, "ignore_existing") {
			fmt.Fprintf(&list, ",%t", n < again)
		}
		list.WriteString("\n")
	}
	team, outcomes := file(t, "team.csv", list.String()), filepath.Join(t.TempDir(), "outcomes.csv")
	for _, mails := range []int{150, 350} {
		run := s.start("send", team, "--yes")
		eventually(t, fmt.Sprintf("%d are invited", mails), func() bool { return len(s.invited(t)) >= mails })
		second := s.start("send", team, "--yes")
		if err := second.Wait(); err == nil || !strings.Contains(second.log.String(), "another inviteq send is running with this key") {
			t.Errorf("a second run beside the first: %v\n%s", err, second.log)
		}
		run.end(syscall.SIGKILL)
	}
	if done := len(s.invited(t)); done == people {
		t.Error("it was not killed in the middle")
	}
	run := s.start("send", team, "--report", outcomes, "--yes")
	run.good(t, within)
	wants(t, run.log.String(), "team.csv was begun before: ", "of 700 are settled", "pending      700")

	count := s.invited(t)
	for n := range people {
		if address := fmt.Sprintf("person.%d@example.com", n); count[address] != 1 {
			t.Errorf("%s has %d invitations", address, count[address])
		}
	}
	f, err := os.Open(outcomes)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != people+1 {
		t.Fatalf("the report has %d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		if row[2] != "pending" || !strings.HasPrefix(row[5], "inv_") {
			t.Errorf("the report says %q", row)
		}
	}

	// The same again is known, and sends nothing.
	run = s.start("send", team, "--yes")
	run.good(t, 20*time.Second)
	wants(t, run.log.String(), "700 of 700 are settled")
	s.sim.end(syscall.SIGTERM)
	wants(t, s.sim.log.String(), " 700 e-mails", "at most 1 for one address")
}

// TestSendRetry: a row that was given up is sent when it is asked for, and no other.
func TestSendRetry(t *testing.T) {
	t.Parallel()
	s := newSender(t, t.TempDir(), "create/overload:0s..15s")
	team := file(t, "team.csv", "email,deadline\nada@example.com,"+time.Now().Add(time.Second).UTC().Format(time.RFC3339)+"\n")
	run := s.start("send", team, "--yes")
	if err := run.Wait(); err == nil {
		t.Fatalf("it is good\n%s", run.log)
	}
	wants(t, run.log.String(), "failed", "too_old", "--retry` tries those again that have failed or are parked.")
	run = s.start("send", team, "--yes", "--retry")
	run.good(t, time.Minute)
	wants(t, run.log.String(), "too_old", "1 invite queued again", "pending        1")
	run = s.start("send", team, "--yes", "--retry")
	run.good(t, time.Minute)
	wants(t, run.log.String(), "0 invites queued again", "pending        1")
	if count := s.invited(t); count["ada@example.com"] != 1 {
		t.Errorf("got %d invitations", count["ada@example.com"])
	}
}

// TestSoakSend kills it where the list has ignore_existing, so that nothing but the mark
// tells whether a call that was cut off has invited the person, and only once it cannot
// be carried out any more.
func TestSoakSend(t *testing.T) {
	if os.Getenv("INVITEQ_SOAK") != "1" {
		t.Skip("takes up to twenty minutes: make soak")
	}
	withAndWithoutRedis(t, func(t *testing.T, path string) { killSend(t, path, "email,ignore_existing", 300, 40*time.Minute) })
}

// TestSendInterrupted ends it with Ctrl-C twice, while answers are lost to people who
// have ignore_existing: calls under way are finished, and the next run goes on.
func TestSendInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	withAndWithoutRedis(t, interruptSend)
}

func interruptSend(t *testing.T, path string) {
	t.Helper()
	s := newSender(t, path, "bulk_create/drop-after:8%")
	var list strings.Builder
	list.WriteString("email;ignore_existing\n")
	for n := range 300 {
		fmt.Fprintf(&list, "person.%d@example.com;ja\n", n)
	}
	team := file(t, "Gäste.csv", list.String())
	for _, mails := range []int{50, 150} {
		run := s.start("send", team, "--yes")
		eventually(t, fmt.Sprintf("%d are invited", mails), func() bool { return len(s.invited(t)) >= mails })
		if err := run.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := run.Wait(); err == nil || run.ProcessState.ExitCode() != exitFailed {
			t.Errorf("it ended with %v", err)
		}
		wants(t, run.log.String(), "Stopping; calls to Clerk that are under way are finished first", "of 300 are settled. To go on: `inviteq send "+team+"`", "interrupted")
	}
	run := s.start("send", team, "--yes", "--json")
	run.good(t, time.Minute)
	for address, n := range s.invited(t) {
		if n != 1 {
			t.Errorf("%s has %d invitations", address, n)
		}
	}
	s.sim.end(syscall.SIGTERM)
	wants(t, s.sim.log.String(), " 300 e-mails", "at most 1 for one address")
}

// TestSendOtherList: a list that was not finished waits while another is sent, and goes
// on when it is sent again.
func TestSendOtherList(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	t.Parallel()
	s := newSender(t, t.TempDir())
	list := func(name string, people int) string {
		var list strings.Builder
		list.WriteString("Work mail\n")
		for n := range people {
			fmt.Fprintf(&list, "%s.%d@example.com\n", name, n)
		}
		return file(t, name+".csv", list.String())
	}
	column := "--column=email_address=Work mail"
	wrong, right := list("wrong", 300), list("right", 40)
	run := s.start("send", wrong, "--yes", column)
	eventually(t, "it has begun", func() bool { return len(s.invited(t)) >= 20 })
	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait()
	wants(t, run.log.String(), "wrong.csv --column 'email_address=Work mail'`")
	before := len(s.invited(t))

	run = s.start("send", right, "--yes", column)
	run.good(t, 30*time.Second)
	wants(t, run.log.String(), "wrong.csv was not finished: ", " of 300 rows wait until it is sent again", "pending       40")
	if got := len(s.invited(t)); got != before+40 || before == 300 {
		t.Errorf("%d invitations, want 40 more than %d", got, before)
	}

	run = s.start("send", wrong, "--yes", column)
	run.good(t, time.Minute)
	if got := len(s.invited(t)); got != 340 {
		t.Errorf("%d invitations in the end, want 340", got)
	}
}

// TestSendMark: there is no other worker, so that every call carries the mark from the
// first one on; and it is there only for a list that needs it, or by request.
func TestSendMark(t *testing.T) {
	state := t.TempDir()
	w := newWorld(t, "XDG_STATE_HOME="+state).withClerk(clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited}})
	t.Setenv("PATH", "") // no redis-server
	for n, c := range []struct {
		header, row string
		flags       []string
		key         string
	}{
		{"email", "", nil, ""},
		{"email,ignore_existing", ",true", nil, "inviteq_id"},
		{"email,ignore_existing", ",no", nil, ""},
		{"email,ignore_existing", ",true", []string{"--mark", "ours"}, "ours"},
		{"email,ignore_existing", ",true", []string{"--mark", "none"}, ""},
	} {
		address := fmt.Sprintf("ada.%d@example.com", n)
		path := file(t, "list.csv", c.header+"\n"+address+c.row+"\n")
		w.ok(append([]string{"send", path, "--yes", "--limit-single", "none", "--limit-bulk", "none"}, c.flags...)...)
		i := slices.IndexFunc(w.sim.Invitations(), func(i clerksim.Invitation) bool { return i.EmailAddress == address })
		if i < 0 {
			t.Fatalf("%s is not invited", address)
		}
		var metadata map[string]string
		if raw := w.sim.Invitations()[i].PublicMetadata; len(raw) > 0 {
			if err := json.Unmarshal(raw, &metadata); err != nil {
				t.Fatal(err)
			}
		}
		if id := metadata[c.key]; len(metadata) != min(len(c.key), 1) || c.key != "" && !strings.HasPrefix(id, "inq_") {
			t.Errorf("%q %q %q: the metadata is %v", c.header, c.row, c.flags, metadata)
		}
		if c.key == "" {
			continue
		}
		folders, err := filepath.Glob(filepath.Join(state, "inviteq", "*"))
		if err != nil || len(folders) != 1 {
			t.Fatalf("%q, %v", folders, err)
		}
		s, err := store.Open(t.Context(), folders[0])
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Options()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := open(t.Context(), o, ledger.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if since, err := conn.ledger.PublishMark(t.Context(), ledger.Now, c.key); err != nil || since.After(w.sim.Invitations()[i].CreatedAt.Add(time.Second)) {
			t.Errorf("the mark counts since %s, %v", since, err)
		}
		conn.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
