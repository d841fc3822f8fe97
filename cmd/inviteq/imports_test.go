package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// people writes a list of n people into a file.
func people(t *testing.T, name string, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("email\n")
	for i := range n {
		fmt.Fprintf(&b, "%s.%d@example.com\n", strings.TrimSuffix(name, ".csv"), i)
	}
	return file(t, name, b.String())
}

// TestPausedImport: one list stands still while another goes, is shown so, and goes
// on when it is told to; a list that is held waits until somebody lets it go.
func TestPausedImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withClerk(clerksim.Config{})
	w.ok("import", people(t, "still.csv", 30), "--import-id", "still")
	wants(t, w.ok("pause", "--import-id", "still"), "still is paused, with 30 invites that wait", "`inviteq resume --import-id still`")
	out := w.ok("import", people(t, "held.csv", 20), "--import-id", "held", "--hold", "10m")
	wants(t, out, "held: 20 invites enqueued", "Its first row goes in ", "`inviteq resume --import-id held` lets it go at once", "`inviteq revoke --import-id held` cancels it")
	w.startWorker("--reserve", "0")
	w.ok("import", people(t, "goes.csv", 25), "--import-id", "goes", "--wait")
	for _, list := range []string{"still", "held"} {
		if got := objects(t, w.ok("status", list, "--json"))[0]; got["open"] == 0.0 || got["states"].(map[string]any)["pending"] != 0.0 {
			t.Errorf("%s: got %v", list, got)
		}
	}
	wants(t, w.ok("status", "still"), "30 invites of still.csv", "30 still open.", "It was paused ")
	wants(t, w.ok("quota"), "stopped", "50", "of 2 imports paused or held; `inviteq imports`")
	if got := objects(t, w.ok("quota", "--json"))[0]; got["shelved"] != 50.0 || got["states"].(map[string]any)["queued"] != 50.0 {
		t.Errorf("got %v", got)
	}
	wants(t, w.ok("imports"), "still.csv", "paused", "held until ", "goes.csv", "done")
	all := objects(t, w.ok("imports", "--json", "--limit", "2"))
	if len(all) != 2 || all[0]["import_id"] != "goes" || all[1]["state"] != "held" || all[1]["eta"] == nil || all[1]["held_until"] == nil || all[1]["name"] != "held.csv" {
		t.Errorf("got %v", all)
	}
	again := w.run("import", people(t, "held.csv", 20), "--import-id", "held", "--hold", "1h")
	wants(t, again.stderr, "The import had begun before, so --hold has no effect")

	wants(t, w.ok("resume", "--import-id", "still"), "still is running.")
	w.ok("resume", "--import-id", "held")
	for _, list := range []string{"still", "held"} {
		eventually(t, list+" is done", func() bool { return objects(t, w.ok("status", list, "--json"))[0]["state"] == "done" })
	}
	if n := len(w.sim.Invitations()); n != 75 {
		t.Errorf("Clerk has %d invitations, want 75", n)
	}
	for _, args := range [][]string{{"pause", "--import-id", "nothing"}, {"resume", "--import-id", "nothing"}} {
		if r := w.run(args...); r.code != exitFailed {
			t.Errorf("%v: exit code %d", args, r.code)
		}
	}
	if r := w.run("pause", "--import-id", "still", "--lane", "import"); r.code != exitUsage {
		t.Errorf("both: exit code %d", r.code)
	}
}

// TestRevokeImport takes back a list of which a part has left, says what it would do and
// what it did, and writes the outcome of each row.
func TestRevokeImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "INVITEQ_LIMIT_BULK=1/1h", "INVITEQ_LIMIT_SINGLE=1/1h").withClerk(clerksim.Config{})
	w.ok("import", people(t, "wrong.csv", 40), "--import-id", "wrong")
	w.startWorker("--reserve", "0")
	const gone = 11 // as many as the limits permit
	eventually(t, "some have left", func() bool {
		return objects(t, w.ok("status", "wrong", "--json"))[0]["states"].(map[string]any)["pending"] == float64(gone)
	})
	dry := objects(t, w.ok("revoke", "--import-id", "wrong", "--dry-run", "--json"))[0]
	if dry["to_cancel"] != float64(40-gone) || dry["to_revoke"] != float64(gone) {
		t.Errorf("%d have left: got %v", gone, dry)
	}
	outcomes := filepath.Join(t.TempDir(), "outcomes.csv")
	out := w.ok("revoke", "--import-id", "wrong", "--wait", "--report", outcomes)
	wants(t, out, ", done ", fmt.Sprintf("%d  invites canceled before they were sent", 40-gone), fmt.Sprintf("%d  invitations of inviteq revoked at Clerk", gone))
	b, err := os.ReadFile(outcomes)
	if err != nil || strings.Count(string(b), ",canceled,revoke_requested,")+strings.Count(string(b), ",revoked,revoke_requested,") != 40 {
		t.Errorf("%v: got\n%s", err, b)
	}
	for _, i := range w.sim.Invitations() {
		if i.Status != clerksim.StatusRevoked {
			t.Errorf("%s is %s", i.ID, i.Status)
		}
	}
	if got := objects(t, w.ok("status", "wrong", "--json"))[0]; got["open"] != 0.0 || got["state"] != "done" {
		t.Errorf("got %v", got)
	}
	if r := w.run("revoke", "--import-id", "wrong", "--state", "accepted"); r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
	if r := w.run("revoke", "--import-id", "nothing"); r.code != exitFailed {
		t.Errorf("exit code %d", r.code)
	}
}

