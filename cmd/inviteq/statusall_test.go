package main

import (
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestStatusOfEverything shows the states, who has waited longest, and what the
// last passes have found.
func TestStatusOfEverything(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	wants(t, w.ok("status"), "There are no invites.", "Nothing has been compared with Clerk yet")
	empty := objects(t, w.ok("status", "--json"))[0]
	passes := empty["reconcile"].(map[string]any)
	if empty["oldest_waiting"] != nil || len(passes) != 2 || passes["full"] != nil || passes["recent"] != nil || empty["states"].(map[string]any)["queued"] != 0.0 {
		t.Errorf("got %v", empty)
	}

	w.ok("invite", "canary.one@example.com", "--id", "one")
	w.ok("invite", "canary.two@example.com", "--id", "two")
	for _, address := range []string{"canary.three@example.com", "canary.four@example.com"} {
		if _, err := w.sim.CreateForeign(address); err != nil {
			t.Fatal(err)
		}
	}
	w.ok("reconcile", "--full", "--adopt")
	if err := w.sim.Accept("canary.three@example.com"); err != nil {
		t.Fatal(err)
	}
	w.ok("reconcile")
	r := w.run("status")
	wants(t, r.stdout, "queued", "accepted", "pending", "The oldest waiting invite: one (interactive lane), for", "compared with Clerk", "full", "recent")
	wants(t, r.stderr, "No worker is running")
	var recent []string
	for line := range strings.Lines(r.stdout) {
		if f := strings.Fields(line); len(f) > 0 && f[0] == "recent" {
			recent = f
		}
	}
	// recent, when (1s ago or just now), scanned, agreed, settled, missing, foreign, doubled, reads, took (under 1s)
	if n := len(recent); n < 11 || strings.Join(recent[3:10], " ") != "2 1 1 0 0 0 1" {
		t.Errorf("the line of the recent pass is %q", recent)
	}
	if strings.Contains(r.stdout, "canary") {
		t.Error("the numbers name somebody")
	}

	got := objects(t, w.ok("status", "--json"))[0]
	oldest := got["oldest_waiting"].(map[string]any)
	if oldest["id"] != "one" || oldest["lane"] != "interactive" || oldest["waited_seconds"].(float64) <= 0 {
		t.Errorf("got %v", oldest)
	}
	if at, err := time.Parse(time.RFC3339Nano, oldest["created_at"].(string)); err != nil || time.Since(at) > time.Minute {
		t.Errorf("created at %v, %v", at, err)
	}
	full := got["reconcile"].(map[string]any)["full"].(map[string]any)
	if full["scanned"] != 2.0 || full["foreign"] != 2.0 || full["adopted"] != 2.0 || full["agreed"] != true {
		t.Errorf("got %v", full)
	}
}
