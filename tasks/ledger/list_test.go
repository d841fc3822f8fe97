package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
)

// TestListsUnderChange reads lists page by page while invites come, go and are
// put off between two pages. Whoever stays in the list is on it, once and in order.
func TestListsUnderChange(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 3))
			l := open(t, Config{})
			next := 0
			add := func() string {
				i := invite(t, fmt.Sprintf("p%d@example.com", next))
				i.ID, i.ImportID, i.Lane = fmt.Sprintf("row-%03d", next), "spring", tasks.Lane(next%2)
				if next%5 == 0 {
					i.NotBefore = start.Add(time.Duration(dice.IntN(10)) * time.Minute)
				}
				next++
				admit(t, l, start, i)
				return i.ID
			}
			var ids []string
			for range 60 {
				ids = append(ids, add())
			}
			gone := map[string]bool{}
			page, seen := Page{}, []string(nil)
			for range 100 {
				var err error
				if page, err = l.ListState(t.Context(), tasks.Queued, page.Next, 1+dice.IntN(7)); err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Records {
					seen = append(seen, r.Invite.ID)
				}
				if page.Next == "" {
					break
				}
				// Somebody leaves: often the very one at which the list stands.
				who := ids[dice.IntN(len(ids))]
				if n := len(page.Records); n > 0 && dice.IntN(2) == 0 {
					who = page.Records[n-1].Invite.ID
				}
				if !gone[who] {
					gone[who] = true
					if _, err := l.Cancel(t.Context(), start, who); err != nil {
						t.Fatal(err)
					}
				}
				add()
			}
			if page.Next != "" {
				t.Fatal("the list does not end")
			}
			for _, id := range ids {
				n := 0
				for _, s := range seen {
					if s == id {
						n++
					}
				}
				if n > 1 || n == 0 && !gone[id] {
					t.Errorf("%s is on the list %d times", id, n)
				}
			}

			// An import keeps the order of its file, whatever happens to its members.
			var inFile []string
			for cursor := ""; ; {
				page, err := l.ListImport(t.Context(), "spring", cursor, 1+dice.IntN(7))
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Records {
					inFile = append(inFile, r.Invite.ID)
				}
				if cursor = page.Next; cursor == "" {
					break
				}
				add()
				if len(inFile) > 20 && next > 200 {
					break
				}
			}
			if !slices.IsSorted(inFile) || len(slices.Compact(slices.Clone(inFile))) != len(inFile) {
				t.Errorf("the import is not in the order of its file: %v", inFile)
			}
			if diff := cmp.Diff(ids[:20], inFile[:20]); diff != "" {
				t.Errorf("the first of the import (-want +got):\n%s", diff)
			}
		})
	}
}

// TestListWhoseLastMoves moves the one at which a list stands to its end.
func TestListWhoseLastMoves(t *testing.T) {
	l := open(t, Config{})
	var want []string
	for n := range 6 {
		i := invite(t, fmt.Sprintf("p%d@example.com", n))
		i.ID = fmt.Sprintf("p%d", n)
		at := start.Add(time.Duration(n) * time.Second)
		admit(t, l, at, i)
		delivered(t, l, at, turn(t, l, at))
		want = append(want, i.ID)
	}
	page, err := l.ListState(t.Context(), tasks.Pending, "", 2)
	if err != nil || len(page.Records) != 2 {
		t.Fatalf("got %+v, %v", page, err)
	}
	if err := l.rdb.ZAdd(t.Context(), l.keys.state(tasks.Pending), scored(want[1], start.Add(time.Hour))).Err(); err != nil {
		t.Fatal(err)
	}
	rest, err := l.ListState(t.Context(), tasks.Pending, page.Next, 10)
	var got []string
	for _, r := range rest.Records {
		got = append(got, r.Invite.ID)
	}
	if diff := cmp.Diff(append(want[2:], want[1]), got); err != nil || diff != "" {
		t.Errorf("the rest (-want +got):\n%s%v", diff, err)
	}
}

func TestForeignCursors(t *testing.T) {
	l := open(t, Config{})
	for _, cursor := range []string{"x", "9,1,id", "0,one,id", "-1,1,id"} {
		if _, err := l.ListState(t.Context(), tasks.Queued, cursor, 10); err == nil {
			t.Errorf("ListState: %q is accepted", cursor)
		}
	}
	for _, cursor := range []string{"x", "-1", "1.5"} {
		if _, err := l.ListImport(t.Context(), "spring", cursor, 10); err == nil {
			t.Errorf("ListImport: %q is accepted", cursor)
		}
	}
}

// TestListsWithADamagedRecord: a record that cannot be read is left out, also where it
// is the only one of a page; who asks for it by its id is told.
func TestListsWithADamagedRecord(t *testing.T) {
	l := open(t, Config{})
	i := invite(t, "ada@example.com")
	i.ID = "damaged"
	admit(t, l, start, i)
	if err := l.rdb.HSet(t.Context(), l.keys.of("rec"), i.ID, "q\t0").Err(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"list":   second(l.ListState(t.Context(), tasks.Queued, "", 1)),
		"browse": second(l.Browse(t.Context(), Browsing{States: tasks.States, Limit: 10, Descending: true})),
		"find":   second(l.FindAddress(t.Context(), i.EmailAddress)),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := l.Read(t.Context(), i.ID); !errors.Is(err, errRecord) {
		t.Errorf("read: got %v, want %v", err, errRecord)
	}
}
