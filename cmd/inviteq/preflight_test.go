package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// TestPreflight compares what is announced with what happens: on a quiet Clerk there
// is no difference.
func TestPreflight(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited}})
	w.ok("invite", "canary.waits@example.com", "--lane", "import")
	var list strings.Builder
	list.WriteString("email,ignore_existing\n")
	for n := range 230 {
		address := fmt.Sprintf("canary.%d@example.com", n)
		fmt.Fprintf(&list, "%s,\n", address)
		switch {
		case n%23 == 0:
			w.sim.AddUser(address)
		case n%10 == 1:
			if _, err := w.sim.CreateForeign(address); err != nil {
				t.Fatal(err)
			}
		}
	}
	list.WriteString("CANARY.7@example.com,\nnobody,\nCanary.Waits@example.com,\n")
	for n := range 3 { // Invited already, and to be mailed again.
		address := fmt.Sprintf("canary.again%d@example.com", n)
		if _, err := w.sim.CreateForeign(address); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&list, "%s,yes\n", address)
	}
	path := file(t, "list.csv", list.String())

	told := objects(t, w.ok("import", path, "--skip-invalid", "--preflight", "--json"))
	said := told[len(told)-1]
	for name, want := range map[string]float64{
		"rows": 236, "invalid": 1, "duplicates": 1, "users": 10, "invited": 22, "waiting": 1, "again": 3, "to_send": 201, "known": 0, "before": 1, "reads": 5,
	} {
		if said[name] != want {
			t.Errorf("%s: announced %v, want %v", name, said[name], want)
		}
	}
	if said["eta"] != nil {
		t.Error("an ETA, and no worker")
	}
	r := w.run("import", path, "--skip-invalid", "--preflight")
	wants(t, r.stdout, "to be invited", "201", "existing users", "invited already", "Before it go 1 invite of other imports.")
	wants(t, r.stderr, "No worker is running", "Nothing was done")
	if strings.Contains(r.stdout, "at the current rate") {
		t.Errorf("an ETA, and no worker:\n%s", r.stdout)
	}
	l, err := ledger.Open(t.Context(), redistest.Shared(t), ledger.Config{Instance: w.instance})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Announce(t.Context(), ledger.Now, ledger.Fellow{Name: "one"}); err != nil {
		t.Fatal(err)
	}
	wants(t, w.ok("import", path, "--skip-invalid", "--preflight"), "at the current rate")
	if n := len(objects(t, w.ok("list", "--json"))); n != 1 {
		t.Fatalf("%d invites are in the ledger after a preflight", n)
	}
	if mails := w.sim.Mails("canary.2@example.com"); mails != 0 {
		t.Fatalf("a preflight sent %d mails", mails)
	}

	// Invitations that are older than the difference of two clocks.
	<-time.After(2 * ledger.MaxSkew)
	w.startWorker("--limit-single", "none", "--limit-bulk", "none")
	done := objects(t, w.ok("import", path, "--skip-invalid", "--wait", "--json"))
	states := done[len(done)-1]["states"].(map[string]any)
	reasons := map[string]float64{}
	for _, o := range objects(t, w.ok("list", "--import-id", said["import_id"].(string), "--state", "rejected", "--json")) {
		reasons[o["reason"].(string)]++
	}
	// A row of the list whose invite of another import went first is refused like one
	// whom somebody else has invited.
	got := fmt.Sprint(states["pending"], reasons["existing_user"], reasons["already_invited"])
	if want := fmt.Sprint(said["to_send"], said["users"], said["invited"].(float64)+said["waiting"].(float64)); got != want {
		t.Errorf("announced %s, happened %s (sent, users, invited)", want, got)
	}
	told = objects(t, w.ok("import", path, "--skip-invalid", "--preflight", "--json"))
	if known := told[len(told)-1]["known"]; known != 234.0 {
		t.Errorf("afterwards %v are known, want 234", known)
	}
}

// TestPreflightUsage: what it needs, and what it does not go with.
func TestPreflightUsage(t *testing.T) {
	w := newWorld(t)
	path := file(t, "list.csv", "email\ncanary@example.com\n")
	wants(t, w.run("import", path, "--preflight").stderr, "CLERK_SECRET_KEY is not set")
	wants(t, w.run("import", path, "--preflight", "--dry-run").stderr, "leave one of them out")
}
