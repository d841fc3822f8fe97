package enqueue_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

func TestLane(t *testing.T) {
	const in = "email,lane\na@b.co,\nb@b.co,interactive\nc@b.co,import\nd@b.co,x\n"
	tests := []struct {
		name   string
		source enqueue.Source
		want   []tasks.Lane
	}{
		{"default", enqueue.CSV(strings.NewReader(in)), []tasks.Lane{tasks.Import, tasks.Interactive, tasks.Import}},
		{"interactive", enqueue.CSV(strings.NewReader(in)).Lane(tasks.Interactive), []tasks.Lane{tasks.Interactive, tasks.Interactive, tasks.Import}},
		{"behind Distinct", enqueue.CSV(strings.NewReader(in)).Distinct().Lane(tasks.Interactive), []tasks.Lane{tasks.Interactive, tasks.Interactive, tasks.Import}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []tasks.Lane
			for row, err := range tt.source {
				if err == nil {
					got = append(got, row.Invite.Lane)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDistinct(t *testing.T) {
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
	if diff := cmp.Diff(want, told(enqueue.CSV(strings.NewReader(in)).Distinct())); diff != "" {
		t.Error(diff)
	}
}

func TestDistinctErrors(t *testing.T) {
	var got []enqueue.DuplicateError
	var bad []enqueue.RowError
	for row, err := range enqueue.CSV(strings.NewReader("email\na@b.co\nA@b.co\nx\n")).Distinct() {
		if d, ok := errors.AsType[*enqueue.DuplicateError](err); ok {
			got = append(got, *d)
		}
		if r, ok := errors.AsType[*enqueue.RowError](err); ok {
			bad = append(bad, *r)
		}
		if err != nil && (row.Number == 0 || !row.Invite.EmailAddress.IsZero()) {
			t.Errorf("beside %v there is %v in row %d", err, row.Invite, row.Number)
		}
	}
	if diff := cmp.Diff([]enqueue.DuplicateError{{Row: 3, First: 2, Same: true}}, got); diff != "" {
		t.Error(diff)
	}
	wantBad := []enqueue.RowError{{Row: 4, Problems: []tasks.Problem{{Field: "email_address", Reason: "is not one plain address such as ada@example.com"}}}}
	if diff := cmp.Diff(wantBad, bad); diff != "" {
		t.Error(diff)
	}
}

func TestInvites(t *testing.T) {
	const in = "email\na@b.co\nA@b.co\nx\nb@b.co\n"
	broken := errors.New("broken")
	tests := []struct {
		name          string
		in            io.Reader
		skip          bool
		want, skipped []string
	}{
		{"skipping", strings.NewReader(in), true, []string{"a@b.co", "b@b.co"}, []string{
			"row 3: same address as row 2", "row 4: email_address is not one plain address such as ada@example.com"}},
		{"not skipping", strings.NewReader(in), false, []string{"a@b.co", "row 4: email_address is not one plain address such as ada@example.com"}, nil},
		{"a broken stream", after(in, broken), true, []string{"a@b.co", "b@b.co", "the row after row 5: broken"}, []string{
			"row 3: same address as row 2", "row 4: email_address is not one plain address such as ada@example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got, skipped []string
			var skip func(error)
			if tt.skip {
				skip = func(err error) { skipped = append(skipped, err.Error()) }
			}
			for i, err := range enqueue.CSV(tt.in).Distinct().Invites(skip) {
				if err != nil {
					got = append(got, err.Error())
				} else {
					got = append(got, i.EmailAddress.Raw())
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.skipped, skipped); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDetectFormat(t *testing.T) {
	const csv, jsonl = enqueue.FormatCSV, enqueue.FormatJSONLines
	tests := []struct {
		name, content string
		want          enqueue.Format
	}{
		{"people.csv", "{", csv},
		{"People.CSV", "", csv},
		{"/tmp/people.tsv", "", csv},
		{"people.jsonl", "email", jsonl},
		{"people.NDJSON", "", jsonl},
		{"-", "email\n", csv},
		{"-", `{"email_address":""}`, jsonl},
		{"-", "\n\r\n\t {", jsonl},
		{"-", "\ufeff{", jsonl},
		{"-", "\ufeffemail", csv},
		{"-", "\ufeff", csv},
		{"-", "\xef", csv},
		{"-", "", csv},
		{"-", strings.Repeat(" ", 10_000), csv},
		{"people.json", "[", jsonl},
		{"people.txt", "email", csv},
		{"people", "\"email\"", csv},
	}
	for _, tt := range tests {
		r := bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.content)))
		got, err := enqueue.DetectFormat(tt.name, r)
		if got != tt.want || err != nil {
			t.Errorf("DetectFormat(%q) of %.10q = %q, %v, want %q", tt.name, tt.content, got, err, tt.want)
		}
		if rest, err := io.ReadAll(r); string(rest) != tt.content || err != nil {
			t.Errorf("DetectFormat(%q) left %.10q, %v", tt.name, rest, err)
		}
	}
	if _, err := enqueue.DetectFormat("-", bufio.NewReader(iotest.ErrReader(os.ErrPermission))); !errors.Is(err, os.ErrPermission) {
		t.Errorf("DetectFormat of what cannot be read: %v", err)
	}
	for _, s := range []string{"csv", "jsonl"} {
		if f, err := enqueue.ParseFormat(s); string(f) != s || err != nil {
			t.Errorf("ParseFormat(%q) = %q, %v", s, f, err)
		}
	}
	if f, err := enqueue.ParseFormat("xlsx"); err == nil {
		t.Errorf("ParseFormat(xlsx) = %q", f)
	}
}

// generated writes a list of n rows as it is read, so that a test of any size
// holds nothing itself.
func generated(n int, header string, row func(i int) string) io.Reader {
	r := &generator{next: func(i int) string {
		switch {
		case i == 0:
			return header
		case i > n:
			return ""
		}
		return row(i)
	}}
	return r
}

type generator struct {
	i    int
	left []byte
	next func(i int) string
}

func (g *generator) Read(p []byte) (int, error) {
	if len(g.left) == 0 {
		var b bytes.Buffer
		for b.Len() < 32<<10 {
			s := g.next(g.i)
			if s == "" && g.i > 0 {
				break
			}
			g.i++
			b.WriteString(s)
		}
		if g.left = b.Bytes(); len(g.left) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, g.left)
	g.left = g.left[n:]
	return n, nil
}

var formats = []struct {
	format enqueue.Format
	header string
	row    func(i int) string
}{
	{enqueue.FormatCSV, "email,public_metadata.name,public_metadata.team,expires_in_days\n", func(i int) string {
		return fmt.Sprintf("person.%d@example.com,\"Lovelace, Ada\",engineering,7\n", i)
	}},
	{enqueue.FormatJSONLines, "", func(i int) string {
		return fmt.Sprintf(`{"email_address":"person.%d@example.com","public_metadata":{"name":"Ada Lovelace","team":"engineering"},"expires_in_days":7}`+"\n", i)
	}},
}

// TestSourceMemory streams a list and looks at the heap on the way: a source holds a
// row, Distinct a few words for each.
func TestSourceMemory(t *testing.T) {
	const rows, most = 40_000, 4 << 20
	for _, f := range formats {
		t.Run(string(f.format), func(t *testing.T) {
			for name, limit := range map[string]uint64{"source": most, "distinct": most + 60*rows} {
				source := f.format.Rows(generated(rows, f.header, f.row))
				if name == "distinct" {
					source = source.Distinct()
				}
				var before, now runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				n := 0
				for _, err := range source {
					if err != nil {
						t.Fatal(err)
					}
					if n++; n%(rows/4) == 0 {
						runtime.GC()
						if runtime.ReadMemStats(&now); now.HeapAlloc > before.HeapAlloc+limit {
							t.Errorf("%s: %d KiB after %d rows", name, (now.HeapAlloc-before.HeapAlloc)>>10, n)
						}
					}
				}
				if n != rows {
					t.Errorf("%s: %d rows, want %d", name, n, rows)
				}
			}
		})
	}
}

// BenchmarkSource streams a million rows an iteration.
func BenchmarkSource(b *testing.B) {
	const rows = 1_000_000
	for _, f := range formats {
		for _, distinct := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/distinct=%v", f.format, distinct), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					source := f.format.Rows(generated(rows, f.header, f.row))
					if distinct {
						source = source.Distinct()
					}
					n := 0
					for _, err := range source {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					if n != rows {
						b.Fatalf("%d rows", n)
					}
				}
				b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// fuzzSource feeds a format. Whatever comes in, rows come in order with the
// line that they are on, good ones are valid, and nothing quotes an address:
// no error has an @ but our own examples.
func fuzzSource(f *testing.F, format enqueue.Format, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var last int
		var ended error
		most := bytes.Count(in, []byte("\n")) + 1
		for row, err := range format.Rows(bytes.NewReader(in)).Distinct() {
			if ended != nil {
				t.Fatalf("%v was not the end", ended)
			}
			if err != nil {
				if text := strings.NewReplacer("ada@example.com", "", "/ and @", "").Replace(err.Error()); strings.Contains(text, "@") || len(text) > 4096 {
					t.Fatalf("the error quotes: %q", text)
				}
				bad, isBad := errors.AsType[*enqueue.RowError](err)
				duplicate, isDuplicate := errors.AsType[*enqueue.DuplicateError](err)
				switch {
				case isBad && (bad.Row != row.Number || len(bad.Problems) == 0):
					t.Fatalf("row %d: %v", row.Number, err)
				case isDuplicate && (duplicate.Row != row.Number || duplicate.First < 1 || duplicate.First >= row.Number):
					t.Fatalf("row %d: %v", row.Number, err)
				case !isBad && !isDuplicate:
					ended = err
					continue
				}
			} else if err := row.Invite.Validate(); err != nil {
				t.Fatalf("row %d is not valid: %v", row.Number, err)
			}
			if row.Number <= last || row.Number > most {
				t.Fatalf("row %d after row %d, of %d lines", row.Number, last, most)
			}
			last = row.Number
		}
		whole := told(format.Rows(bytes.NewReader(in)))
		if diff := cmp.Diff(whole, told(format.Rows(iotest.OneByteReader(bytes.NewReader(in))))); diff != "" {
			t.Fatalf("read byte by byte: %s", diff)
		}
	})
}

func FuzzCSV(f *testing.F) {
	fuzzSource(f, enqueue.FormatCSV, "", "email\nada@example.com\n", "\ufeffemail;public_metadata.a;notify\r\nada@example.com;\"x\"\"y\r\n\";no\r\n\r\n;;\r\nb\"c;;\r\n",
		"sep=,\nemail,id\na@b.co,x\nA@b.co,x\na@b.co\n", "email\tpublic_metadata\na@b.co\t\"{\"\"a\"\":1}\"\n", "email,\"\na@b.co,\"x", "\xff\xfee\x00",
		"email,expires_in_days,not_before,x\n", "email,public_metadata.\x00\na@b.co,\xff\n", "a@b.co\n", "email\ra@b.co\r")
}

func FuzzJSONLines(f *testing.F) {
	fuzzSource(f, enqueue.FormatJSONLines, "", `{"email_address":"ada@example.com"}`, "\ufeff{}\r\n\r\n{\"email_address\":\"a@b.co\",\"id\":\"x\"}\r\n{\"a@b\":1}",
		"{\"email_address\":1}\n[]\n{\"deadline\":\"x@y\"}", `{"email_address":"a@b.co","public_metadata":{"a":[1e400,"\ud800"]}}`+"\n"+`{"email_address":"A@b.co"}`, "email\n", "\x1f\x8b")
}
