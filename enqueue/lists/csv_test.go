package lists_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
)

// told renders what a list says: a line for each row, "N address" and whatever
// else it asks for, or the error.
func told(in string, o lists.Options) []string {
	list, err := lists.Open(context.Background(), strings.NewReader(in), o)
	if err != nil {
		return []string{err.Error()}
	}
	defer list.Close()
	return read(list)
}

// read is told for a list that is open.
func read(list *lists.List) []string {
	var out []string
	for row, err := range list.Rows(context.Background(), "imp_1") {
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		j := row.Invite.JSON()
		line := fmt.Sprintf("%d %s", row.Place.Row, j.EmailAddress)
		if row.Item > 0 {
			line = fmt.Sprintf("%d/%d %s", row.Place.Row, row.Item, j.EmailAddress)
		}
		if j.EmailAddress, j.ImportID, j.Lane = "", "", strings.TrimPrefix(j.Lane, "import"); row.Invite.Lane == tasks.Interactive {
			j.Lane = "interactive"
		}
		if strings.HasPrefix(j.ID, "inq_") {
			j.ID = ""
		}
		if rest, err := json.Marshal(j); err != nil || string(rest) != "{}" {
			line += " " + string(rest)
		}
		out = append(out, line)
	}
	return out
}

// global shows the ids of rows.
var global = lists.Options{GlobalIDs: true}

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
			if diff := cmp.Diff(tt.want, told(tt.in, global)); diff != "" {
				t.Error(diff)
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
		{"bad addresses", lines("email,id", "Ada (ada@example.com),", ",x", "ada@example.com,"), []string{
			"row 2: email_address is not one plain address such as ada@example.com", "row 3: email_address is missing", "4 ada@example.com"}},
		{"every cell bad", lines("email,public_metadata,redirect_url,notify,ignore_existing,expires_in_days,template_slug,id,lane,not_before,deadline",
			"x,[],x,x,x,x,x,a b,x,x,tomorrow", "ada@example.com,,,,,,,,,,"), []string{
			"row 2: notify must be true or false, yes or no, 1 or 0; ignore_existing must be true or false, yes or no, 1 or 0; " +
				"expires_in_days must be a whole number from 1 to 365; not_before must be a time with its zone (RFC 3339), such as 2026-01-31T09:00:00Z; " +
				"deadline must be a time with its zone (RFC 3339), such as 2026-01-31T09:00:00Z; id must be printable ASCII without spaces, / and @; " +
				"email_address is not one plain address such as ada@example.com; " +
				`lane must be interactive or import; public_metadata must be a JSON object such as {"plan":"pro"}; ` +
				"redirect_url must be an absolute http(s) URL or a path that begins with /; template_slug must be invitation or waitlist_invitation", "3 ada@example.com"}},
		{"days", lines("email,expires_in_days", "a@b.co,0", "a@b.co,366", "a@b.co,-1", "a@b.co,1.5", "a@b.co,99999999999999999999", "a@b.co,7 days"), []string{
			"row 2: expires_in_days must be 1 to 365", "row 3: expires_in_days must be 1 to 365", "row 4: expires_in_days must be 1 to 365",
			"row 5: expires_in_days must be a whole number from 1 to 365", "row 6: expires_in_days must be a whole number from 1 to 365",
			"row 7: expires_in_days must be a whole number from 1 to 365"}},
		{"dates without a time or zone", lines("email,not_before", "a@b.co,2026-01-31", "a@b.co,2026-01-31T09:00:00", "a@b.co,31.01.2026"), []string{
			"row 2: not_before must be a time with its zone (RFC 3339), such as 2026-01-31T09:00:00Z", "row 3: not_before must be a time with its zone (RFC 3339), such as 2026-01-31T09:00:00Z",
			"row 4: not_before must be a time with its zone (RFC 3339), such as 2026-01-31T09:00:00Z"}},
		{"deadline first", lines("email,not_before,deadline", "a@b.co,2026-01-31T09:00:00Z,2026-01-31T08:00:00Z"), []string{"row 2: deadline must not be before not_before"}},
		{"more cells than columns", lines("email,id", "b@b.co,x,y", "c@b.co,z,, "), []string{
			"row 2: has 3 cells, but there are only 2 columns; a cell that holds the separator must stand in quotation marks", `3 c@b.co {"id":"z"}`}},
		{"a bare quote", lines("email,public_metadata.n", `a@b.co,6" pipe`, "b@b.co,x"), []string{
			"row 2: " + mark + "; " + marks, `3 b@b.co {"public_metadata":{"n":"x"}}`}},
		{"text behind a quote", lines("email,public_metadata.n", `a@b.co,"x" y`, "b@b.co,x"), []string{
			"row 2: " + mark + "; " + marks, `3 b@b.co {"public_metadata":{"n":"x"}}`}},
		{"a quote that ends lines later", lines("email,public_metadata.n", `a@b.co,"x`, "b@b.co,y", `c@b.co,"z"`, "d@b.co,w"), []string{
			"row 2: " + mark + ", so that lines 2 to 4 were taken for one row; " + marks, `5 d@b.co {"public_metadata":{"n":"w"}}`}},
		{"a quote that never ends", lines("email,public_metadata.n", `a@b.co,x`, `b@b.co,"y`, "c@b.co,z", ""), []string{
			`2 a@b.co {"public_metadata":{"n":"x"}}`, "row 3: " + mark + ", so that lines 3 to 4 were taken for one row; " + marks}},
		{"Latin-1", "email,public_metadata.n\na@b.co,Zo\xeb\nb@b.co,x\n", []string{"row 2: public_metadata.n is not UTF-8 (byte 0xEB, as in Windows-1252 or Latin-1): save the file as CSV UTF-8", `3 b@b.co {"public_metadata":{"n":"x"}}`}},
		{"Latin-1 under an odd name", "email,public_metadata.a(at)b.co\na@b.co,Zo\xeb\n", []string{"row 2: public_metadata is not UTF-8 (byte 0xEB, as in Windows-1252 or Latin-1): save the file as CSV UTF-8"}},
		{"NUL", "email,public_metadata.n\n" + strings.Repeat("\n", 1<<17) + "a@b.co,x\x00y\n", []string{"row 131074: public_metadata.n has a NUL (U+0000), which is not text"}},
		{"header injection", "email\n\"ada@example.com\r\nBcc: x\"\n", []string{"row 2: has a cell that spans lines (2 to 3) and holds an address, perhaps somebody's row: is a quotation mark missing or out of place?"}},
		{"metadata too large", lines("email,public_metadata.n", "a@b.co,"+strings.Repeat("x", 9000)), []string{"row 2: public_metadata has 9008 bytes; at most 8192 are allowed"}},
		{"a formula", lines("email,id", `=HYPERLINK(1),x`), []string{"row 2: email_address is not one plain address such as ada@example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(tt.in, global)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCSVHeader(t *testing.T) {
	const (
		empty    = "the file is empty; its first row must name the columns, such as email_address"
		noHeader = "the first row must name the columns, such as email_address, but it holds an address"
		noEmail  = "no column is known to hold the e-mail address"
		say      = ". Name one of the columns email_address, or say which it is with column email_address=NAME"
		quotes   = "the first row, which must name the columns, is not valid CSV: a quotation mark is missing or out of place"
	)
	tests := []struct{ name, in, want string }{
		{"empty", "", empty},
		{"BOM alone", "\ufeff", empty},
		{"blank lines alone", "\n\r\n\n", empty},
		{"sep line alone", "sep=;", empty},
		{"no header", lines("ada@example.com,pro", "grace@example.com,pro"), noHeader},
		{"no header, address later", lines("Ada,ada@example.com"), noHeader},
		{"pasted from a mail", "Ada L. <ada@example.com>; grace@example.com;\n", "the first row holds several addresses; put each on a line of its own"},
		{"no e-mail column", lines("name,id", "Ada,x"), noEmail + "; the first row has name, id" + say},
		{"no e-mail column, semicolons", lines("Vorname;(at)", "Ada;x"), noEmail + "; the first row has Vorname, column 2" + say},
		{"a person in the first row", "Ada Lovelace,12 St James's Square", noEmail + say},
		{"separated by what cannot be seen", "name\x1fcourrier\nAda\x1fx", noEmail + " (and U+001F, which cannot be seen)" + say},
		{"misspelt", lines("emial,name", "ada@example.com,Ada"), `row 1: "emial" looks like email_address: correct it, or leave it out with column ignore=…`},
		{"misspelt, with capitals", lines("email;Redirect URI", "ada@example.com;/x"), `row 1: "Redirect URI" looks like redirect_url: correct it, or leave it out with column ignore=…`},
		{"misspelt days", lines("email,expire_in_days", "ada@example.com,7"), `row 1: "expire_in_days" looks like expires_in_days: correct it, or leave it out with column ignore=…`},
		{"misspelt metadata", lines("email,public_metdata.plan", "ada@example.com,7"), `row 1: "public_metdata.plan" looks like public_metadata.KEY: correct it, or leave it out with column ignore=…`},
		{"twice", lines("email,id,ID"), `row 1: "id" and "ID" both name id; leave one out with column ignore=NAME`},
		{"email and email_address", lines("email,email_address"), `row 1: "email" and "email_address" both name email_address; leave one out with column ignore=NAME`},
		{"a member twice", lines("email,public_metadata.a(at)b,public_metadata.a(at)b"), `row 1: column 2 and column 3 both name public_metadata; leave one out with column ignore=NAME`},
		{"two that may be", lines("Home email,Work email", "ada@example.com,ada@example.org"),
			`row 1: "Home email" and "Work email" may both hold the address; say which does with column email_address="Home email"`},
		{"metadata and members", lines("public_metadata,email,public_metadata.a"), "row 1: has public_metadata and public_metadata.KEY; use the one or the others"},
		{"odd quotes", `email,"id`, quotes},
		{"sep line with a quote", "sep=\"\nemail\n", "the separator in the first line (sep=) is not usable"},
		{"UTF-16 without a mark", "e\x00m\x00a\x00i\x00l\x00\n\x00", "the file is UTF-16 without a byte order mark, or not text at all; save it as UTF-8"},
		{"UTF-32", "\xff\xfe\x00\x00e\x00\x00\x00", "the file is UTF-32; save it as UTF-8"},
		{"broken workbook", "PK\x03\x04\x14\x00", "the file is no workbook (.xlsx), or it is broken; save it again, or as CSV UTF-8"},
		{"old workbook", "\xd0\xcf\x11\xe0\xa1\xb1", "the file is an old workbook (.xls), or one that is protected by a password; save it as .xlsx without one, or as CSV UTF-8"},
		{"broken gzip", "\x1f\x8b\x08\x00", "the file is broken: it begins like one compressed by gzip"},
		{"HTML", "<!DOCTYPE html>\n<html>", "the file is HTML or XML (some programs call that .xls); open it in a spreadsheet and save it as .xlsx or CSV UTF-8"},
		{"vCards", "BEGIN:VCARD\nVERSION:3.0\n", "the file holds vCards; export the contacts as CSV"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, told(tt.in, global)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
