package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// statusKeys are the keys of an invite in --json.
var statusKeys = []string{
	"attempts", "created_at", "email_address", "eta", "id", "import_id", "invitation_id", "lane", "not_before", "reason", "revoke_refusal", "revoking", "state", "updated_at",
}

func keysOf(o map[string]any) []string { return slices.Sorted(maps.Keys(o)) }

func TestInvite(t *testing.T) {
	w := newWorld(t)
	r := w.run("invite", "Ada@example.com", "--id", "signup-1", "--metadata", `{"plan":"pro"}`, "--redirect-url", "/welcome",
		"--expires-in-days", "7", "--no-notify", "--ignore-existing", "--template", "waitlist_invitation", "--not-before", "2h",
		"--deadline", "2999-01-01T00:00:00Z", "--lane", "import", "--json")
	if r.code != exitDone {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	wants(t, r.stderr, "No worker is running")
	got := objects(t, r.stdout)
	if len(got) != 1 {
		t.Fatalf("got %d objects", len(got))
	}
	if diff := cmp.Diff(statusKeys, keysOf(got[0])); diff != "" {
		t.Error(diff)
	}
	if got[0]["id"] != "signup-1" || got[0]["email_address"] != "Ada@example.com" || got[0]["state"] != "queued" ||
		got[0]["lane"] != "import" || got[0]["not_before"] == nil || got[0]["eta"] != nil {
		t.Errorf("got %v", got[0])
	}

	// The id is an idempotency key.
	again := w.run("invite", "Ada@example.com", "--id", "signup-1", "--metadata", `{ "plan" : "pro" }`, "--redirect-url", "/welcome",
		"--expires-in-days", "7", "--no-notify", "--ignore-existing", "--template", "waitlist_invitation")
	if again.code != exitDone {
		t.Errorf("the same again: exit code %d: %s", again.code, again.stderr)
	}
	wants(t, again.stderr, "signup-1 is known already")
	other := w.run("invite", "grace@example.com", "--id", "signup-1")
	if other.code != exitFailed {
		t.Errorf("the same id for somebody else: exit code %d: %s", other.code, other.stderr)
	}
	wants(t, other.stderr, "signup-1", "choose another id")
	if list := objects(t, w.ok("list", "--json")); len(list) != 1 {
		t.Errorf("got %d invites, want 1", len(list))
	}

	// Two spellings are one person.
	r = w.run("invite", "bob@example.com", "BOB@EXAMPLE.COM")
	if r.code != exitDone || strings.Count(r.stdout, "@") != 1 {
		t.Errorf("exit code %d: %s", r.code, r.stdout)
	}
	wants(t, r.stderr, "address 2 is the same as address 1")
}

// TestInviteRefusesWhatIsBad names every problem, of every address, and enqueues
// nothing.
func TestInviteRefusesWhatIsBad(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"canary", "Can Ary <canary>", "ok@example.com"}, []string{"address 1 is not", "address 2 is not"}},
		{[]string{"canary\n@example.com"}, []string{"address 1 contains a control character"}},
		{[]string{strings.Repeat("canary", 60) + "@example.com"}, []string{"longer than 320 bytes"}},
		{[]string{"canary@localhost"}, []string{"domain without a dot"}},
		{[]string{""}, []string{"address 1 is missing"}},
		{[]string{"ok@example.com", "--expires-in-days", "0"}, []string{"--expires-in-days"}},
		{[]string{"ok@example.com", "--expires-in-days", "366"}, []string{"--expires-in-days must be 1 to 365"}},
		{[]string{"ok@example.com", "--expires-in-days", "soon"}, []string{"--expires-in-days ($INVITEQ_EXPIRES_IN_DAYS): must be a whole number"}},
		{[]string{"ok@example.com", "--metadata", "[1]"}, []string{"--metadata must be a JSON object"}},
		{[]string{"ok@example.com", "--metadata", `{"a":"` + strings.Repeat("x", 9000) + `"}`}, []string{"--metadata has 9008 bytes"}},
		{[]string{"ok@example.com", "--redirect-url", "example.com"}, []string{"--redirect-url must be an absolute"}},
		{[]string{"ok@example.com", "--template", "x"}, []string{"--template must be invitation"}},
		{[]string{"ok@example.com", "--id", "a/b"}, []string{"--id must be printable ASCII"}},
		{[]string{"ok@example.com", "--id", strings.Repeat("i", 129)}, []string{"--id must have 1 to 128 bytes"}},
		{[]string{"ok@example.com", "two@example.com", "--id", "x"}, []string{"--id is for one address"}},
		{[]string{"ok@example.com", "--lane", "slow"}, []string{"--lane must be one of"}},
		{[]string{"ok@example.com", "--not-before", "tomorrow"}, []string{"--not-before ($INVITEQ_NOT_BEFORE): must be a time"}},
		{[]string{"ok@example.com", "--not-before", "2h", "--deadline", "1h"}, []string{"--deadline must not be before"}},
		{[]string{"canary@@", "--expires-in-days", "400", "--template", "x", "--metadata", "x"},
			[]string{"address 1 is not", "--expires-in-days must be", "--template must be", "--metadata must be"}},
	} {
		t.Run(c.want[0], func(t *testing.T) {
			w.t = t
			r := w.run(append([]string{"invite"}, c.args...)...)
			if r.code != exitUsage || r.stdout != "" {
				t.Errorf("exit code %d, stdout %q", r.code, r.stdout)
			}
			wants(t, r.stderr, c.want...)
			if lines := strings.Count(r.stderr, "\n"); lines != len(c.want) {
				t.Errorf("got %d lines, want %d:\n%s", lines, len(c.want), r.stderr)
			}
			if strings.Contains(strings.ToLower(r.stderr), "canary") {
				t.Errorf("an address was printed:\n%s", r.stderr)
			}
		})
	}
	w.t = t
	if list := objects(t, w.ok("list", "--json")); len(list) != 0 {
		t.Errorf("%d invites were enqueued", len(list))
	}
}

