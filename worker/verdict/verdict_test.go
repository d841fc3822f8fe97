package verdict

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// judged is what a test says of a verdict about one invite.
type judged struct {
	Token  ledger.Token
	Gate   string // endpoint: word and until when, or "open"
	To     tasks.State
	Reason tasks.Reason
	Charge ledger.Charge
	Wait   bool // not at once
}

// TestJudge goes through every kind of error that a create can meet, for an
// invite alone.
func TestJudge(t *testing.T) {
	const window = time.Hour
	now := time.UnixMilli(1_800_000_000_000)
	p := Policy{MaxAttempts: 12, Limits: ledger.Limits{Single: ledger.Limit{Calls: 100, Window: window}}}
	status := func(k clerk.Kind) *clerk.Error { return &clerk.Error{Kind: k, Status: 400} }
	for _, c := range []struct {
		name string
		err  *clerk.Error
		want judged
	}{
		{"made", nil, judged{ledger.StampToken, "", tasks.Pending, "", ledger.NoCharge, false}},
		{"not sent", status(clerk.KindNotSent), judged{ledger.RefundToken, "", tasks.Queued, "not_sent", ledger.NoCharge, false}},
		{
			"quota, with a wait of 90 s", &clerk.Error{Kind: clerk.KindQuota, Status: 429, RetryAfter: 90 * time.Second},
			judged{ledger.StampToken, "single: quota for 1m30s, a surprise", tasks.Queued, "quota", ledger.NoCharge, false},
		},
		{
			"quota, with an absurd wait", &clerk.Error{Kind: clerk.KindQuota, Status: 429, RetryAfter: 1000 * time.Hour},
			judged{ledger.StampToken, "single: quota for 1h0m0s, a surprise", tasks.Queued, "quota", ledger.NoCharge, false},
		},
		{"overload", status(clerk.KindOverload), judged{ledger.StampToken, "single: overload for 30s", tasks.Queued, "overload", ledger.NoCharge, false}},
		{"wrong key", status(clerk.KindUnauthorized), judged{ledger.StampToken, "all: unauthorized for 30s", tasks.Queued, "unauthorized", ledger.NoCharge, false}},
		{"edge", status(clerk.KindEdgeBlocked), judged{ledger.StampToken, "all: edge_blocked for 30s", tasks.Queued, "edge_blocked", ledger.NoCharge, false}},
		{"redirect", status(clerk.KindRedirected), judged{ledger.StampToken, "all: redirected for 30s", tasks.Queued, "redirected", ledger.NoCharge, false}},
		{"no answer", &clerk.Error{Kind: clerk.KindUnknown}, judged{ledger.KeepToken, "", tasks.Unknown, tasks.ReasonNoClearAnswer, ledger.ChargeHeld, true}},
		{"500", &clerk.Error{Kind: clerk.KindUnknown, Status: 500}, judged{ledger.StampToken, "", tasks.Unknown, tasks.ReasonNoClearAnswer, ledger.ChargeHeld, true}},
		{"duplicate", status(clerk.KindDuplicate), judged{ledger.StampToken, "", tasks.Unknown, tasks.ReasonInvitationExists, ledger.NoCharge, false}},
		{"a user", status(clerk.KindExists), judged{ledger.StampToken, "", tasks.Rejected, "existing_user", ledger.NoCharge, false}},
		{"blocked", status(clerk.KindBlocked), judged{ledger.StampToken, "", tasks.Rejected, "blocked", ledger.NoCharge, false}},
		{"invalid", &clerk.Error{Kind: clerk.KindInvalid, Status: 422, Param: "redirect_url"}, judged{ledger.StampToken, "", tasks.Rejected, "invalid_redirect_url", ledger.NoCharge, false}},
		{"busy", status(clerk.KindBusy), judged{ledger.StampToken, "", tasks.Queued, tasks.ReasonClerkBusy, ledger.ChargeOne, true}},
		{"refused", status(clerk.KindRefused), judged{ledger.StampToken, "", tasks.Queued, "refused", ledger.ChargeOne, true}},
		{"malformed", status(clerk.KindMalformed), judged{ledger.StampToken, "", tasks.Parked, "malformed_request", ledger.NoCharge, false}},
		{"a kind of tomorrow", status(clerk.Kind(200)), judged{ledger.StampToken, "", tasks.Unknown, tasks.ReasonNoClearAnswer, ledger.ChargeHeld, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			batch := []ledger.Record{{Invite: tasks.Invite{ID: "inq_1"}, Turn: "turn_1"}}
			made := map[string]clerk.Invitation{"inq_1": {ID: "inv_1"}}
			v := p.Judge(now, ledger.Turn{Endpoint: ledger.Single, Batch: batch}, made, c.err)
			if len(v.Members) != 1 || len(v.Suspects) != 0 || v.Members[0].ID != "inq_1" || v.Members[0].Turn != "turn_1" {
				t.Fatalf("got %+v", v)
			}
			m := v.Members[0]
			got := judged{Token: v.Token, To: m.To, Reason: m.Reason, Charge: m.Charge, Wait: m.At.After(now)}
			if g := v.Gate; !g.Until.IsZero() {
				got.Gate = fmt.Sprintf("%s: %s for %s", g.Endpoint, g.Why, g.Until.Sub(now))
				if g.Surprise {
					got.Gate += ", a surprise"
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestJudgeAProbe: an answer opens the gate, silence and a new refusal do not.
func TestJudgeAProbe(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	batch := []ledger.Record{{Invite: tasks.Invite{ID: "inq_1"}}}
	for _, c := range []struct {
		err  *clerk.Error
		open bool
	}{
		{nil, true},
		{&clerk.Error{Kind: clerk.KindExists, Status: 422}, true},
		{&clerk.Error{Kind: clerk.KindUnknown, Status: 500}, true},
		{&clerk.Error{Kind: clerk.KindUnknown}, false},
		{&clerk.Error{Kind: clerk.KindNotSent}, false},
		{&clerk.Error{Kind: clerk.KindQuota, Status: 429}, false},
		{&clerk.Error{Kind: clerk.KindOverload, Status: 429}, false},
		{&clerk.Error{Kind: clerk.KindUnauthorized, Status: 401}, false},
	} {
		v := Policy{MaxAttempts: 3}.Judge(now, ledger.Turn{Endpoint: ledger.Bulk, Probe: true, Batch: batch}, nil, c.err)
		if v.Gate.Open != c.open {
			t.Errorf("%v: the gate opens: %t", c.err, v.Gate.Open)
		}
	}
}

// TestJudgeTheLastAttempt: attempts end, and waiting is never one.
func TestJudgeTheLastAttempt(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	batch := []ledger.Record{{Invite: tasks.Invite{ID: "inq_1"}, Attempts: 11}}
	for kind, want := range map[clerk.Kind]tasks.State{
		clerk.KindBusy: tasks.Failed, clerk.KindRefused: tasks.Failed, clerk.KindUnknown: tasks.Unknown,
		clerk.KindQuota: tasks.Queued, clerk.KindOverload: tasks.Queued, clerk.KindUnauthorized: tasks.Queued, clerk.KindNotSent: tasks.Queued,
	} {
		v := Policy{MaxAttempts: 12}.Judge(now, ledger.Turn{Endpoint: ledger.Single, Batch: batch}, nil, &clerk.Error{Kind: kind, Status: 429})
		if got := v.Members[0].To; got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
}

// TestJudgeARefusedBulk: who is to blame leaves, the others go again uncharged, and
// if Clerk does not say who it is, everybody is a suspect.
func TestJudgeARefusedBulk(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	person := func(id, address string) ledger.Record {
		e, err := tasks.ParseEmail(address)
		if err != nil {
			t.Fatal(err)
		}
		return ledger.Record{Invite: tasks.Invite{ID: id, EmailAddress: e}}
	}
	guilty, calm, doubtful, careless := person("inq_1", "a@example.com"), person("inq_2", "b@example.com"), person("inq_3", "c@example.com"), person("inq_4", "d@example.com")
	doubtful.Doubt, careless.Invite.IgnoreExisting = true, true
	turn := ledger.Turn{Endpoint: ledger.Bulk, Batch: []ledger.Record{guilty, calm, doubtful, careless}}
	p := Policy{MaxAttempts: 12}

	v := p.Judge(now, turn, nil, refusedFor(t, "a@example.com"))
	if len(v.Suspects) != 0 {
		t.Errorf("%d are suspects though Clerk has named one", len(v.Suspects))
	}
	want := []ledger.Settlement{
		{ID: "inq_1", To: tasks.Unknown, Reason: tasks.ReasonInvitationExists},
		{ID: "inq_2", To: tasks.Queued, Reason: tasks.ReasonBulkRefused},
		{ID: "inq_3", To: tasks.Queued, Reason: tasks.ReasonBulkRefused, Solo: true},
		{ID: "inq_4", To: tasks.Unknown, Reason: tasks.ReasonChecking, At: now.Add(firstLook)},
	}
	if diff := cmp.Diff(want, v.Members); diff != "" {
		t.Errorf("Clerk names one (-want +got):\n%s", diff)
	}

	v = p.Judge(now, turn, nil, &clerk.Error{Kind: clerk.KindInvalid, Status: 422})
	if len(v.Suspects) != 4 || len(v.Members) != 0 || v.Token != ledger.StampToken {
		t.Errorf("Clerk names nobody: %d suspects, %d members, token %q", len(v.Suspects), len(v.Members), v.Token)
	}
}

// refusedFor returns Clerk's answer to a bulk with one address that is invited.
func refusedFor(t *testing.T, address string) *clerk.Error {
	t.Helper()
	sim, err := clerksim.New(clerksim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	if _, err := sim.CreateForeign(address); err != nil {
		t.Fatal(err)
	}
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: "http://127.0.0.1/v1", DialContext: sim.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.BulkCreate(t.Context(), []clerk.Params{{EmailAddress: address}, {EmailAddress: "other@example.com"}})
	e, ok := errors.AsType[*clerk.Error](err)
	if !ok {
		t.Fatalf("a bulk with somebody who is invited: %v", err)
	}
	return e
}

// TestBackoff is between a second and the cap, and grows.
func TestBackoff(t *testing.T) {
	for attempts := range 40 {
		most := min(backoffBase<<min(attempts, 10), backoffCap)
		for range 50 {
			if got := backoff(attempts); got < time.Second || got > time.Second+most {
				t.Fatalf("after %d attempts: %s, want 1s to %s", attempts, got, time.Second+most)
			}
		}
	}
}
