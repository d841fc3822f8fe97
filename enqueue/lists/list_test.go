package lists_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

func TestDuplicates(t *testing.T) {
	in := lines("email,public_metadata.plan,expires_in_days,notify,id,not_before",
		"Ada@Example.com,pro,7,,,",                        // 2
		"ada@example.com,pro,7,yes,,",                     // the same: yes is the default
		"ADA@EXAMPLE.COM,free,7,,,",                       // other metadata
		"ada@example.com,pro,8,,,",                        // other days
		"ada@example.com,pro,7,no,,",                      // other notify
		"ada@example.com,pro,7,,x,",                       // other id
		"ada@example.com,pro,7,,,2026-01-31T09:00:00Z",    // other time
		"ada@example.com,pro,700,,,",                      // bad, and so no duplicate
		"grace@example.com,,,,,2026-01-31T09:00:00Z",      // 10
		"grace@example.com,,,,,2026-01-31T10:00:00+01:00", // the same moment
		"ada+work@example.com,,,,,",                       // somebody else
		"ada@müller.example,,,,,",                         // 13
		"ada@xn--mller-kva.example,,,,,",                  // the same
	)
	want := []string{
		`2 Ada@Example.com {"public_metadata":{"plan":"pro"},"expires_in_days":7}`,
		"row 3: same address as row 2",
		"row 4: same address as row 2, with other contents; row 2 counts",
		"row 5: same address as row 2, with other contents; row 2 counts",
		"row 6: same address as row 2, with other contents; row 2 counts",
		"row 7: same address as row 2, with other contents; row 2 counts",
		"row 8: same address as row 2, with other contents; row 2 counts",
		"row 9: expires_in_days must be 1 to 365",
		`10 grace@example.com {"not_before":"2026-01-31T09:00:00Z"}`,
		"row 11: same address as row 10",
		"12 ada+work@example.com",
		"13 ada@müller.example",
		"row 14: same address as row 13",
	}
	list := open(t, in, lists.Options{})
	for range 2 { // Every reading says the same.
		if diff := cmp.Diff(want, read(list)); diff != "" {
			t.Error(diff)
		}
	}
	got, err := list.Survey(t.Context(), nil)
	if diff := cmp.Diff(lists.Survey{Good: 4, Bad: 1, Duplicates: 8, Differing: 5, Content: 14}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestLanes(t *testing.T) {
	const in = "email,lane\na@b.co,\nb@b.co,interactive\nc@b.co,IMPORT\n"
	for interactive, want := range map[bool][]tasks.Lane{
		false: {tasks.Import, tasks.Interactive, tasks.Import}, true: {tasks.Interactive, tasks.Interactive, tasks.Import},
	} {
		var got []tasks.Lane
		for row, err := range open(t, in, lists.Options{Interactive: interactive}).Rows(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Invite.Lane)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("interactive %v: %s", interactive, diff)
		}
	}
}

// TestOpenFails: a reader that fails, one that never ends, a list that is too long.
func TestOpenFails(t *testing.T) {
	broken := errors.New("the line is down")
	after := io.MultiReader(strings.NewReader("email\na@b.co\n"), iotest.ErrReader(broken))
	if _, err := lists.Open(t.Context(), after, lists.Options{}); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	never, held := io.Pipe()
	defer held.Close()
	cancel(broken)
	if _, err := lists.Open(ctx, never, lists.Options{}); !errors.Is(err, broken) {
		t.Errorf("a reader that never ends: %v", err)
	}
	if _, err := lists.Open(t.Context(), strings.NewReader("email\na@b.co\n"), lists.Options{MaxBytes: 12}); !errors.Is(err, lists.ErrTooLarge) {
		t.Errorf("too many bytes: %v", err)
	}
	packed := pack(t, bytes.Repeat([]byte("email\n"), 1<<20))
	if _, err := lists.Open(t.Context(), bytes.NewReader(packed), lists.Options{MaxBytes: 1 << 20}); !errors.Is(err, lists.ErrTooLarge) || len(packed) > 1<<16 {
		t.Errorf("too many bytes in %d packed: %v", len(packed), err)
	}
	t.Setenv("TMPDIR", t.TempDir()+"/none")
	if _, err := lists.Open(t.Context(), strings.NewReader("email\n"), lists.Options{}); !errors.Is(err, lists.ErrDisk) {
		t.Errorf("no place for the copy: %v", err)
	}
}

func TestMaxRows(t *testing.T) {
	list := open(t, "email\na@b.co\nx\nc@b.co\n", lists.Options{MaxRows: 2})
	if _, err := list.Survey(t.Context(), nil); !errors.Is(err, lists.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := open(t, "email\na@b.co\nx\nc@b.co\n", lists.Options{MaxRows: 3}).Survey(t.Context(), nil); err != nil {
		t.Errorf("as many as may be: %v", err)
	}
}

// TestCopyHasNoName: nobody finds the list in the folder for temporary files, not
// even after a kill.
func TestCopyHasNoName(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for _, in := range []string{"email\na@b.co\n", book(t, map[string][][]any{"a": {{"email"}, {"a@b.co"}}})} {
		list := open(t, in, lists.Options{})
		if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
		if diff := cmp.Diff([]string{"2 a@b.co"}, read(list)); diff != "" {
			t.Error(diff)
		}
	}
}

func newClient(t *testing.T) *enqueue.Client {
	t.Helper()
	c, err := enqueue.New(enqueue.Config{Redis: redistest.Shared(t), Instance: redistest.Instance()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// accept surveys a list and hands it over.
func accept(t *testing.T, c *enqueue.Client, list *lists.List, a lists.Acceptance) lists.Accepted {
	t.Helper()
	found, err := list.Survey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := list.Accept(t.Context(), c, found, a)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func status(t *testing.T, c *enqueue.Client, id string) enqueue.Status {
	t.Helper()
	all, err := c.Status(t.Context(), id)
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %v, %v", id, all, err)
	}
	return all[0]
}

// TestNumberedLists: the ids of two foreign lists have nothing to do with each other,
// and the same list again is the same people.
func TestNumberedLists(t *testing.T) {
	c := newClient(t)
	const first, second = "id,email\n1,a1@b.co\n2,A2@b.co\n", "id,email\n1,z1@b.co\n2,z2@b.co\n"
	for n, c2 := range []struct {
		in              string
		admitted, known int
	}{{first, 2, 0}, {second, 2, 0}, {first, 0, 2}} {
		got := accept(t, c, open(t, c2.in, lists.Options{}), lists.Acceptance{})
		if got.Admitted != c2.admitted || got.Known != c2.known || got.Conflicting != 0 {
			t.Errorf("list %d: %+v", n, got)
		}
	}

	// The rows of a list that was changed are the same people, too, as long as it is
	// the same import; a row that became somebody else is a conflict.
	list := open(t, "id,email\n2,a2@b.co\n1,other@b.co\n", lists.Options{})
	got := accept(t, c, list, lists.Acceptance{ImportID: open(t, first, lists.Options{}).ImportID()})
	if got.Known != 1 || len(got.Conflicts) != 1 || got.Conflicts[0].Place.Row != 3 || got.Conflicts[0].ImportID != got.ImportID {
		t.Errorf("changed: %+v", got)
	}
}

// TestGlobalIDs: the caller's own ids are those of every other way into the queue,
// and a conflict names the import that has the id.
func TestGlobalIDs(t *testing.T) {
	c, o := newClient(t), lists.Options{GlobalIDs: true}
	accept(t, c, open(t, "id,email\norder-1,a@b.co\n", o), lists.Acceptance{ImportID: "may"})
	if s := status(t, c, "order-1"); s.ImportID != "may" {
		t.Errorf("got %+v", s)
	}
	got := accept(t, c, open(t, "id,email\norder-1,A@B.co\norder-2,b@b.co\n", o), lists.Acceptance{ImportID: "june"})
	if got.Known != 1 || got.Admitted != 1 {
		t.Errorf("capitals are other content: %+v", got)
	}
	got = accept(t, c, open(t, "id,email\norder-1,c@b.co\n", o), lists.Acceptance{ImportID: "june"})
	if len(got.Conflicts) != 1 || got.Conflicts[0].ImportID != "may" || !strings.Contains(got.Conflicts[0].Err().Error(), "import may") {
		t.Errorf("a conflict: %+v", got)
	}
	if got := told("id,email\na b,a@b.co\n", o); got[0] != "row 2: id must be printable ASCII without spaces, / and @" {
		t.Errorf("a bad id: %q", got)
	}
	if got := told("id,email\na b/@,a@b.co\n", lists.Options{}); got[0] != "2 a@b.co" {
		t.Errorf("an id within an import may be anything: %q", got)
	}
}

// TestImportGoesOnWithItsIDs: earlier versions took every id column for the caller's own
// ids. To go on with an import without them, or suddenly with them, would invite
// everybody once more, so it is refused.
func TestImportGoesOnWithItsIDs(t *testing.T) {
	c := newClient(t)
	rows := func(from, to int) string {
		var b strings.Builder
		b.WriteString("id,email\n")
		for n := from; n < to; n++ {
			fmt.Fprintf(&b, "order-%d,a%d@b.co\n", n, n)
		}
		return b.String()
	}
	long := rows(0, 450)
	accept(t, c, open(t, rows(400, 401), lists.Options{GlobalIDs: true}), lists.Acceptance{ImportID: "old"}) // far behind
	list := open(t, long, lists.Options{})
	found, err := list.Survey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := list.Accept(t.Context(), c, found, lists.Acceptance{ImportID: "old"}); !isOther(err, true) || got.Done() != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got := accept(t, c, open(t, long, lists.Options{GlobalIDs: true}), lists.Acceptance{ImportID: "old"}); got.Known != 1 || got.Admitted != 449 {
		t.Errorf("with them it goes on: %+v", got)
	}
	// In another import the same names are other people, and going on with it is not refused.
	for _, known := range []int{0, 450} {
		if got := accept(t, c, open(t, long, lists.Options{}), lists.Acceptance{ImportID: "new"}); got.Known != known || got.Done() != 450 {
			t.Errorf("another import: %+v", got)
		}
	}
	list = open(t, long, lists.Options{GlobalIDs: true})
	if found, err = list.Survey(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := list.Accept(t.Context(), c, found, lists.Acceptance{ImportID: "new"}); !isOther(err, false) || got.Done() != 0 {
		t.Errorf("nor may they come later: %+v, %v", got, err)
	}
}

func isOther(err error, global bool) bool {
	other, ok := errors.AsType[*lists.OtherIDsError](err)
	return ok && other.Global == global
}

// TestCapitals: the address in other capitals under the same import is the same.
func TestCapitals(t *testing.T) {
	c := newClient(t)
	accept(t, c, open(t, "email\nQ9@b.co\n", lists.Options{}), lists.Acceptance{ImportID: "i"})
	if got := accept(t, c, open(t, "email\nq9@b.co\n", lists.Options{}), lists.Acceptance{ImportID: "i"}); got.Known != 1 || got.Conflicting != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestHold(t *testing.T) {
	c := newClient(t)
	soon := time.Now().Add(30 * time.Minute).UTC().Format(time.RFC3339)
	list := open(t, "email,deadline\na@b.co,\nb@b.co,"+soon+"\n", lists.Options{Hold: time.Hour, Name: "folder/team.csv"})
	var bad []string
	_, err := list.Survey(t.Context(), func(err error) error {
		bad = append(bad, err.Error())
		return nil
	})
	if want := "row 3: deadline is sooner than the first row may go, because the import is held"; err != nil || len(bad) != 1 || bad[0] != want {
		t.Errorf("got %q, %v; want %q", bad, err, want)
	}
	if got := accept(t, c, list, lists.Acceptance{ImportID: "i", Owner: "crm"}); !got.Held || got.Admitted != 1 {
		t.Errorf("got %+v", got)
	}
	i, err := c.Import(t.Context(), "i")
	if left := time.Until(i.HeldUntil); err != nil || i.State != tasks.ImportHeld || left < 59*time.Minute || left > time.Hour || i.Name != "team.csv" || i.Owner != "crm" {
		t.Errorf("got %+v, %v", i, err)
	}
	if got := accept(t, c, list, lists.Acceptance{ImportID: "i"}); got.Held || got.Known != 1 {
		t.Errorf("again: %+v", got)
	}
}

func TestMaxWaiting(t *testing.T) {
	c := newClient(t)
	list := open(t, "email\na@b.co\nb@b.co\n", lists.Options{})
	accept(t, c, list, lists.Acceptance{MaxWaiting: 2})
	accept(t, c, list, lists.Acceptance{MaxWaiting: 2}) // Those who wait already are the same people.
	found, err := list.Survey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = list.Accept(t.Context(), c, found, lists.Acceptance{ImportID: "other", MaxWaiting: 3})
	if full, ok := errors.AsType[*lists.WaitingError](err); !ok || full.Waiting != 2 || full.Asked != 2 {
		t.Errorf("got %v", err)
	}
}

// TestMemory reads a long list of every format and looks at the heap on the way.
func TestMemory(t *testing.T) {
	const rows, most = 100_000, 8 << 20
	for name, row := range map[string]string{
		"csv":  "person.%d@example.com,\"Lovelace, Ada\",engineering,%d\n",
		"json": `{"email":"person.%d@example.com","public_metadata":{"name":"Ada Lovelace","team":"engineering"},"id":"%d"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			var in strings.Builder
			if name == "csv" {
				in.WriteString("email,public_metadata.name,public_metadata.team,id\n")
			}
			for n := range rows {
				fmt.Fprintf(&in, row, n, n)
			}
			list := open(t, in.String(), lists.Options{})
			in.Reset()
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			n := 0
			for _, err := range list.Rows(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n%(rows/4) == 0 {
					runtime.GC()
					if runtime.ReadMemStats(&now); now.HeapAlloc > before.HeapAlloc+most {
						t.Errorf("%d KiB after %d rows", (now.HeapAlloc-before.HeapAlloc)>>10, n)
					}
				}
			}
			if n != rows {
				t.Errorf("%d rows, want %d", n, rows)
			}
		})
	}
}

// FuzzList feeds everything. Whatever comes in, rows come in order with the line that
// they are on, good ones are valid, no error quotes an address, and every reading
// says the same.
func FuzzList(f *testing.F) {
	for _, s := range []string{
		"", "email\nada@example.com\n", "\ufeffemail;public_metadata.a;notify\r\nada@example.com;\"x\"\"y\r\n\";no\r\n\r\n;;\r\nb\"c;;\r\n",
		"sep=,\nemail,id\na@b.co,x\nA@b.co,x\na@b.co\n", "email\tpublic_metadata\na@b.co\t\"{\"\"a\"\":1}\"\n", "email,\"\na@b.co,\"x", "\xff\xfee\x00\n\x00",
		"email,expires_in_days,not_before,x\n", "email,public_metadata.\x00\na@b.co,\xff\n", "a@b.co\n", "email\ra@b.co\r", "# x\n\nName|E-Mail\n-|-\nx|a@b.co|\n",
		`{"email_address":"ada@example.com"}`, "\ufeff{}\r\n\r\n{\"email_address\":\"a@b.co\",\"id\":\"x\"}\r\n{\"a@b\":1}",
		`[{"email":"a@b.co"},` + "\n" + `{"E-Mail":"A@b.co","x":[1,{"]":"\""}]} ]`, "{\n\"email\":\"a@b.co\"}\n{\n}", `{"email":"a@b.co","public_metadata":{"a":[1e400,"\ud800"]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		list, err := lists.Open(t.Context(), bytes.NewReader(in), lists.Options{})
		if err != nil {
			if quotes(err) {
				t.Fatalf("the error quotes: %v", err)
			}
			return
		}
		defer list.Close()
		var last lists.Place
		var ended error
		for row, err := range list.Rows(t.Context(), "imp_1") {
			if ended != nil {
				t.Fatalf("%v was not the end", ended)
			}
			if err != nil && quotes(err) {
				t.Fatalf("the error quotes: %v", err)
			}
			bad, isBad := errors.AsType[*lists.RowError](err)
			duplicate, isDuplicate := errors.AsType[*lists.DuplicateError](err)
			switch {
			case isBad && (bad.Place != row.Place || len(bad.Problems) == 0):
				t.Fatalf("%v: %v", row.Place, err)
			case isDuplicate && (duplicate.Place != row.Place || duplicate.First.Row < 1 || duplicate.First.Row > row.Place.Row):
				t.Fatalf("%v: %v", row.Place, err)
			case err != nil && !isBad && !isDuplicate:
				ended = err
				continue
			case err == nil:
				if err := row.Invite.Validate(); err != nil || row.Invite.ID == "" {
					t.Fatalf("%v is not valid: %v", row.Place, err)
				}
			}
			if row.Place.Row < last.Row || row.Place == last || row.Place.Row < 1 || row.Place.Row > len(in)+1 {
				t.Fatalf("%v after %v", row.Place, last)
			}
			last = row.Place
		}
		if diff := cmp.Diff(read(list), read(list)); diff != "" {
			t.Fatalf("read again: %s", diff)
		}
	})
}

// quotes reports whether an error has an @ but those of our own examples.
func quotes(err error) bool {
	text := strings.NewReplacer("ada@example.com", "", "/ and @", "", "before the @", "").Replace(err.Error())
	return strings.Contains(text, "@") || len(text) > 4096
}

func ExampleList() {
	ctx := context.Background()
	file := strings.NewReader("Name,E-Mail,public_metadata.plan\nAda,ada@example.com,pro\nGrace,grace@example,pro\nAda L.,Ada@Example.com,pro\n")
	list, err := lists.Open(ctx, file, lists.Options{Name: "team.csv"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer list.Close()
	survey, err := list.Survey(ctx, func(err error) error { fmt.Println(err); return nil })
	fmt.Println(survey.Good, "good; ignored:", survey.Ignored, err)
	for row, err := range list.Rows(ctx, list.ImportID()) {
		if err == nil {
			fmt.Println(row.Place, row.Invite.EmailAddress, string(row.Invite.PublicMetadata))
		}
	}
	// Output:
	// row 3: email_address has a domain without a dot
	// row 4: same address as row 2
	// 1 good; ignored: [Name] <nil>
	// row 2 a***@e*** {"plan":"pro"}
}
