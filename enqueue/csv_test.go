package enqueue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// told renders what a source says: a line for each row, "N address" and
// whatever else it asks for, or the error.
func told(s enqueue.Source) []string {
	var out []string
	for row, err := range s {
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		j := row.Invite.JSON()
		line := fmt.Sprintf("%d %s", row.Number, j.EmailAddress)
		if j.EmailAddress, j.Lane = "", strings.TrimPrefix(j.Lane, "import"); row.Invite.Lane == tasks.Interactive {
			j.Lane = "interactive"
		}
		if rest, err := json.Marshal(j); err != nil || string(rest) != "{}" {
			line += " " + string(rest)
		}
		out = append(out, line)
	}
	return out
}

func lines(s ...string) string { return strings.Join(s, "\n") }

func TestCSV(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"one column", lines("email_address", "ada@example.com", "grace@example.com"), []string{"2 ada@example.com", "3 grace@example.com"}},
		{"email", lines("email", "ada@example.com"), []string{"2 ada@example.com"}},
		{"a header alone", "email", nil},
		{"every column in another order", lines(
			"deadline,id,Notify,EMAIL,Template Slug,expires-in-days,ignore_existing,redirect_url,public_metadata,Lane,not_before",
			`2026-02-01T00:00:00+01:00,order:42,no,ada@example.com,waitlist_invitation,7,YES,/welcome,"{ ""plan"" : ""pro"" }",Interactive,2026-01-31T09:00:00Z`), []string{
			`2 ada@example.com {"public_metadata":{"plan":"pro"},"redirect_url":"/welcome","notify":false,"ignore_existing":true,"expires_in_days":7,` +
				`"template_slug":"waitlist_invitation","id":"order:42","lane":"interactive","not_before":"2026-01-31T09:00:00Z","deadline":"2026-01-31T23:00:00Z"}`}},
		{"empty cells are defaults", lines("email,public_metadata,redirect_url,notify,ignore_existing,expires_in_days,template_slug,id,lane,not_before,deadline",
			"ada@example.com,,,,,,,,,, "), []string{"2 ada@example.com"}},
		{"metadata members", lines("email,public_metadata.Plan,PUBLIC_METADATA.team name,public_metadata.a.b", `ada@example.com,pro,"R&D ""x""",<1>`, "grace@example.com,,,", "b@example.com,,x,"), []string{
			`2 ada@example.com {"public_metadata":{"Plan":"pro","team name":"R\u0026D \"x\"","a.b":"\u003c1\u003e"}}`,
			`3 grace@example.com`, `4 b@example.com {"public_metadata":{"team name":"x"}}`}},
		{"numbers and booleans become strings", lines("email,public_metadata.n", "a@example.com,007", "b@example.com,true"), []string{
			`2 a@example.com {"public_metadata":{"n":"007"}}`, `3 b@example.com {"public_metadata":{"n":"true"}}`}},
		{"metadata keys in two cases are two keys", lines("email,public_metadata.a,public_metadata.A", "a@example.com,1,2"), []string{
			`2 a@example.com {"public_metadata":{"a":"1","A":"2"}}`}},

		{"BOM", "\ufeffemail\nada@example.com\n", []string{"2 ada@example.com"}},
		{"BOM and quotes", "\ufeff\"email\",\"id\"\n\"ada@example.com\",\"x\"\n", []string{`2 ada@example.com {"id":"x"}`}},
		{"CRLF", "email,id\r\nada@example.com,x\r\n\r\ngrace@example.com,y\r\n", []string{`2 ada@example.com {"id":"x"}`, `4 grace@example.com {"id":"y"}`}},
		{"no last line end, CR", "email\r\nada@example.com\r", []string{"2 ada@example.com"}},
		{"semicolons", lines("email;public_metadata.name;id", "ada@example.com;Lovelace, Ada;x"), []string{
			`2 ada@example.com {"public_metadata":{"name":"Lovelace, Ada"},"id":"x"}`}},
		{"tabs", "email\tid\tredirect_url\nada@example.com\t\t/x\n grace@example.com \ty\t\n", []string{
			`2 ada@example.com {"redirect_url":"/x"}`, `3 grace@example.com {"id":"y"}`}},
		{"a comma in a quoted header", lines(`"email";"public_metadata.a,b,c"`, "ada@example.com;1"), []string{`2 ada@example.com {"public_metadata":{"a,b,c":"1"}}`}},
		{"sep line", "sep=;\r\nemail;id\r\nada@example.com;x\r\n", []string{`3 ada@example.com {"id":"x"}`}},
		{"sep line, quoted, BOM, comma", "\ufeff\"sep=,\"\nemail,id\nada@example.com,x\n", []string{`3 ada@example.com {"id":"x"}`}},
		{"sep line, tab", "sep=\t\nemail\tid\nada@example.com\t\n", []string{`3 ada@example.com`}},
		{"sep line, odd separator", "sep=|\nemail|id\nada@example.com|x\n", []string{`3 ada@example.com {"id":"x"}`}},
		{"spaces around cells", lines("email , id", ` ada@example.com , "x"`, "\u00a0grace@example.com\t,\u3000y "), []string{
			`2 ada@example.com {"id":"x"}`, `3 grace@example.com {"id":"y"}`}},
		{"blank rows", lines("", "", "email,id", "", "ada@example.com,x", ",", " , ", `"",""`, "   ", "", "grace@example.com,y", ""), []string{
			`5 ada@example.com {"id":"x"}`, `11 grace@example.com {"id":"y"}`}},
		{"line ends in a cell", lines("email,public_metadata.note,id", `ada@example.com,"one`, `two`, ``, `three",x`, `grace@example.com,four,y`), []string{
			`2 ada@example.com {"public_metadata":{"note":"one\ntwo\n\nthree"},"id":"x"}`, `6 grace@example.com {"public_metadata":{"note":"four"},"id":"y"}`}},
		{"line ends in the header", lines(`email,"public_metadata.a`, `b"`, "ada@example.com,x"), []string{
			`3 ada@example.com {"public_metadata":{"a\nb":"x"}}`}},
		{"empty columns without a name", lines("email,,", "ada@example.com,,"), []string{"2 ada@example.com"}},
		{"IDN and UTF-8", lines("email,public_metadata.name", "ada@müller.example,Zoë 😀"), []string{`2 ada@müller.example {"public_metadata":{"name":"Zoë 😀"}}`}},
		{"all booleans", lines("email,notify", "a@b.co,FALSE", "b@b.co,0", "c@b.co,No", "d@b.co,1", "e@b.co,true", "f@b.co,yes"), []string{
			`2 a@b.co {"notify":false}`, `3 b@b.co {"notify":false}`, `4 c@b.co {"notify":false}`, "5 d@b.co", "6 e@b.co", "7 f@b.co"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(enqueue.CSV(strings.NewReader(tt.in)))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.want, told(enqueue.CSV(iotest.OneByteReader(strings.NewReader(tt.in))))); diff != "" {
				t.Errorf("read byte by byte: %s", diff)
			}
		})
	}
}

