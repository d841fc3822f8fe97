package main

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestDeliver goes the whole way: an import and invites, through the worker and
// the simulated Clerk, and back through every question that can be asked. No
// address may appear in the worker's log.
func TestDeliver(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited}})
	w.sim.AddUser("canary.user@example.com")
	w.sim.BlockAddress("canary.blocked@example.com")
	log := w.startWorker("--limit-single", "none", "--limit-bulk", "none")

	var list strings.Builder
	list.WriteString("email\n")
	for n := range 30 {
		fmt.Fprintf(&list, "canary.%d@example.com\n", n)
	}
	list.WriteString("canary.user@example.com\ncanary.blocked@example.com\n")
	path := file(t, "list.csv", list.String())
	outcomes := filepath.Join(t.TempDir(), "outcomes.csv")
	got := w.ok("import", path, "--import-id", "imp_1", "--wait", "--report", outcomes)
	wants(t, got, "imp_1: 32 invites enqueued", "pending        30", "rejected        2", "existing_user", "blocked", "already has an account")

	f, err := os.Open(outcomes)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 33 {
		t.Fatalf("the report has %d rows, %v", len(rows), err)
	}
	if row := rows[1]; row[2] != "pending" || !strings.HasPrefix(row[5], "inv_") || row[6] == "" {
		t.Errorf("the report says %q", row)
	}
	if row := rows[31]; row[2] != "rejected" || row[3] != "existing_user" {
		t.Errorf("the report says %q", row)
	}

	all := objects(t, w.ok("import", path, "--import-id", "imp_1", "--wait", "--json"))
	if len(all) != 1 || all[0]["known"] != 32.0 || all[0]["open"] != 0.0 || all[0]["states"].(map[string]any)["pending"] != 30.0 {
		t.Errorf("the same again: %v", all)
	}

	one := objects(t, w.ok("invite", "canary.lone@example.com", "--wait", "--json"))[0]
	if one["state"] != "pending" || one["invitation_id"] == "" || one["eta"] != nil {
		t.Errorf("got %v", one)
	}
	refused := w.run("invite", "canary.user@example.com", "--wait")
	if refused.code != exitFailed {
		t.Errorf("an invite that was refused: exit code %d", refused.code)
	}
	wants(t, refused.stdout, "existing_user", "already has an account")
	refused = w.run("invite", "Canary.2@example.com", "--wait")
	if refused.code != exitFailed {
		t.Errorf("an invite for somebody who is invited: exit code %d", refused.code)
	}
	wants(t, refused.stdout, "already_invited", "already has a pending invitation")

	for _, target := range []string{one["id"].(string), one["invitation_id"].(string), "CANARY.lone@example.com"} {
		status := objects(t, w.ok("status", target, "--json"))
		if diff := cmp.Diff([]map[string]any{one}, status); diff != "" {
			t.Errorf("status: %s", diff)
		}
	}
	wants(t, w.ok("status", "imp_1"), "32 invites", "All are settled")
	if imp := objects(t, w.ok("status", "imp_1", "--json"))[0]; imp["total"] != 32.0 || imp["states"].(map[string]any)["rejected"] != 2.0 {
		t.Errorf("got %v", imp)
	}
	if n := len(objects(t, w.ok("list", "--import-id", "imp_1", "--state", "rejected", "--json"))); n != 2 {
		t.Errorf("got %d rejected, want 2", n)
	}
	if n := len(objects(t, w.ok("list", "--state", "pending", "--limit", "7", "--json"))); n != 7 {
		t.Errorf("got %d pending, want 7", n)
	}

	revoked := objects(t, w.ok("revoke", one["id"].(string), "--json"))[0]
	if revoked["verdict"] != "revoke_asked" || revoked["id"] != one["id"] {
		t.Errorf("got %v", revoked)
	}
	eventually(t, "the invitation is revoked", func() bool {
		return objects(t, w.ok("status", one["id"].(string), "--json"))[0]["state"] == "revoked"
	})
	wants(t, w.ok("revoke", one["id"].(string)), "it was revoked before")
	if err := w.sim.Accept("canary.1@example.com"); err != nil {
		t.Fatal(err)
	}

	// A cause is mended, and a person says so.
	w.sim.UnblockAddress("canary.blocked@example.com")
	dry := w.run("retry", "--import-id", "imp_1", "--state", "rejected", "--reason", "blocked", "--dry-run")
	wants(t, dry.stderr, "1 invite would be queued again")
	if n := len(objects(t, w.ok("list", "--state", "rejected", "--json"))); n != 4 {
		t.Errorf("got %d rejected after a dry run, want 4", n)
	}
	w.ok("retry", "canary.blocked@example.com")
	eventually(t, "the retried invite is delivered", func() bool {
		return objects(t, w.ok("status", "canary.blocked@example.com", "--json"))[0]["state"] == "pending"
	})

	if code := log.stop(); code != exitDone {
		t.Errorf("the worker left with exit code %d", code)
	}
	wants(t, log.log.String(), `"instance":"`+w.instance+`"`, `"limit_single":"none"`, "worker has left")
	if text := log.log.String(); strings.Contains(strings.ToLower(text), "canary") || strings.Contains(text, clerksim.DefaultSecretKey) {
		t.Errorf("the log names somebody, or the key:\n%s", text)
	}
	if most := w.sim.MaxMails(); most != 1 {
		t.Errorf("somebody got %d mails", most)
	}
}

