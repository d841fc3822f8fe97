package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestReconcileCommand makes passes by hand: what others have made is found,
// recorded, and then agrees.
func TestReconcileCommand(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	for _, address := range []string{"canary.one@example.com", "canary.two@example.com"} {
		if _, err := w.sim.CreateForeign(address); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(args ...string) map[string]any {
		t.Helper()
		return objects(t, w.ok(append([]string{"reconcile", "--json"}, args...)...))[0]
	}
	if r := pass("--full", "--dry-run", "--adopt"); r["foreign"] != 2.0 || r["adopted"] != 0.0 || r["dry_run"] != true || r["kind"] != "full" {
		t.Errorf("got %v", r)
	}
	if r := pass("--full", "--adopt"); r["adopted"] != 2.0 || r["agreed"] != true {
		t.Errorf("got %v", r)
	}
	if err := w.sim.Accept("canary.one@example.com"); err != nil {
		t.Fatal(err)
	}
	if r := pass(); r["kind"] != "recent" || r["same"] != 1.0 || r["settled"].(map[string]any)["pending→accepted"] != 1.0 {
		t.Errorf("got %v", r)
	}
	got := w.ok("reconcile", "--full")
	wants(t, got, "full pass", "scanned", "agreed", "missing", "reads")
	if strings.Contains(got, "canary") {
		t.Error("a report names somebody")
	}
	wants(t, w.ok("status", "canary.one@example.com"), "accepted")

	for _, args := range [][]string{{"--apply"}, {"--revoke-missing"}, {"--yes"}, {"--desired", file(t, "a.csv", "email\n"), "--adopt"}, {"--desired", file(t, "a.csv", "email\n"), "--revoke-missing"}} {
		if r := w.run(append([]string{"reconcile"}, args...)...); r.code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", args, r.code, exitUsage)
		}
	}
}

// TestReconcileDesired goes from a plan to what it says, with every consent asked
// for on its own.
func TestReconcileDesired(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	for n := range 10 {
		if _, err := w.sim.CreateForeign(fmt.Sprintf("p%d@example.com", n)); err != nil {
			t.Fatal(err)
		}
	}
	pending := func() int { return w.sim.Stats().Invitations["pending"] }
	list := func(from, to int) string {
		var s strings.Builder
		s.WriteString("email_address\n")
		for n := from; n < to; n++ {
			fmt.Fprintf(&s, "p%d@example.com\n", n)
		}
		return file(t, "desired.csv", s.String())
	}
	plan := func(args ...string) map[string]any {
		t.Helper()
		return objects(t, w.ok(append([]string{"reconcile", "--json", "--desired"}, args...)...))[0]
	}

	r := plan(list(2, 13)) // two are too many, three are missing
	if r["invite"] != 3.0 || r["revoke"] != 2.0 || r["leave"] != 8.0 || r["pending"] != 10.0 || r["applied"] != false || len(r["revokes"].([]any)) != 2 || len(r["invites"].([]any)) != 3 {
		t.Errorf("got %v", r)
	}
	first := r["revokes"].([]any)[0].(map[string]any)
	if who := first["email_address"].(string); first["invitation_id"] != w.sim.ByAddress(who)[0].ID || r["invites"].([]any)[0] != "p10@example.com" {
		t.Errorf("got %v", r)
	}
	wants(t, w.ok("reconcile", "--desired", list(2, 13)), "invite", "revoke", "leave", "20.0 %", "revoke  p0@example.com  inv_", "invite  p12@example.com")
	wants(t, w.ok("reconcile", "--desired", list(0, 22)), "invite      12", "invite  p19@example.com", "… and 2 more, whom --json names")
	same := w.run("reconcile", "--desired", list(0, 10))
	wants(t, same.stderr, "nothing to do")
	if n := len(objects(t, w.ok("list", "--json"))); n != 0 || pending() != 10 {
		t.Errorf("a plan has enqueued %d", n)
	}

	// A fifth of all that is pending is too much to revoke without --yes: nothing is done.
	refused := w.run("reconcile", "--desired", list(2, 13), "--apply", "--revoke-missing")
	if refused.code != exitUsage {
		t.Errorf("exit code %d, want %d", refused.code, exitUsage)
	}
	wants(t, refused.stderr, "--yes", "nothing was done")
	if n := len(objects(t, w.ok("list", "--json"))); n != 0 {
		t.Errorf("%d were invited although the plan was refused", n)
	}
	bad := w.run("reconcile", "--desired", file(t, "bad.csv", "email\np1@example.com\nnobody\n"), "--apply")
	if bad.code != exitUsage {
		t.Errorf("a list with a bad row: exit code %d", bad.code)
	}

	if r := plan(list(2, 13), "--apply"); r["applied"] != true {
		t.Errorf("got %v", r)
	}
	w.startWorker()
	eventually(t, "three more are invited", func() bool { return pending() == 13 })
	if r := plan(list(1, 13), "--apply", "--revoke-missing"); r["invite"] != 0.0 || r["revoke"] != 1.0 { // 1 of 13
		t.Errorf("got %v", r)
	}
	eventually(t, "one is revoked", func() bool { return pending() == 12 })
	plan(list(3, 13), "--apply", "--revoke-missing", "--yes")
	eventually(t, "two more are revoked", func() bool { return pending() == 10 })
	if r := plan(list(3, 13)); r["invite"] != 0.0 || r["revoke"] != 0.0 || r["leave"] != 10.0 {
		t.Errorf("in the end: %v", r)
	}
	for n := range 13 {
		if got := w.sim.Mails(fmt.Sprintf("p%d@example.com", n)); got > 1 {
			t.Errorf("p%d got %d mails", n, got)
		}
	}
}

// TestEvents reads what happened to an import, then goes on from there.
func TestEvents(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	w.startWorker()
	w.ok("import", file(t, "list.csv", "email\ncanary.a@example.com\ncanary.b@example.com\ncanary.c@example.com\n"), "--import-id", "imp_1", "--wait")
	all := objects(t, w.ok("events", "--json"))
	last := map[string]float64{}
	completed := 0
	for _, e := range all {
		if e["to"] == "import_completed" {
			completed++
			if e["import_id"] != "imp_1" || e["invite_id"] != "" {
				t.Errorf("got %v", e)
			}
			continue
		}
		id := e["invite_id"].(string)
		if seq := e["sequence"].(float64); seq <= last[id] {
			t.Errorf("%s: sequence %v after %v", id, seq, last[id])
		}
		last[id] = e["sequence"].(float64)
	}
	if completed != 1 || len(last) != 3 || len(all) != 7 {
		t.Errorf("%d events about %d invites, %d completions", len(all), len(last), completed)
	}
	if n := len(objects(t, w.ok("events", "--json", "-n", "2"))); n != 2 {
		t.Errorf("got %d events, want the last 2", n)
	}
	text := w.ok("events")
	wants(t, text, "queued → sending", "sending → pending", "import completed", "imp_1")
	if strings.Contains(text, "canary") {
		t.Error("an event names somebody")
	}

	follow := w.start("events", "--follow", "--json", "--from", all[len(all)-1]["position"].(string))
	w.ok("invite", "canary.d@example.com", "--id", "four", "--wait")
	eventually(t, "the new invite is seen", func() bool { return strings.Contains(follow.log.String(), `"to":"pending"`) })
	for _, e := range objects(t, follow.log.String()) {
		if e["invite_id"] != "four" {
			t.Errorf("it begins too early: %v", e)
		}
	}
	if code := follow.stop(); code != exitDone {
		t.Errorf("Ctrl-C ends it with %d", code)
	}
	if r := w.run("events", "--last", "-1"); r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
}