// TestRenew: who still has an invitation gets another one once that is revoked, and who
// is invited anew gets one mail for it.
func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withClerk(clerksim.Config{})
	w.startWorker("--reserve", "0")
	w.ok("import", people(t, "team.csv", 12), "--import-id", "team", "--wait")
	r := objects(t, w.ok("renew", "--import-id", "team", "--state", "pending", "--wait", "--json"))[0]
	if r["renewed"] != 12.0 || r["revoked"] != 12.0 || r["done_at"] == nil {
		t.Errorf("got %v", r)
	}
	eventually(t, "all have left", func() bool { return len(w.sim.Invitations()) == 24 })
	again := objects(t, w.ok("renew", "team.3@example.com", "--wait", "--json"))[0]
	if again["renewed"] != 1.0 {
		t.Errorf("again: got %v", again)
	}
	eventually(t, "the last has left", func() bool { return len(w.sim.Invitations()) == 25 })
	live := map[string]int{}
	for _, i := range w.sim.Invitations() {
		if i.Status == clerksim.StatusPending {
			live[i.EmailAddress]++
		}
	}
	if len(live) != 12 || w.sim.Mails("team.3@example.com") != 3 || w.sim.Mails("team.4@example.com") != 2 {
		t.Errorf("%d live links, %d and %d mails", len(live), w.sim.Mails("team.3@example.com"), w.sim.Mails("team.4@example.com"))
	}
	for address, n := range live {
		if n != 1 {
			t.Errorf("%s has %d live links", address, n)
		}
	}
	if r := w.run("renew", "--state", "expired"); r.code != exitDone || !strings.Contains(r.stderr, "no invites") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if r := w.run("renew"); r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
}

// A command that is told to stop while it follows an import still writes its report.
func TestReportOfAStoppedImport(t *testing.T) {
	w := newWorld(t)
	path := file(t, "list.csv", "email\ncanary.1@example.com\ncanary.2@example.com\n")
	report := filepath.Join(t.TempDir(), "outcomes.csv")
	b := w.start("import", path, "--import-id", "spring", "--wait", "--report", report)
	eventually(t, "the import is followed", func() bool { return strings.Contains(b.log.String(), "No worker is running") })
	if code := b.stop(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, string(text), "canary.1@example.com", "canary.2@example.com", "queued")
}

// TestRowIsTheLine: a row has one number, in complaints, in reports and afterwards.
func TestRowIsTheLine(t *testing.T) {
	w := newWorld(t)
	list := file(t, "team.csv", "Team\n\nemail,public_metadata.note\n# ours\na@example.com,\"two\nlines\"\n\nb@example.com\nnobody\nb@example.com\nc@example.com\n")
	first, last := filepath.Join(t.TempDir(), "first.csv"), filepath.Join(t.TempDir(), "last.csv")
	w.ok("import", list, "--skip-invalid", "--import-id", "team", "--report", first)
	w.ok("revoke", "--import-id", "team", "--report", last)
	rows := func(path string) string {
		b, err := os.ReadFile(path)
		must(t, err)
		var s []string
		for line := range strings.Lines(string(b)) {
			cells := strings.Split(line, ",")
			s = append(s, cells[0]+" "+cells[1]+" "+cells[2])
		}
		return strings.Join(s[1:], "; ")
	}
	if got, want := rows(first), "5 a@example.com queued; 8 b@example.com queued; 9  invalid; 10  duplicate; 11 c@example.com queued"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, want := rows(last), "5 a@example.com canceled; 8 b@example.com canceled; 11 c@example.com canceled"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestDryRunComparesIDs: a dry run finds what the ledger would refuse, and needs no Redis.
func TestDryRunComparesIDs(t *testing.T) {
	w := newWorld(t)
	one, two := file(t, "one.csv", "id,email\n1,a@example.com\n2,b@example.com\n"), file(t, "two.csv", "id,email\n1,c@example.com\n2,b@example.com\n")
	w.ok("import", one, "--import-id", "spring", "--global-ids")
	r := w.run("import", two, "--import-id", "summer", "--global-ids", "--dry-run")
	if r.code != exitFailed {
		t.Errorf("exit code %d", r.code)
	}
	wants(t, r.stderr, "row 2: would not be enqueued: import spring has its id (1) already, with other content")
	wants(t, r.stdout, "1 invite would be enqueued as summer")
	r = w.run("import", two, "--import-id", "spring", "--dry-run")
	if r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
	wants(t, r.stderr, "the import was begun with the ids of its id column as the caller's own")
	wants(t, w.ok("import", two, "--dry-run"), "2 invites would be enqueued")
	if r := w.run("status", "summer"); r.code != exitFailed {
		t.Errorf("a dry run has made an import: exit code %d", r.code)
	}
}