// TestBulkCallsThatClerkDoesNotTake: where Clerk takes fewer in a bulk call than it
// says, calls become smaller until it takes them, everybody is invited, and quota
// says how many go at once.
func TestBulkCallsThatClerkDoesNotTake(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{Switches: clerksim.Switches{BulkMax: 3}})
	var rows strings.Builder
	rows.WriteString("email\n")
	for n := range 30 {
		fmt.Fprintf(&rows, "canary.%d@example.com\n", n)
	}
	w.ok("import", file(t, "a.csv", rows.String()), "--import-id", "imp")
	w.startWorker()
	eventually(t, "everybody is invited", func() bool { return len(w.sim.Invitations()) == 30 })
	eventually(t, "and settled", func() bool {
		return objects(t, w.ok("status", "imp", "--json"))[0]["states"].(map[string]any)["pending"] == 30.0
	})
	bulk := objects(t, w.ok("quota", "--json"))[0]["endpoints"].(map[string]any)["bulk"].(map[string]any)
	gate, _ := bulk["gate"].(map[string]any)
	if until, err := time.Parse(time.RFC3339Nano, fmt.Sprint(gate["most_until"])); gate["most"] != 2.0 || err != nil || time.Until(until) > time.Hour {
		t.Errorf("got the gate %v", gate)
	}
	wants(t, w.ok("quota"), "bulk (2 each)", "at most 2 at once for", "bulk_refused: Clerk refuses bulk calls, whatever invites they hold.")
	for _, s := range objects(t, w.ok("list", "--json")) {
		if s["attempts"] != 0.0 {
			t.Errorf("it cost an invite an attempt: %v", s)
		}
	}
}

func TestPauseAndQuota(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	w.startWorker("--reserve", "7")
	w.ok("pause", "--lane", "import")
	w.ok("import", file(t, "a.csv", "email\nada@example.com\ngrace@example.com\n"))
	w.ok("invite", "bob@example.com", "--wait")
	q := objects(t, w.ok("quota", "--json"))
	if len(q) != 1 {
		t.Fatalf("got %d objects", len(q))
	}
	keys := []string{"at", "closed", "demand", "drained_at", "endpoints", "instance", "later", "paused", "reserve", "shelved", "states", "waiting"}
	if diff := cmp.Diff(keys, keysOf(q[0])); diff != "" {
		t.Error(diff)
	}
	single := q[0]["endpoints"].(map[string]any)["single"].(map[string]any)
	if diff := cmp.Diff([]string{"gate", "left", "limit", "next_at", "spent"}, keysOf(single)); diff != "" {
		t.Error(diff)
	}
	if single["spent"] != 1.0 || single["left"] != 99.0 || single["limit"] != "100/1h" || q[0]["reserve"] != 7.0 ||
		q[0]["waiting"].(map[string]any)["import"] != 2.0 || len(q[0]["paused"].(map[string]any)) != 1 {
		t.Errorf("got %v", q[0])
	}
	wants(t, w.ok("quota"), "100/1h", "1    99", "paused", "inviteq resume --lane import")
	wants(t, w.run("status", "ada@example.com").stderr, "The import lane was paused")
	if n := w.sim.Count(clerksim.OpCreate) + w.sim.Count(clerksim.OpBulkCreate); n != 1 {
		t.Errorf("%d calls while the lane was paused, want 1", n)
	}
	w.ok("resume")
	eventually(t, "the import goes on", func() bool {
		return len(objects(t, w.ok("list", "--state", "pending", "--json"))) == 3
	})
}

