package main

import (
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestRevokeSaysWhatItDid revokes from the command line: an address with everything
// that stands for it, an invitation that Clerk refuses to revoke, and nothing at all.
func TestRevokeSaysWhatItDid(t *testing.T) {
	t.Parallel() // A revoke of an address takes a quarter of a minute.
	w := newWorld(t).withClerk(clerksim.Config{})
	w.ok("pause", "--lane", "import")
	w.ok("invite", "ada@example.com", "--id", "later", "--lane", "import")
	w.startWorker()
	w.ok("invite", "ada@example.com", "--id", "sent", "--wait")
	foreign, err := w.sim.CreateForeignFrom(`{"email_address":"ada@example.com","ignore_existing":true}`)
	if err != nil {
		t.Fatal(err)
	}

	r := w.run("revoke", "ada@example.com", "--wait")
	if r.code != exitDone {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	wants(t, r.stdout, "later: canceled; it was never sent", "sent: a worker will revoke it (rvk_", "1  invites canceled before they were sent",
		"1  invitations of inviteq revoked at Clerk", "1  invitations of other programs revoked at Clerk", "revoked  "+foreign.ID, ", done ")
	_, rest, _ := strings.Cut(r.stdout, "(rvk_")
	request := "rvk_" + rest[:strings.Index(rest, ")")]
	wants(t, w.ok("status", request), request+": asked for ", "1  invitations of other programs revoked at Clerk")
	if got := objects(t, w.ok("status", request, "--json"))[0]; got["request_id"] != request || got["done_at"] == nil || got["foreign"] != 1.0 || got["waiting"] != 0.0 {
		t.Errorf("got %v", got)
	}
	if r := w.run("status", "rvk_nobody"); r.code != exitFailed {
		t.Errorf("a revoke that nobody asked for: exit code %d, %s", r.code, r.stdout)
	}

	// Clerk refuses.
	w.ok("invite", "bob@example.com", "--id", "bob", "--wait")
	w.sim.Inject(clerksim.OpRevoke, clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 400, Code: "not_today"}, 99)
	r = w.run("revoke", "bob", "--wait")
	if r.code != exitFailed {
		t.Errorf("refused: exit code %d", r.code)
	}
	wants(t, r.stdout, "Clerk refuses to revoke inv_", "tried 1 time since ", "the next try is in ")
	wants(t, w.ok("status", "bob"), "revoke", "Clerk refuses to revoke inv_", "tried 1 time since")
	if got := objects(t, w.ok("status", "bob", "--json"))[0]; got["revoking"] != true || got["revoke_refusal"].(map[string]any)["tries"] != 1.0 {
		t.Errorf("got %v", got)
	}

	// Too late, and repeated.
	w.ok("invite", "eve@example.com", "--id", "eve", "--wait")
	if err := w.sim.Accept("eve@example.com"); err != nil {
		t.Fatal(err)
	}
	if r := w.run("revoke", "eve", "--wait"); r.code != exitFailed || !strings.Contains(r.stdout, "too late: accepted or expired before") {
		t.Errorf("too late: exit code %d, %s", r.code, r.stdout)
	}
	if r := w.run("revoke", "later", "--wait"); r.code != exitDone || !strings.Contains(r.stdout, "later: canceled; it was never sent") {
		t.Errorf("again: exit code %d, %s", r.code, r.stdout)
	}
	for _, line := range objects(t, w.run("revoke", "later", "eve", "--wait", "--json").stdout) {
		if line["done"] == nil || line["verdict"] == "" {
			t.Errorf("got %v", line)
		}
	}
}
