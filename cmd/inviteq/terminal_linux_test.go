package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
)

// openTerminal returns the two ends of a pseudo-terminal of 100 columns, and what it
// shows. What is written to keys is typed.
func openTerminal(t *testing.T) (screen *safeBuffer, tty, keys *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	screen = &safeBuffer{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			_, _ = screen.Write(b[:n])
			if err != nil {
				return // the last end of the terminal was closed
			}
		}
	}()
	t.Cleanup(func() { tty.Close(); <-ended; master.Close() })
	return screen, tty, master
}

// TestTerminal follows an import on a terminal: a bar that is drawn again in its
// place, in colours, and gone when the table comes.
func TestTerminal(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited}})
	var list strings.Builder
	list.WriteString("email\n")
	for n := range 40 {
		fmt.Fprintf(&list, "p%d@example.com\n", n)
	}
	screen, tty, _ := openTerminal(t)
	w.startWorker("--limit-single", "none", "--limit-bulk", "none")
	args := []string{"import", file(t, "list.csv", list.String()), "--wait"}
	if code := run(t.Context(), args, append(w.env, "TERM=xterm"), strings.NewReader(""), tty, tty); code != exitDone {
		t.Fatalf("exit code %d: %s", code, screen)
	}
	eventually(t, "the screen shows the end", func() bool { return strings.Contains(screen.String(), "Clerk has the invitation") })
	got := screen.String()
	wants(t, got, "█", "\x1b[32m", "\x1b[J", "settled", "enqueued")
	frames := strings.Split(got, "\x1b[J")
	if last := frames[len(frames)-1]; strings.Contains(last, "█") || !strings.Contains(last, "40") {
		t.Errorf("in the end the screen shows %q", last)
	}

	// Somebody who wants no colour gets none.
	screen, tty, _ = openTerminal(t)
	if code := run(t.Context(), []string{"list"}, append(w.env, "TERM=xterm", "NO_COLOR=1"), strings.NewReader(""), tty, tty); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "the list is there", func() bool { return strings.Contains(screen.String(), "p39@example.com") })
	if strings.Contains(screen.String(), "\x1b") {
		t.Errorf("colours in spite of NO_COLOR: %q", screen)
	}
}

// TestSendAsks: without a yes nothing is sent, and with one it is.
func TestSendAsks(t *testing.T) {
	w := newWorld(t, "XDG_STATE_HOME="+t.TempDir(), "TERM=xterm").withClerk(clerksim.Config{})
	t.Setenv("PATH", "") // no redis-server
	path := file(t, "list.csv", "email\nada@example.com\ngrace@example.com\n")
	for _, answer := range []struct {
		typed string
		sent  int
	}{{"n\n", 0}, {"\n", 0}, {"\x04", 0}, {"Yes\n", 2}} {
		screen, tty, keys := openTerminal(t)
		var running sync.WaitGroup
		running.Go(func() {
			eventually(t, "it asks", func() bool { return strings.Contains(screen.String(), "Send 2 invitations now?") })
			_, _ = keys.WriteString(answer.typed)
		})
		if code := run(t.Context(), []string{"send", path}, w.env, tty, tty, tty); code != exitDone {
			t.Errorf("%q: exit code %d", answer.typed, code)
		}
		running.Wait()
		if n := len(w.sim.Invitations()); n != answer.sent {
			t.Errorf("%q: %d invitations, want %d", answer.typed, n, answer.sent)
		}
	}
	r := w.run("send", path)
	if r.code != exitUsage {
		t.Errorf("without a terminal: exit code %d", r.code)
	}
	wants(t, r.stderr, "there is no terminal", "--yes")
	r = w.run("send", path, "--yes", "--mark", "a key", "--limit-bulk", "many")
	if r.code != exitUsage {
		t.Errorf("a bad mark: exit code %d", r.code)
	}
	wants(t, r.stderr, "Mark must have 1 to 64 letters", "--limit-bulk")
}

func TestPace(t *testing.T) {
	var r pace
	start := time.Now()
	r.see(start, enqueue.Import{Total: 1000, Open: 900})
	r.see(start.Add(time.Second), enqueue.Import{Total: 1000, Open: 890})
	if got := r.String(); got != "" {
		t.Errorf("after a second: %q, want nothing", got)
	}
	r.see(start.Add(time.Minute), enqueue.Import{Total: 1000, Open: 600})
	if got := r.String(); got != " · 18,000/h" {
		t.Errorf("got %q, want 18,000/h", got)
	}
}