func TestRevokeBeforeSending(t *testing.T) {
	w := newWorld(t)
	w.ok("invite", "ada@example.com", "--id", "one")
	wants(t, w.ok("revoke", "ADA@example.com"), "canceled; it was never sent")
	wants(t, w.ok("status", "one"), "canceled")
	r := w.run("revoke", "inv_foreign")
	if r.code != exitDone {
		t.Errorf("exit code %d", r.code)
	}
	wants(t, r.stdout, "a worker will revoke what is pending at Clerk")
	if strings.Contains(r.stdout+r.stderr, "ada@") {
		t.Error("an address was printed")
	}
}

// TestAdmin asks the worker how it is.
func TestAdmin(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	log := w.startWorker().log.String()
	_, rest, _ := strings.Cut(log, `"admin":"`)
	addr, _, _ := strings.Cut(rest, `"`)
	for _, path := range []string{"/healthz", "/readyz"} {
		eventually(t, path, func() bool {
			answer, err := http.Get("http://" + addr + path)
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			return answer.StatusCode == http.StatusOK
		})
	}
}

func TestClerksim(t *testing.T) {
	w := &world{t: t}
	b := w.start("clerksim", "--addr", "127.0.0.1:0", "--latency", "0", "--limits", "single=1/1h", "--fault", "list/overload:x1")
	eventually(t, "it listens", func() bool { return strings.Contains(b.log.String(), "/v1") })
	_, rest, _ := strings.Cut(b.log.String(), "at http://")
	addr, _, _ := strings.Cut(rest, "/v1")
	call := func(method, path, key string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(`{"email_address":"ada@example.com"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	got := []int{
		call("GET", "/v1/invitations", clerksim.DefaultSecretKey), call("POST", "/v1/invitations", "sk_test_other"),
		call("POST", "/v1/invitations", clerksim.DefaultSecretKey), call("POST", "/v1/invitations", clerksim.DefaultSecretKey),
	}
	if diff := cmp.Diff([]int{429, 401, 200, 429}, got); diff != "" {
		t.Error(diff)
	}
	if code := b.stop(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	wants(t, b.log.String(), "4 requests", "at most 1 for one address")
}

// TestDemo plays a simulated hour in twelve seconds.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	t.Parallel()
	w := &world{t: t}
	began := time.Now()
	r := w.run("demo", "--hour", "12s", "--json")
	if r.code != exitDone {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	got := objects(t, r.stdout)[0]
	for key, want := range map[string]any{
		"rows": 500.0, "delivered": 428.0, "already_invited": 15.0, "existing_users": 20.0, "open": 0.0, "clicks": 8.0,
		"ceiling": 350.0, "too_many_requests": 0.0, "most_mails": 1.0, "other_reasons": map[string]any{},
		"left_out": map[string]any{
			"bad email_address": 12.0, "bad expires_in_days": 3.0, "bad notify": 1.0, "unreadable row": 1.0, "same address as an earlier row": 20.0,
		},
	} {
		if diff := cmp.Diff(want, got[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	if n := got["click_longest_ms"].(float64); n < 20 || n > 5000 {
		t.Errorf("a click took %v ms, though each call takes some 60 ms", n)
	}
	if n := got["invitations_per_hour"].(float64); n > 350 || n < 250 {
		t.Errorf("%v invitations in the first simulated hour", n)
	}
	wants(t, r.stderr, "settled", "single", "clicks:")
	t.Logf("%v after %s", got, time.Since(began))
}
