package lists_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/inviteq/inviteq/enqueue/lists"
)

// TestExports reads what other programs write. Each file has the same two people
// and the shape that its program gives it.
func TestExports(t *testing.T) {
	const team = `{"public_metadata":{"team":`
	special := map[string][]string{
		"excel-semicolon.csv": {`2 mira@example.com ` + team + `"Süd"}}`, `3 jon@example.com {"notify":false}`},
		"pandas.csv":          {`2 mira@example.com {"expires_in_days":30,"not_before":"2026-03-01T10:00:00Z"}`, `3 jon@example.com {"notify":false}`},
		"psql-copy.csv":       {`2 mira@example.com {"public_metadata":{"plan":"pro"},"deadline":"2026-03-01T10:11:12.5Z"}`, `3 jon@example.com {"notify":false}`},
		"mysql.tsv":           {"2 mira@example.com", `3 jon@example.com {"notify":false}`},
		"array.json":          {`2/1 mira@example.com {"public_metadata":{"plan":"pro"}}`, "3/2 jon@example.com"},
		"comments.csv":        {`4 mira@example.com ` + team + `"#1"}}`, "6 jon@example.com"},
		"linkedin.csv":        {"5 mira@example.com", "6 jon@example.com"},
		"zoom.csv":            {"7 mira@example.com", "8 jon@example.com"},
		"azure.csv":           {"3 mira@example.com", "4 jon@example.com"},
		"google-contacts.csv": {"2 mira@example.com", "4 jon@example.com"},
		"airtable.csv":        {"2 mira@example.com", "4 jon@example.com"},
		"excel-sep.csv":       {"3 mira@example.com", "4 jon@example.com"},
		"psql.txt":            {"3 mira@example.com", "4 jon@example.com"},
		"markdown.txt":        {"3 mira@example.com", "4 jon@example.com"},
		"firebase.csv":        {"1 mira@example.com", "2 jon@example.com"},
		"firebase.json":       {"1/1 mira@example.com", "1/2 jon@example.com"},
		"auth0.json":          {"1 mira@example.com", "2 jon@example.com"},
		"windows-1252.csv": {"row 2: public_metadata.name is not UTF-8 (byte 0xF6, as in Windows-1252 or Latin-1): save the file as CSV UTF-8",
			`3 jon@example.com {"public_metadata":{"name":"Jon"}}`},
	}
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			in, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := special[filepath.Base(path)]
			if want == nil {
				want = []string{"2 mira@example.com", "3 jon@example.com"}
			}
			if diff := cmp.Diff(want, told(string(in), lists.Options{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestIgnored: what is left out is said.
func TestIgnored(t *testing.T) {
	for _, c := range []struct {
		in   string
		want lists.Survey
	}{
		{"First Name,Last Name,Position,Email\nA,B,CEO,a@b.co\n", lists.Survey{Good: 1, Ignored: []string{"First Name", "Last Name", "Position"}}},
		{",email,c(at)d.co\n0,a@b.co,\n", lists.Survey{Good: 1, Ignored: []string{"column 1 (without a name)", "column 3"}}},
		{"name,email\nA,a@b.co\n\nMade on Monday\n\nCopyright\n", lists.Survey{Good: 1, Ignored: []string{"name"}, Footer: 2}},
		{"name,email\nA,a@b.co\n\nNoMail\n\nB,b@b.co\n", lists.Survey{Good: 2, Bad: 1, Ignored: []string{"name"}}},
		{"a@b.co\nb@b.co\n", lists.Survey{Good: 2, Unnamed: true}},
		{"Made on Monday\n\n# by hand\nemail\na@b.co\n# the end\n", lists.Survey{Good: 1, Preamble: 2, Comments: 1}},
		{`{"email":"a@b.co","name":"A"}` + "\n" + `{"email":"b@b.co","plan":"x","name":"B"}`, lists.Survey{Good: 2, Ignored: []string{"name", "plan"}}},
	} {
		list := open(t, c.in, lists.Options{})
		got, err := list.Survey(t.Context(), nil)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", c.in, err, diff)
		}
	}
}

func open(t *testing.T, in string, o lists.Options) *lists.List {
	t.Helper()
	list, err := lists.Open(t.Context(), strings.NewReader(in), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(list.Close)
	return list
}

// TestFaults: what a list must not do to people without a word.
func TestFaults(t *testing.T) {
	const spans = " and holds an address, perhaps somebody's row: is a quotation mark missing or out of place?"
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"a stray quotation mark swallows a person", lines("email,public_metadata.note", `a@b.co,"begun`, `b@b.co,"`, "c@b.co,ok"), []string{
			"row 2: has a cell that spans lines (2 to 3)" + spans, "4 c@b.co {\"public_metadata\":{\"note\":\"ok\"}}"}},
		{"... in a column that is not used", lines("email,Notes,Phone", `a@b.co,"begun,`, `b@b.co,",1`, "c@b.co,ok,2"), []string{
			"row 2: has a cell that spans lines (2 to 3)" + spans, "4 c@b.co"}},
		{"... where the address stands last", lines("Notes,email", `"begun,a@b.co`, `more",b@b.co`, "x,c@b.co"), []string{
			"row 2: has a cell that spans lines (2 to 3)" + spans, "4 c@b.co"}},
		{"a list without names of columns, with a row of two cells", lines("a@b.co", "b@b.co,x"), []string{
			"1 a@b.co", "row 2: has 2 cells, but there is only one column; a cell that holds the separator must stand in quotation marks"}},
		{"an object around the list", `{"kind":"users","data":[{"email":"a@b.co"},{"email":"b@b.co"}],"total_count":2}`, []string{"1/1 a@b.co", "1/2 b@b.co"}},
		{"two lists in an object", `{"data":[{"email":"a@b.co"}],"more":[{"email":"b@b.co"}]}`, []string{
			"1/1 a@b.co", "row 1: something stands behind the list that is not understood; give the list alone"}},
		{"lists within the objects", `{"identities":[{"email":"x@b.co"}],"email":"a@b.co"}` + "\n" + `{"identities":[{"email":"y@b.co"}],"email":"b@b.co"}`, []string{"1 a@b.co", "2 b@b.co"}},
		{"one object that holds a list", `{"identities":[{"email":"x@b.co"}],"email":"a@b.co"}`, []string{"1 a@b.co"}},
		{"links", lines("email", "[a@b.co](mailto:a@b.co)", "[Mira](mailto:b@b.co)", "[c@b.co](mailto:d@b.co)"), []string{
			"2 a@b.co", "3 b@b.co", "row 4: email_address holds 2 addresses; keep the one to invite"}},
		{"MongoDB's ids", `{"_id":{"$oid":"65a"},"email":"a@b.co"}`, []string{"1 a@b.co"}},
		{"notes with a signature", lines("email,Notes", "a@b.co,\"Regards\nAda, London\nada@work.example\"", "c@b.co,ok"), []string{"2 a@b.co", "5 c@b.co"}},
		{"an apostrophe", lines("email", "'a@b.co"), []string{"row 2: email_address begins with an apostrophe, by which spreadsheets mark text; take it away"}},
		{"two addresses", lines("email", "a@b.co ::: c@d.co", "e@b.co;"), []string{"row 2: email_address holds 2 addresses; keep the one to invite", "3 e@b.co"}},
		{"a person commented out", lines("email", "#a@b.co", "c@b.co"), []string{
			"row 2: email_address begins with #; delete the line if it is commented out, or the # if it is not", "3 c@b.co"}},
		{"formulas that have failed", lines("email,public_metadata.team,expires_in_days", "#REF!", "#N/A,x", "a@b.co,#NAME?", "b@b.co,#N/A", "c@b.co,x,#N/A", "d@b.co,x,#ÜBERLAUF!", "e@b.co,#1!"), []string{
			"row 2: email_address is a formula that has failed; repair it, or write the value", "row 3: email_address is a formula that has failed; repair it, or write the value",
			"row 4: public_metadata.team is a formula that has failed; repair it, or write the value", "row 5: public_metadata.team is a formula that has failed; repair it, or write the value",
			`6 c@b.co {"public_metadata":{"team":"x"}}`, "row 7: expires_in_days is a formula that has failed; repair it, or write the value", `8 e@b.co {"public_metadata":{"team":"#1!"}}`}},
		{"spaces behind quotation marks", lines("email,public_metadata.name", `"a@b.co" ,"Person, One" `), []string{`2 a@b.co {"public_metadata":{"name":"Person, One"}}`}},
		{"short rows", lines("email,public_metadata.name,public_metadata.team", "a@b.co,N", "b@b.co", "c@b.co,N,T"), []string{
			`2 a@b.co {"public_metadata":{"name":"N"}}`, "3 b@b.co", `4 c@b.co {"public_metadata":{"name":"N","team":"T"}}`}},
		{"empty cells behind", lines("email,public_metadata.a", "a@b.co,x,,,", "b@b.co,y"), []string{`2 a@b.co {"public_metadata":{"a":"x"}}`, `3 b@b.co {"public_metadata":{"a":"y"}}`}},
		{"a refused row leaves nothing to the next", lines("email,public_metadata.a", "a@b.co,x,y", "b@b.co,z"), []string{
			"row 2: has 3 cells, but there are only 2 columns; a cell that holds the separator must stand in quotation marks", `3 b@b.co {"public_metadata":{"a":"z"}}`}},
		{"two byte order marks", "\ufeff\ufeffemail\na@b.co\n", []string{"2 a@b.co"}},
		{"what is left of a byte order mark", "ï»¿email\na@b.co\n", []string{"2 a@b.co"}},
		{"what cannot be seen in a name", "E\u2011Mail\u00a0Address\u200b\na@b.co\n", []string{"2 a@b.co"}},
		{"vertical bars", lines("email|public_metadata.name", "a@b.co|P"), []string{`2 a@b.co {"public_metadata":{"name":"P"}}`}},
		{"truth", lines("email,notify,ignore_existing", "a@b.co,f,t", "b@b.co,n,Y", "c@b.co,off,ON", "d@b.co,0.0,1.0", "e@b.co,NULL,null"), []string{
			`2 a@b.co {"notify":false,"ignore_existing":true}`, `3 b@b.co {"notify":false,"ignore_existing":true}`, `4 c@b.co {"notify":false,"ignore_existing":true}`,
			`5 d@b.co {"notify":false,"ignore_existing":true}`, "6 e@b.co"}},
		{"days", lines("email;expires_in_days", "a@b.co;30,0", "b@b.co;7.", "c@b.co;7.5"), []string{
			`2 a@b.co {"expires_in_days":30}`, `3 b@b.co {"expires_in_days":7}`, "row 4: expires_in_days must be a whole number from 1 to 365"}},
		{"the same id for two people", lines("id,email", "7,a@b.co", "7,b@b.co", "7,A@b.co"), []string{"2 a@b.co",
			"row 3: id is that of row 2, too, which is for somebody else; if the column does not name people, leave it out with column ignore=id", "row 4: same address as row 2"}},
		{"our own report", lines("row,email_address,outcome,reason,id,invitation_id,updated_at", "2,a@b.co,pending,,inq_1,inv_1,2026-11-25T16:11:38.895Z",
			"3,'+1@b.co,queued,,inq_2,,2026-11-25T16:11:38.895Z"), []string{"2 a@b.co", "3 +1@b.co"}},
		{"our own list", `{"id":"inq_1","email_address":"a@b.co","lane":"import","state":"expired","reason":"","invitation_id":"inv_1","attempts":0,"import_id":"imp_2",` +
			`"created_at":"2026-11-25T16:11:38.895Z","updated_at":"2026-11-25T16:11:38.895Z","not_before":null,"eta":null}`, []string{"1 a@b.co"}},
		{"a cell of a megabyte", lines("email,public_metadata.note", "a@b.co,"+strings.Repeat("x", 1_100_000), "b@b.co,ok"), []string{
			"row 2: is longer than 1 MiB; is a quotation mark or a line end missing?"}},
		{"a quotation mark that never ends", lines("email,id", "a@b.co,", `b@b.co,"`) + strings.Repeat("c@b.co,x\n", 200_000), []string{
			"2 a@b.co", "row 3: is longer than 1 MiB; is a quotation mark or a line end missing?"}},
		{"a line of JSON of a megabyte", `{"email":"a@b.co"}` + "\n" + `{"id":"` + strings.Repeat("x", 1_100_000), []string{
			"1 a@b.co", "row 2: is longer than 1 MiB; is a quotation mark or a line end missing?"}},
		{"a first row of a megabyte", strings.Repeat("email,", 200_000), []string{"the first row is longer than 64 KiB; it must name the columns, such as email_address"}},
		{"too many columns", "email" + strings.Repeat(",x", 1000) + "\na@b.co\n", []string{"row 1: has more than 1000 columns"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, told(c.in, lists.Options{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAddressNames: how programs call the address, and what they call alike.
func TestAddressNames(t *testing.T) {
	for _, name := range []string{
		"E-mail", "e-mail address", "EmailAddress", "EMAIL ADDRESS", "mail", "E-mail 1 - Value", "Email Address [Required]", "primary_email_address", "E-Mail-Adresse",
		"Email:", "Email *", " Correo electrónico", "correo electronico", "Adresse e-mail", "メールアドレス", "Work email", "Attendee Email", "user.email", "Email (required)", "eMail ID",
	} {
		if got := told(name+",other\na@b.co,x\n", lists.Options{}); len(got) != 1 || got[0] != "2 a@b.co" {
			t.Errorf("%q: %q", name, got)
		}
	}
	for _, name := range []string{"Recovery Email", "email_verified", "Unsubscribed from emails", "Email opt-in", "Manager Email", "emailed at"} {
		if got := told(name+",name\na,x\n", lists.Options{}); len(got) != 1 || !strings.HasPrefix(got[0], "no column is known") {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestColumns(t *testing.T) {
	columns, err := lists.ParseColumns([]string{`email_address="Work mail"`, "public_metadata.plan=Tier", "ignore=Notfy"})
	if err != nil {
		t.Fatal(err)
	}
	o := lists.Options{Columns: columns}
	want := []string{`2 a@b.co {"public_metadata":{"plan":"pro"}}`}
	if diff := cmp.Diff(want, told("email,WORK\u00a0MAIL,tier,notfy\nc@d.co,a@b.co,pro,x\n", o)); diff != "" {
		t.Error(diff)
	}
	if got := told("email,tier,notfy\na@b.co,pro,x\n", o); got[0] != "row 1: has no column with the name that was given for email_address" {
		t.Errorf("a rule without its column: %q", got)
	}
	for _, rule := range []string{"email_address", "colour=x", "email_address=", "public_metadata.=x", "=x"} {
		if _, err := lists.ParseColumns([]string{rule}); err == nil {
			t.Errorf("ParseColumns(%q) has no error", rule)
		}
	}
	if _, err := lists.ParseColumns([]string{"id=x", "lane=x"}); err == nil {
		t.Error("one column is two fields")
	}
}

// book makes a workbook.
func book(t *testing.T, sheets map[string][][]any, hidden ...string) string {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	names := slices.Sorted(mapsKeys(sheets))
	for _, name := range names {
		if _, err := f.NewSheet(name); err != nil {
			t.Fatal(err)
		}
		for n, row := range sheets[name] {
			cell, _ := excelize.CoordinatesToCellName(1, n+1)
			if err := f.SetSheetRow(name, cell, &row); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.DeleteSheet("Sheet1"); err != nil {
		t.Fatal(err)
	}
	f.SetActiveSheet(len(names) - 1)
	for _, name := range hidden {
		if err := f.SetSheetVisible(name, false); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func mapsKeys(m map[string][][]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestWorkbook(t *testing.T) {
	people := [][]any{{"Guests"}, {}, {"Name", "E-Mail", "expires_in_days", "notify", "public_metadata.note"},
		{"Mira", "mira@example.com", 30.0, true, "two\nlines, jon@example.com"}, {}, {"Jon", "jon@example.com", nil, false}, {"", "nobody"}}
	in := book(t, map[string][][]any{"1 old": {{"email"}, {"old@example.com"}}, "2 People": people, "3 Notes": {{"x"}}}, "1 old")
	want := []string{
		`4 mira@example.com {"public_metadata":{"note":"two\nlines, jon@example.com"},"expires_in_days":30}`, `6 jon@example.com {"notify":false}`,
		"row 7: email_address is not one plain address such as ada@example.com",
	}
	if diff := cmp.Diff(want, told(in, lists.Options{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"2 old@example.com"}, told(in, lists.Options{Sheet: "1 OLD"})); diff != "" {
		t.Error(diff)
	}
	for sheet, want := range map[string]string{
		"4":       "the workbook has no such sheet; it has 1 old, 2 People, 3 Notes",
		"3 notes": "no column is known to hold the e-mail address",
	} {
		if got := told(in, lists.Options{Sheet: sheet}); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("sheet %q: %q", sheet, got)
		}
	}
	again := book(t, map[string][][]any{"2 People": people})
	if a, b := open(t, in, lists.Options{}), open(t, again, lists.Options{}); a.ImportID() != b.ImportID() {
		t.Error("the same sheet in another workbook is another list")
	}
	if diff := cmp.Diff([]string{"2 old@example.com"}, told(string(pack(t, []byte(in))), lists.Options{Sheet: "1 old"})); diff != "" {
		t.Error(diff)
	}
}

// TestMisspeltDomains: an address that is good, and probably not meant, is said without
// being quoted.
func TestMisspeltDomains(t *testing.T) {
	in := lines("email", "a@gmail.com", "b@gmial.com", "c@Hotmail.con", "d@mail.com", "e@ymail.com", "f@cloud.com", "g@gmx.de", "h@yahoo.fr", "i@googlemail.com", "j@yaho.com")
	got, err := open(t, in, lists.Options{}).Survey(t.Context(), nil)
	if err != nil || got.Good != 10 || got.Misspelt != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"look again: 3 rows with a domain like gmial.com, one letter away from a large provider's; the first is row 3"}, got.Notes()); diff != "" {
		t.Error(diff)
	}
}

// TestWorkbookSheets: the sheet with the people is read, and what a person may have
// forgotten in the workbook is said: other people on other sheets, and hidden rows.
func TestWorkbookSheets(t *testing.T) {
	sheet := func(address string) [][]any { return [][]any{{"email"}, {address}} }
	in := book(t, map[string][][]any{
		"1 empty": {}, "2 Read me": {{"How to"}, {"use it"}}, "3 Team": sheet("a@b.co"), "4 Guests": sheet("b@b.co"), "5 old": sheet("c@b.co"), "6@b.co": sheet("d@b.co"),
	}, "5 old")
	list := open(t, in, lists.Options{})
	got, err := list.Survey(t.Context(), nil)
	if diff := cmp.Diff(lists.Survey{Good: 1, Sheets: []string{"4 Guests", "sheet 6"}}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if diff := cmp.Diff([]string{"not read, though it holds addresses: 4 Guests, sheet 6; bring each sheet as a list of its own"}, got.Notes()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"2 a@b.co"}, told(in, lists.Options{})); diff != "" {
		t.Error(diff)
	}
	chosen, err := open(t, in, lists.Options{Sheet: "4 guests"}).Survey(t.Context(), nil)
	if chosen.Notes() != nil || err != nil {
		t.Errorf("a sheet that was asked for: %q, %v", chosen.Notes(), err)
	}

	f, err := excelize.OpenReader(strings.NewReader(book(t, map[string][][]any{"Team": {{"email"}, {"a@b.co"}, {"b@b.co"}, {"hint"}, {"c@b.co"}}})))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if err := errors.Join(f.SetRowVisible("Team", 3, false), f.SetRowVisible("Team", 4, false), f.Write(&b)); err != nil {
		t.Fatal(err)
	}
	hidden, err := open(t, b.String(), lists.Options{}).Survey(t.Context(), nil)
	if diff := cmp.Diff(lists.Survey{Good: 3, Bad: 1, Hidden: 1}, hidden); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if diff := cmp.Diff([]string{"on the list, too: 1 row hidden in the workbook, perhaps by a filter; delete hidden rows that are not meant"}, hidden.Notes()); diff != "" {
		t.Error(diff)
	}
}

// TestWorkbookBomb: a small file that unpacks to a large one is refused.
func TestWorkbookBomb(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"xl/workbook.xml", "xl/worksheets/sheet1.xml"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(make([]byte, 40<<20))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil || b.Len() > 1<<20 {
		t.Fatal(b.Len(), err)
	}
	_, err := lists.Open(t.Context(), &b, lists.Options{})
	if !errors.Is(err, lists.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func pack(t *testing.T, in []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(in); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