func TestImportFormats(t *testing.T) {
	const want = "ada@example.com grace@example.com"
	for _, c := range []struct{ name, file, content string }{
		{"comma", "a.csv", "email_address,public_metadata.team\nada@example.com,x\ngrace@example.com,\"y, z\"\n"},
		{"semicolon, BOM, CRLF, short name", "a.csv",
			"\ufeffpublic_metadata.team;email\r\n\"a \"\"b\"\"\";ada@example.com\r\n;grace@example.com\r\n\r\n"},
		{"tab", "a.tsv", "Email\tredirect_url\nada@example.com\t/x\ngrace@example.com\t\n"},
		{"JSON Lines", "a.jsonl", `{"email_address":"ada@example.com"}` + "\n" + `{"email_address":"grace@example.com","public_metadata":{"n":1}}`},
		{"by its beginning", "list", `{"email_address":"ada@example.com"}` + "\n" + `{"email_address":"grace@example.com"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			path := file(t, c.file, c.content)
			w.ok("import", path)
			var got []string
			for _, o := range objects(t, w.ok("list", "--json")) {
				if o["lane"] != "import" || !strings.HasPrefix(o["import_id"].(string), "imp_") {
					t.Errorf("got %v", o)
				}
				got = append(got, o["email_address"].(string))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestImportRefusesWhatIsBad(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	for _, c := range []struct {
		name, content string
		args          []string
		want          []string
	}{
		{"no file", "", []string{"import", dir + "/none.csv"}, []string{"no such file"}},
		{"directory", "", []string{"import", dir}, []string{"is a directory"}},
		{"empty", "", []string{"import", "-"}, []string{"the file is empty"}},
		{"only a header", "email\n", []string{"import", "-"}, []string{"has no rows"}},
		{"no header", "canary@example.com,canary\n", []string{"import", "-"}, []string{"must name the columns"}},
		{"no address column", "name\ncanary\n", []string{"import", "-"}, []string{"email_address"}},
		{"misspelt column", "email,notfy\ncanary@example.com,no\n", []string{"import", "-"}, []string{`"notfy" looks like notify`}},
		{"broken workbook", "PK\x03\x04", []string{"import", "-"}, []string{"no workbook"}},
		{"UTF-16", "e\x00m\x00", []string{"import", "-"}, []string{"UTF-16"}},
		{"column", "email\n", []string{"import", "-", "--column", "colour=x"}, []string{"--column has a field that is not known"}},
		{"too many rows", "email\ncanary@example.com\nok@example.com\n", []string{"import", "-", "--max-rows", "1"}, []string{"more than 1 rows"}},
		{"every bad row", "email,expires_in_days\ncanary,1\nok@example.com,0\nok2@example.com,7\n,\n\"canary@example.com\n", []string{"import", "-"},
			[]string{"row 2: email_address is not", "row 3: expires_in_days must be", "of 4 rows are bad", "--skip-invalid"}},
		{"only bad rows", "email\ncanary\n", []string{"import", "-", "--skip-invalid"}, []string{"no good row"}},
		{"format", "email\n", []string{"import", "-", "--format", "ods"}, []string{"format must be csv, json, jsonl or xlsx"}},
		{"wrong format", "email\nok@example.com\n", []string{"import", "-", "--format", "jsonl"}, []string{"row 1 must begin an object"}},
		{"import id", "email\nok@example.com\n", []string{"import", "-", "--import-id", "a b"}, []string{"--import-id"}},
		{"lane", "email\nok@example.com\n", []string{"import", "-", "--lane", "slow"}, []string{"--lane"}},
		{"report", "email\nok@example.com\n", []string{"import", "-", "--report", dir + "/none/x.csv"}, []string{"--report", "no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			r := w.runWith(c.content, c.args...)
			if r.code != exitUsage || r.stdout != "" {
				t.Errorf("exit code %d, stdout %q", r.code, r.stdout)
			}
			wants(t, r.stderr, c.want...)
			if strings.Contains(r.stderr, "canary") {
				t.Errorf("an address was printed:\n%s", r.stderr)
			}
		})
	}
	w.t = t
	if list := objects(t, w.ok("list", "--json")); len(list) != 0 {
		t.Errorf("%d invites were enqueued", len(list))
	}
}

// TestImportAgain imports a file that is mended and grows, under one id and
// under that of its content.
func TestImportAgain(t *testing.T) {
	w := newWorld(t)
	temp := t.TempDir() // for the copies of standard input
	t.Setenv("TMPDIR", temp)
	list := "email\nada@example.com\nnobody\nGRACE@example.com\ngrace@EXAMPLE.com\n"
	last := func(args ...string) map[string]any {
		t.Helper()
		r := w.runWith(list, append([]string{"import", "-", "--json"}, args...)...)
		all := objects(t, r.stdout)
		if r.code != exitDone {
			t.Fatalf("exit code %d: %s", r.code, r.stderr)
		}
		return all[len(all)-1]
	}
	counts := func(o map[string]any) string {
		return fmt.Sprint(o["rows"], o["invalid"], o["duplicates"], o["admitted"], o["known"], o["conflicting"], o["total"], o["dry_run"])
	}
	if got := counts(last("--skip-invalid", "--dry-run")); got != "4 1 1 0 0 0 0 true" {
		t.Errorf("dry run: got %s", got)
	}
	first := last("--skip-invalid")
	if got := counts(first); got != "4 1 1 2 0 0 2 false" {
		t.Errorf("got %s", got)
	}
	keys := []string{
		"admitted", "comments", "conflicting", "created_at", "dry_run", "duplicates", "eta", "footer", "held_until", "hidden", "ignored", "import_id", "invalid", "known", "name",
		"open", "owner", "paused_at", "preamble", "rows", "sheets", "state", "states", "total",
	}
	if diff := cmp.Diff(keys, keysOf(first)); diff != "" {
		t.Error(diff)
	}
	if got := last("--skip-invalid"); counts(got) != "4 1 1 0 2 0 2 false" || got["import_id"] != first["import_id"] {
		t.Errorf("the same again: got %v", got)
	}
	list = strings.Replace(list, "nobody", "bob@example.com", 1)
	id := first["import_id"].(string)
	if got := counts(last("--import-id", id)); got != "4 0 1 1 2 0 3 false" {
		t.Errorf("mended, under the old id: got %s", got)
	}

	// An address that stands in the import with other content.
	list = "email,expires_in_days\nada@example.com,3\n"
	r := w.runWith(list, "import", "-", "--import-id", id)
	if r.code != exitFailed {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	wants(t, r.stderr, "row 2: not enqueued", "with other content")
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("copies of the list were left behind: %v, %v", left, err)
	}
}

// TestImportInterrupted ends the reading of a list that never comes.
func TestImportInterrupted(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	w := newWorld(t)
	never, held := io.Pipe()
	defer held.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var out safeBuffer
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{"import", "-"}, w.env, never, &out, &out) }()
	if _, err := held.Write([]byte("email\n")); err != nil { // It returns when it has been read.
		t.Fatal(err)
	}
	cancel()
	if got := <-code; got != exitFailed {
		t.Errorf("exit code %d", got)
	}
	wants(t, out.String(), "interrupted")
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("a copy of the list was left behind: %v, %v", left, err)
	}
}

func TestReport(t *testing.T) {
	w := newWorld(t)
	list := file(t, "list.csv", "email\nada@example.com\n+1@example.com\nnobody\nADA@example.com\n=1+1@example.com\n")
	path := filepath.Join(t.TempDir(), "out.csv")
	w.ok("import", list, "--skip-invalid", "--import-id", "imp_1", "--report", path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the report: %v, %v; want mode 0600", info, err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for _, row := range rows {
		got = append(got, row[:4])
	}
	want := [][]string{
		{"row", "email_address", "outcome", "reason"},
		{"2", "ada@example.com", "queued", ""},
		{"3", "'+1@example.com", "queued", ""},
		{"4", "", "invalid", "email_address is not one plain address such as ada@example.com"},
		{"5", "", "duplicate", "same address as row 2"},
		{"6", "'=1+1@example.com", "queued", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
