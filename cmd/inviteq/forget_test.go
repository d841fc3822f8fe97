package main

import (
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestForgetAtClerk forgets somebody who was invited, here and at Clerk, from the
// command line.
func TestForgetAtClerk(t *testing.T) {
	t.Parallel()
	w := newWorld(t).withClerk(clerksim.Config{})
	w.startWorker()
	w.ok("invite", "canary@example.com", "--id", "sent", "--wait")
	w.ok("invite", "ada@example.com", "--id", "other", "--wait")

	if r := w.run("forget", "canary@example.com"); r.code != exitUsage || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("without a terminal: %d %s", r.code, r.stderr)
	}
	wants(t, w.ok("export", "canary@example.com"), `"email_address":"canary@example.com"`, `"id":"sent"`, `"to":"pending"`)
	wants(t, w.ok("forget", "canary@example.com", "--yes"), "1 invite forgotten", "still open (inv_", "--at-clerk", "the address stands nowhere", "BGSAVE", "SLOWLOG RESET")
	if r := w.run("status", "sent"); r.code != exitFailed {
		t.Errorf("it is known still: %s", r.stdout)
	}
	// Reconciliation meets the invitation, and leaves it where it is.
	w.ok("reconcile", "--full", "--adopt")
	if r := w.run("status", "canary@example.com"); r.code != exitFailed {
		t.Errorf("reconciliation has brought the person back: %s", r.stdout)
	}
	out := objects(t, w.ok("forget", "canary@example.com", "--yes", "--at-clerk", "--json"))[0]
	if out["deleted_at_clerk"] != 1.0 || len(out["left"].([]any)) != 0 {
		t.Errorf("got %v", out)
	}
	for _, i := range w.sim.Invitations() {
		if strings.Contains(i.EmailAddress, "canary") && i.Status != clerksim.StatusDeleted {
			t.Errorf("Clerk has %s", i.ID)
		}
	}
	log := w.ok("audit", "log")
	wants(t, log, "forget", "person:", "export", "invite  other")
	if strings.Contains(log, "canary") || strings.Contains(log, "ada@") {
		t.Errorf("the audit log holds an address: %s", log)
	}
	wants(t, w.ok("status", "other"), "pending")
}
