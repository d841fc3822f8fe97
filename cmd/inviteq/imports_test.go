package main

import (
	"fmt"
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
