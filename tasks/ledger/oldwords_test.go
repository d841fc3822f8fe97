package ledger

import (
	"bufio"
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// restore opens a ledger that an earlier version has written: a file of commands
// whose keys lack the prefix.
func restore(t *testing.T, file string) *Ledger {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	instance := redistest.Instance()
	rdb, keys := redistest.Shared(t), newKeys(instance)
	t.Cleanup(func() { rdb.Del(context.Background(), keys.of("events")) }) // The table of steps is not that version's.
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var args []any
		for rest := lines.Text(); rest != ""; rest = strings.TrimPrefix(rest, " ") {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s: %v", rest, err)
			}
			word, _ := strconv.Unquote(quoted)
			args, rest = append(args, word), rest[len(quoted):]
		}
		args[1] = keys.prefix + args[1].(string)
		if err := rdb.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	l, err := Open(t.Context(), rdb, Config{Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestOldWords reads a ledger that the code of commit 508090b has written, before
// reasons were a closed vocabulary (testdata/508090b/fixture_test.go made it). The
// id of each invite there is its state and, in that version's words, its reason.
func TestOldWords(t *testing.T) {
	l := restore(t, "testdata/508090b/ledger.txt")
	got := map[string]string{}
	var adopted int
	for id, r := range auditOlder(t, l) {
		if r.Reason == tasks.ReasonAdopted {
			adopted++
			continue // Its id is random.
		}
		got[id] = r.State.String() + " " + string(r.Reason)
	}
	if adopted != 1 {
		t.Errorf("%d are adopted", adopted)
	}
	if diff := cmp.Diff(map[string]string{
		"accepted-found":                      "accepted already_at_clerk",
		"accepted-seen_at_clerk":              "accepted seen_at_clerk",
		"accepted-too_late_to_revoke":         "accepted too_late_to_revoke",
		"canceled-doubt":                      "unknown checking_earlier_call",
		"canceled-revoked":                    "canceled revoke_requested",
		"failed-attempts":                     "failed attempts_exhausted",
		"failed-too_old":                      "failed too_old",
		"parked-malformed":                    "parked malformed_request",
		"parked-unknown_with_ignore_existing": "parked may_have_been_sent",
		"parked-worker_died":                  "parked worker_died_three_times",
		"pending":                             "pending ",
		"pending-found":                       "pending already_at_clerk",
		"queued":                              "queued ",
		"queued-busy":                         "queued clerk_busy",
		"queued-by_hand":                      "queued queued_by_hand",
		"queued-edge_blocked":                 "queued edge_blocked",
		"queued-innocent-blocked":             "queued bulk_refused",
		"queued-innocent-duplicate":           "queued bulk_refused",
		"queued-innocent-exists":              "queued bulk_refused",
		"queued-innocent-invalid":             "queued bulk_refused",
		"queued-missing_at_clerk":             "queued queued_as_missing",
		"queued-not_found":                    "queued not_at_clerk",
		"queued-not_sent":                     "queued not_sent",
		"queued-overload":                     "queued overload",
		"queued-quota":                        "queued quota",
		"queued-redirected":                   "queued redirected",
		"queued-refused":                      "queued refused",
		"queued-unauthorized":                 "queued unauthorized",
		"rejected-already_invited":            "rejected already_invited",
		"rejected-blocked":                    "rejected blocked",
		"rejected-exists":                     "rejected existing_user",
		"rejected-invalid":                    "rejected invalid",
		"rejected-invalid_redirect_url":       "rejected invalid_redirect_url",
		"revoked-extra":                       "revoked replaced_by_newer",
		"revoked-not_found":                   "revoked gone_at_clerk",
		"revoked-revoked":                     "revoked revoke_requested",
		"revoked-seen_at_clerk":               "revoked seen_at_clerk",
		"sending":                             "sending ",
		"unknown-claim_expired":               "unknown worker_died",
		"unknown-duplicate":                   "unknown invitation_exists",
		"unknown-existing_user":               "unknown existing_user",
		"unknown-no_answer":                   "unknown no_clear_answer",
		"unknown-unconfirmed":                 "unknown checking_earlier_call",
		"unknown-unknown":                     "unknown no_clear_answer",
	}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}

	totals, err := l.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[Outcome]int64{
		{tasks.Accepted, tasks.ReasonAlreadyAtClerk}: 1, {tasks.Accepted, tasks.ReasonSeenAtClerk}: 1, {tasks.Accepted, tasks.ReasonTooLateToRevoke}: 1,
		{tasks.Canceled, tasks.ReasonRevokeRequested}: 1,
		{tasks.Failed, tasks.ReasonAttempts}:          2, {tasks.Failed, tasks.ReasonTooOld}: 1,
		{tasks.Parked, tasks.ReasonMalformed}: 2, {tasks.Parked, tasks.ReasonMayHaveBeenSent}: 1, {tasks.Parked, tasks.ReasonWorkersDied}: 1,
		{tasks.Pending, ""}: 8, {tasks.Pending, tasks.ReasonAdopted}: 1, {tasks.Pending, tasks.ReasonAlreadyAtClerk}: 1,
		{tasks.Rejected, tasks.ReasonAlreadyInvited}: 1, {tasks.Rejected, tasks.ReasonBlocked}: 1, {tasks.Rejected, tasks.ReasonExistingUser}: 1,
		{tasks.Rejected, tasks.ReasonInvalid}: 1, {tasks.Rejected, tasks.InvalidField("redirect_url")}: 1,
		{tasks.Revoked, tasks.ReasonReplaced}: 1, {tasks.Revoked, tasks.ReasonGoneAtClerk}: 1, {tasks.Revoked, tasks.ReasonRevokeRequested}: 1,
		{tasks.Revoked, tasks.ReasonSeenAtClerk}: 1,
	}, totals.Outcomes); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}

	events, err := l.RecentEvents(t.Context(), 1000)
	if err != nil || len(events) < 100 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	last := map[string]string{}
	for _, e := range events {
		if e.Reason != "" && e.Reason.Entry() == (tasks.Entry{}) {
			t.Errorf("%s went to %s for the reason %q, which nothing explains", e.InviteID, e.To, e.Reason)
		}
		last[e.InviteID] = e.To + " " + string(e.Reason)
	}
	for id, want := range got {
		if have, ok := last[id]; ok && have != want {
			t.Errorf("the last event of %s says %q, its record %q", id, have, want)
		}
	}

	o, err := l.Overview(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s, b := o.Quotas[Single].Gate.Why, o.Quotas[Bulk].Gate.Why; s != tasks.CauseQuota || b != tasks.CauseOverload || o.Closed.Why != tasks.CauseEdgeBlocked {
		t.Errorf("the gates are closed for %q, %q and %q", s, b, o.Closed.Why)
	}
}

// TestOldWordsInScripts: the turn whose claim ran out under an earlier version may
// still settle.
func TestOldWordsInScripts(t *testing.T) {
	l := restore(t, "testdata/508090b/ledger.txt")
	records := auditOlder(t, l)
	r := records["unknown-claim_expired"]
	s := Settlement{ID: r.Invite.ID, Turn: r.Turn, To: tasks.Pending, InvitationID: "inv_late"}
	settled, err := l.SettleTurn(t.Context(), time.Now(), Turn{ID: r.Turn, Endpoint: Single}, Ending{Members: []Settlement{s}})
	if err != nil || len(settled) != 1 || settled[0].State != tasks.Pending {
		t.Errorf("a late answer was settled as %+v, %v", settled, err)
	}
}

// TestOldCalls: an earlier version kept no calls. Where one of its calls may have made
// an invitation, that is known all the same; where Clerk had refused the only one, it
// is not.
func TestOldCalls(t *testing.T) {
	l := restore(t, "testdata/508090b/ledger.txt")
	records := auditOlder(t, l)
	for id, want := range map[string]bool{
		"unknown-no_answer": true, "unknown-unknown": true, "unknown-claim_expired": true, "unknown-unconfirmed": true,
		"unknown-duplicate": false, "queued-innocent-exists": true, "queued-quota": false, "queued-not_sent": false,
	} {
		r, ok := records[id]
		if !ok {
			t.Fatalf("there is no %s", id)
		}
		calls, err := l.Calls(t.Context(), r)
		if err != nil || len(calls[id]) > 0 != want {
			t.Errorf("%s (doubt: %t): calls %v, %v", id, r.Doubt, calls[id], err)
		}
		for _, c := range calls[id] {
			if !c.MayHaveMade(r.SentAt.Add(time.Second), 0) || c.MayHaveMade(r.CreatedAt.Add(-time.Minute), 0) || c.MayHaveMade(r.SentAt.Add(time.Hour), 0) {
				t.Errorf("%s: created %v, sent %v, call %v", id, r.CreatedAt, r.SentAt, c)
			}
		}
	}
}