func TestCSVBadRows(t *testing.T) {
	const (
		mark  = "has a quotation mark out of place"
		marks = "a cell that holds quotation marks stands in quotation marks, with each mark inside it doubled"
	)
	tests := []struct {
		name, in string
		want     []string
	}{
		{"bad addresses", lines("email,id", "Ada <ada@example.com>,", ",x", "ada@example.com,"), []string{
			"row 2: email_address is not one plain address such as ada@example.com", "row 3: email_address is missing", "4 ada@example.com"}},
		{"every cell bad", lines("email,public_metadata,redirect_url,notify,ignore_existing,expires_in_days,template_slug,id,lane,not_before,deadline",
			"x,[],x,x,x,x,x,a b,x,x,tomorrow", "ada@example.com,,,,,,,,,,"), []string{
			"row 2: notify must be true or false, yes or no, 1 or 0; ignore_existing must be true or false, yes or no, 1 or 0; " +
				"expires_in_days must be a whole number from 1 to 365; not_before must be a time in RFC 3339, such as 2026-01-31T09:00:00Z; " +
				"deadline must be a time in RFC 3339, such as 2026-01-31T09:00:00Z; email_address is not one plain address such as ada@example.com; " +
				`lane must be interactive or import; public_metadata must be a JSON object such as {"plan":"pro"}; ` +
				"redirect_url must be an absolute http(s) URL or a path that begins with /; template_slug must be invitation or waitlist_invitation; " +
				"id must be printable ASCII without spaces, / and @", "3 ada@example.com"}},
		{"days", lines("email,expires_in_days", "a@b.co,0", "a@b.co,366", "a@b.co,-1", "a@b.co,1.5", "a@b.co,99999999999999999999", "a@b.co,7 days"), []string{
			"row 2: expires_in_days must be 1 to 365", "row 3: expires_in_days must be 1 to 365", "row 4: expires_in_days must be 1 to 365",
			"row 5: expires_in_days must be a whole number from 1 to 365", "row 6: expires_in_days must be a whole number from 1 to 365",
			"row 7: expires_in_days must be a whole number from 1 to 365"}},
		{"dates without a time or zone", lines("email,not_before", "a@b.co,2026-01-31", "a@b.co,2026-01-31T09:00:00", "a@b.co,31.01.2026"), []string{
			"row 2: not_before must be a time in RFC 3339, such as 2026-01-31T09:00:00Z", "row 3: not_before must be a time in RFC 3339, such as 2026-01-31T09:00:00Z",
			"row 4: not_before must be a time in RFC 3339, such as 2026-01-31T09:00:00Z"}},
		{"deadline first", lines("email,not_before,deadline", "a@b.co,2026-01-31T09:00:00Z,2026-01-31T08:00:00Z"), []string{"row 2: deadline must not be before not_before"}},
		{"ragged", lines("email,id", "a@b.co", "b@b.co,x,y", "c@b.co,z"), []string{
			"row 2: has 1 cells, but the header has 2", "row 3: has 3 cells, but the header has 2", `4 c@b.co {"id":"z"}`}},
		{"a value under no name", lines("email,,id", "a@b.co,x,", "b@b.co,,"), []string{"row 2: has a value in column 2, which has no name", "3 b@b.co"}},
		{"a bare quote", lines("email,public_metadata.n", `a@b.co,6" pipe`, "b@b.co,x"), []string{
			"row 2: " + mark + "; " + marks, `3 b@b.co {"public_metadata":{"n":"x"}}`}},
		{"text behind a quote", lines("email,public_metadata.n", `a@b.co,"x" y`, "b@b.co,x"), []string{
			"row 2: " + mark + "; " + marks, `3 b@b.co {"public_metadata":{"n":"x"}}`}},
		{"a quote that ends lines later", lines("email,public_metadata.n", `a@b.co,"x`, "b@b.co,y", `c@b.co,"z"`, "d@b.co,w"), []string{
			"row 2: " + mark + ", so that lines 2 to 4 were taken for one row; " + marks, `5 d@b.co {"public_metadata":{"n":"w"}}`}},
		{"a quote that never ends", lines("email,public_metadata.n", `a@b.co,x`, `b@b.co,"y`, "c@b.co,z", ""), []string{
			`2 a@b.co {"public_metadata":{"n":"x"}}`, "row 3: " + mark + ", so that lines 3 to 4 were taken for one row; " + marks}},
		{"Latin-1", "email,public_metadata.n\na@b.co,Zo\xeb\nb@b.co,x\n", []string{"row 2: public_metadata.n is not UTF-8 text", `3 b@b.co {"public_metadata":{"n":"x"}}`}},
		{"Latin-1 under an odd name", "email,public_metadata.a(at)b.co\na@b.co,Zo\xeb\n", []string{"row 2: public_metadata (column 2) is not UTF-8 text"}},
		{"NUL", "email,public_metadata.n\n" + strings.Repeat("\n", 1<<17) + "a@b.co,x\x00y\n", []string{"row 131074: public_metadata.n is not UTF-8 text"}},
		{"header injection", "email\n\"ada@example.com\r\nBcc: x\"\n", []string{"row 2: email_address contains a control character"}},
		{"metadata too large", lines("email,public_metadata.n", "a@b.co,"+strings.Repeat("x", 9000)), []string{"row 2: public_metadata has 9008 bytes; at most 8192 are allowed"}},
		{"a formula", lines("email,id", `=HYPERLINK(1),x`), []string{"row 2: email_address is not one plain address such as ada@example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(enqueue.CSV(strings.NewReader(tt.in)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCSVHeader(t *testing.T) {
	const (
		noHeader = "the first row must name the columns, such as email_address, but it holds an address"
		known    = "known are email_address (or email), public_metadata, public_metadata.KEY, redirect_url, notify, ignore_existing, " +
			"expires_in_days, template_slug, id, lane, not_before and deadline"
		noEmail = "the first row must name the columns, and one of them must be email_address or email; " + known
	)
	tests := []struct{ name, in, want string }{
		{"empty", "", "the file is empty; its first row must name the columns, such as email_address"},
		{"BOM alone", "\ufeff", "the file is empty; its first row must name the columns, such as email_address"},
		{"blank lines alone", "\n\r\n\n", "the file is empty; its first row must name the columns, such as email_address"},
		{"no header", lines("ada@example.com,pro", "grace@example.com,pro"), noHeader},
		{"no header, address later", lines("Ada,ada@example.com"), noHeader},
		{"no e-mail column", lines("name,id", "Ada,x"), noEmail},
		{"a person in the first row", "Ada Lovelace,12 St James's Square", noEmail},
		{"unknown column", lines("email,full name", "ada@example.com,Ada"), `unknown column 2 ("full name"); ` + known},
		{"several unknown columns", lines("name,email,phone no.", "x,y,z"), `unknown column 1 ("name"), column 3 ("phone no."); ` + known},
		{"an unknown column that may be no name", lines("email,ada(at)example.com," + strings.Repeat("x", 41)), `unknown column 2, column 3; ` + known},
		{"a dozen unknown columns", "email,!1,!2,!3,!4,!5,!6,!7,!8,!9,!a,!b,!c", "unknown column 2, column 3, column 4, column 5, column 6, column 7, column 8, column 9, column 10, column 11 and 2 more columns; " + known},
		{"a metadata column without a key", lines("email,public_metadata."), `unknown column 2 ("public_metadata."); ` + known},
		{"import_id", lines("email,import_id"), `unknown column 2 ("import_id"); ` + known},
		{"twice", lines("email,id,ID"), "column 3 names the same field as an earlier column"},
		{"email and email_address", lines("email,email_address"), "column 2 names the same field as an earlier column"},
		{"a member twice", lines("email,public_metadata.a,public_metadata.a"), "column 3 names the same field as an earlier column"},
		{"metadata and members", lines("public_metadata,email,public_metadata.a"), "the header has public_metadata and public_metadata.KEY columns; use the one or the others"},
		{"odd quotes", `email,"id`, "the first row, which must name the columns, is not valid CSV"},
		{"UTF-16 little endian", "\xff\xfee\x00m\x00a\x00i\x00l\x00\n\x00", "the file is UTF-16; save it as UTF-8"},
		{"UTF-16 big endian", "\xfe\xff\x00e\x00m\x00a\x00i\x00l\x00\n", "the file is UTF-16; save it as UTF-8"},
		{"UTF-16 without a mark", "e\x00m\x00a\x00i\x00l\x00\n\x00", "the file is UTF-16 or not text at all; save it as UTF-8"},
		{"Latin-1", "email,id,gr\xf6\xdfe\n", "the file is not UTF-8; save it as CSV (UTF-8)"},
		{"Latin-1 behind a sep line", "sep=,\nemail,id,gr\xf6\xdfe\n", "the file is not UTF-8; save it as CSV (UTF-8)"},
		{"workbook", "PK\x03\x04\x14\x00", "the file is a workbook or a zip archive; save the sheet as CSV (UTF-8)"},
		{"gzip", "\x1f\x8b\x08\x00", "the file is compressed; unpack it first"},
		{"lone CR", "email,id\rada@example.com,x\rgrace@example.com,y", "the file has line ends of a kind that is not understood (a lone CR); save it as CSV (UTF-8)"},
		{"HTML", "<!DOCTYPE html>\n<html>", noEmail},
		{"JSON Lines", `{"email_address":"ada@example.com"}`, "the file is JSON and not CSV; its format is jsonl"},
		{"JSON", "\ufeff  [\n{}\n]", "the file is JSON and not CSV; its format is jsonl"},
		{"sep line with a quote", "sep=\"\nemail\n", "the first row, which must name the columns, is not valid CSV"},
		{"sep line alone", "sep=;", "the file is empty; its first row must name the columns, such as email_address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, told(enqueue.CSV(strings.NewReader(tt.in)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// endless gives a start and then the same text for ever, and counts.
type endless struct {
	start, again string
	read         int
}

func (e *endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if e.start == "" {
			e.start = e.again
		}
		m := copy(p[n:], e.start)
		e.start, n = e.start[m:], n+m
	}
	e.read += len(p)
	return len(p), nil
}

// TestEndlessRow feeds rows that never end: they are refused after a megabyte,
// not when memory is gone.
func TestEndlessRow(t *testing.T) {
	const long = ": is longer than 1 MiB; is a quotation mark or a line end missing?"
	tests := []struct {
		name, start, again string
		format             enqueue.Format
		want               []string
		most               int
	}{
		{"header", "", "email,", enqueue.FormatCSV, []string{"the first row is longer than 64 KiB; it must name the columns, such as email_address"}, 64 << 10},
		{"header in quotes", "email,\"", "x\n", enqueue.FormatCSV, []string{"the first row" + long}, 1 << 20},
		{"line", "email\na@b.co\n", "x", enqueue.FormatCSV, []string{"2 a@b.co", "the row after row 2" + long}, 1 << 20},
		{"quoted cell", "email,id\na@b.co,\nb@b.co,\"", "a@b.co,x\n", enqueue.FormatCSV, []string{"2 a@b.co", "the row after row 2" + long}, 1 << 20},
		{"cells", "email,id\na@b.co,\n", ",", enqueue.FormatCSV, []string{"2 a@b.co", "the row after row 2" + long}, 1 << 20},
		{"line of JSON", `{"email_address":"a@b.co"}` + "\n{\"id\":\"", "x", enqueue.FormatJSONLines, []string{"1 a@b.co", "row 2" + long}, 1 << 20},
		{"spaces of JSON", "", " ", enqueue.FormatJSONLines, []string{"row 1" + long}, 1 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &endless{start: tt.start, again: tt.again}
			if diff := cmp.Diff(tt.want, told(tt.format.Rows(r))); diff != "" {
				t.Error(diff)
			}
			if most := tt.most + 128<<10; r.read > most {
				t.Errorf("%d bytes were read, want at most %d", r.read, most)
			}
		})
	}
}

// The largest good row is taken, wherever the reader's buffers end.
func TestLongRows(t *testing.T) {
	var in strings.Builder
	in.WriteString("email,public_metadata.n\n")
	for n := range 100 {
		fmt.Fprintf(&in, "p%d@example.com,\"%s\"\n", n, strings.Repeat("x", 8000+n))
	}
	for row, err := range enqueue.CSV(strings.NewReader(in.String())) {
		want := fmt.Sprintf(`{"n":"%s"}`, strings.Repeat("x", 8000+row.Number-2))
		if err != nil || string(row.Invite.PublicMetadata) != want {
			t.Fatalf("row %d: %d bytes, %v", row.Number, len(row.Invite.PublicMetadata), err)
		}
	}
	blank := "email\n" + strings.Repeat("\r\n", 400_000) + "a@b.co\n"
	if diff := cmp.Diff([]string{"400002 a@b.co"}, told(enqueue.CSV(strings.NewReader(blank)))); diff != "" {
		t.Error(diff)
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("the disk is on fire")
	tests := []struct {
		name string
		from enqueue.Source
		want []string
	}{
		{"CSV, at once", enqueue.CSV(iotest.ErrReader(broken)), []string{"the disk is on fire"}},
		{"CSV, in the header", enqueue.CSV(after("email,", broken)), []string{"the disk is on fire"}},
		{"CSV, later", enqueue.CSV(after("email\na@b.co\nb@b", broken)), []string{"2 a@b.co", "the row after row 2: the disk is on fire"}},
		{"CSV, in a bad row", enqueue.CSV(after("email\na@b.co\nb\"b", broken)), []string{"2 a@b.co", "the row after row 2: the disk is on fire"}},
		{"JSON, at once", enqueue.JSONLines(iotest.ErrReader(broken)), []string{"row 1: the disk is on fire"}},
		{"JSON, later", enqueue.JSONLines(after(`{"email_address":"a@b.co"}`+"\n{}", broken)), []string{"1 a@b.co", "row 2: the disk is on fire"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(tt.from)); diff != "" {
				t.Error(diff)
			}
		})
	}
	var last error
	for _, err := range enqueue.CSV(after("email\n", broken)) {
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("the error is %v, want one that wraps the reader's", last)
	}
}

func after(s string, err error) io.Reader {
	return io.MultiReader(strings.NewReader(s), iotest.ErrReader(err))
}

// A consumer may stop whenever it likes, and the rest is not read.
func TestStopEarly(t *testing.T) {
	for _, format := range []enqueue.Format{enqueue.FormatCSV, enqueue.FormatJSONLines} {
		start := map[enqueue.Format]string{enqueue.FormatCSV: "email\n", enqueue.FormatJSONLines: ""}[format]
		again := map[enqueue.Format]string{enqueue.FormatCSV: "ada@example.com\nx\n", enqueue.FormatJSONLines: "{\"email_address\":\"ada@example.com\"}\nx\n"}[format]
		r := &endless{start: start, again: again}
		n := 0
		for range format.Rows(r).Lane(tasks.Interactive).Distinct() {
			if n++; n == 3 {
				break
			}
		}
		if n != 3 || r.read > 256<<10 {
			t.Errorf("%s: stopped after %d rows and %d bytes", format, n, r.read)
		}
	}
}

func ExampleCSV() {
	file := strings.NewReader(`Email,public_metadata.plan,expires_in_days
ada@example.com,pro,7
grace@example,pro,7
Ada@Example.com,pro,7
`)
	for row, err := range enqueue.CSV(file).Distinct() {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(row.Number, row.Invite.EmailAddress, string(row.Invite.PublicMetadata))
	}
	// Output:
	// 2 a***@e*** {"plan":"pro"}
	// row 3: email_address has a domain without a dot
	// row 4: same address as row 2
}
