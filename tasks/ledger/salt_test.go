package ledger

import (
	"fmt"
	"sync"
	"testing"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// TestOnePersonAfterAWipe empties Redis under a process that lives on, while
// another one starts: both must see the same person in the same address, or one
// could be under way twice.
func TestOnePersonAfterAWipe(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	another := func() *Ledger {
		t.Helper()
		l, err := Open(t.Context(), rdb, Config{Instance: "wiped"})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ada := invite(t, "ada@example.com")
	// whose turn comes first after the wipe
	for name, first := range map[string]func(old *Ledger) (by, then *Ledger){
		"a new process writes first": func(old *Ledger) (*Ledger, *Ledger) { return another(), old },
		"the old process writes first": func(old *Ledger) (*Ledger, *Ledger) {
			return old, old
		},
		"the old process adopts first": func(old *Ledger) (*Ledger, *Ledger) {
			adoptEve(t, old)
			return another(), old
		},
		"the old process adopts later": func(old *Ledger) (*Ledger, *Ledger) {
			newer := another()
			adoptEve(t, old)
			return newer, old
		},
		"the old process only restores": func(old *Ledger) (*Ledger, *Ledger) {
			newer := another()
			if err := old.Restore(t.Context()); err != nil {
				t.Error(err)
			}
			return old, newer
		},
	} {
		for _, look := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, look=%v", name, look), func(t *testing.T) {
				if err := rdb.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				old := another()
				admit(t, old, start, invite(t, "ada@example.com"))
				if err := rdb.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				if found, err := old.FindAddress(t.Context(), ada.EmailAddress); len(found) != 0 || err != nil {
					t.Errorf("found %v in nothing, %v", found, err)
				}
				by, then := first(old)
				one, two := invite(t, "ada@example.com"), invite(t, "ada@example.com")
				admit(t, by, start, one)
				if by == then {
					then = another()
				}
				if look { // Before the process has written anything.
					if found, err := then.FindAddress(t.Context(), ada.EmailAddress); len(found) != 1 || err != nil {
						t.Errorf("the other process finds %d invites, %v", len(found), err)
					}
				}
				admit(t, then, start, two)
				for _, l := range []*Ledger{by, then} {
					found, err := l.FindAddress(t.Context(), ada.EmailAddress)
					if err != nil || len(found) != 2 || found[0].Invite.ID != two.ID || found[1].Invite.ID != one.ID {
						t.Errorf("found %d invites, %v; want both, the newer first", len(found), err)
					}
				}
				if a, b := by.Person(ada.EmailAddress), then.Person(ada.EmailAddress); a != b {
					t.Errorf("one process says %s, the other %s", a, b)
				}
				// One of them is under way: the other has to wait.
				turns := 0
				for _, l := range []*Ledger{by, then, by, then} {
					for _, r := range turn(t, l, start).Batch {
						if r.address == by.Person(ada.EmailAddress) {
							turns++
						}
					}
				}
				if turns != 1 {
					t.Errorf("%d invites for one person are under way", turns)
				}
				audit(t, by)
			})
		}
	}
}

func adoptEve(t *testing.T, l *Ledger) {
	t.Helper()
	n, err := l.Adopt(t.Context(), start, Stranger{Invite: invite(t, "eve@example.com"), InvitationID: "inv_eve", State: tasks.Pending})
	if n != 1 || err != nil {
		t.Errorf("adopted %d, %v", n, err)
	}
}

// TestWipesWhileManyWrite empties Redis again and again under processes that write
// and look up: nobody gets an error, and in the end every key agrees.
func TestWipesWhileManyWrite(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	var writers sync.WaitGroup
	done := make(chan struct{})
	for n := range 4 {
		l, err := Open(t.Context(), rdb, Config{Instance: "wiped"})
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for i := 0; ; i++ {
				over := false // Then this is the last, and after the last wipe.
				select {
				case <-done:
					over = true
				default:
				}
				one := invite(t, fmt.Sprintf("p%d@example.com", i%50))
				if _, _, err := l.Admit(t.Context(), start, []tasks.Invite{one}); err != nil {
					t.Errorf("process %d: %v", n, err)
					return
				}
				if _, err := l.FindAddress(t.Context(), one.EmailAddress); err != nil {
					t.Errorf("process %d: %v", n, err)
					return
				}
				if over {
					return
				}
			}
		})
	}
	for range 30 {
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Error(err)
		}
		// A new process each time: the race for the first salt.
		if _, err := Open(t.Context(), rdb, Config{Instance: "wiped"}); err != nil {
			t.Error(err)
		}
	}
	close(done)
	writers.Wait()
	l, err := Open(t.Context(), rdb, Config{Instance: "wiped"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(audit(t, l)); n == 0 {
		t.Error("nothing was written after the last wipe")
	}
}

func TestRestore(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	l, err := Open(t.Context(), rdb, Config{Instance: "wiped", Limits: ClerkLimits, Reserve: AutoReserve})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	published, err := rdb.HGetAll(t.Context(), l.keys.of("meta")).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	before := l.currentSalt()
	if err := l.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	restored, err := rdb.HGetAll(t.Context(), l.keys.of("meta")).Result()
	if err != nil || restored["worker"] != published["worker"] || restored["salt"] != published["salt"] || before != l.currentSalt() {
		t.Errorf("restored %d fields of %d, %v", len(restored), len(published), err)
	}
	// What another worker has published meanwhile stays.
	if err := rdb.HSet(t.Context(), l.keys.of("meta"), "worker", "other").Err(); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := rdb.HGet(t.Context(), l.keys.of("meta"), "worker").Result(); got != "other" {
		t.Errorf("got %q", got)
	}
}
