package verdict

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk"
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
	Call   ledger.Unclear
}

func clerkError(err error) *clerk.Error {
	e, _ := errors.AsType[*clerk.Error](err)
	return e
}

// TestJudge goes through every kind of error that a create can meet, for an
// invite alone.
func TestJudge(t *testing.T) {
	const window = time.Hour
	now := time.UnixMilli(1_800_000_000_000)
	status := func(k clerk.Kind) *clerk.Error { return &clerk.Error{Kind: k, Status: 400} }
	for _, c := range []struct {
		name string
		err  error
		want judged
	}{
		{"made", nil, judged{ledger.StampToken, "", tasks.Pending, "", ledger.NoCharge, false, ledger.ClearCall}},
		{"not sent", status(clerk.KindNotSent), judged{ledger.RefundToken, "", tasks.Queued, "not_sent", ledger.NoCharge, false, ledger.ClearCall}},
		{
			"quota, with a wait of 90 s", &clerk.Error{Kind: clerk.KindQuota, Status: 429, RetryAfter: 90 * time.Second},
			judged{ledger.StampToken, "single: quota for 1m30s, a surprise", tasks.Queued, "quota", ledger.NoCharge, false, ledger.ClearCall},
		},
		{
			"quota, with an absurd wait", &clerk.Error{Kind: clerk.KindQuota, Status: 429, RetryAfter: 1000 * time.Hour},
			judged{ledger.StampToken, "single: quota for 1h0m0s, a surprise", tasks.Queued, "quota", ledger.NoCharge, false, ledger.ClearCall},
		},
		{"overload", status(clerk.KindOverload), judged{ledger.StampToken, "single: overload for 30s", tasks.Queued, "overload", ledger.NoCharge, false, ledger.ClearCall}},
		{"wrong key", status(clerk.KindUnauthorized), judged{ledger.StampToken, "all: unauthorized for 30s", tasks.Queued, "unauthorized", ledger.NoCharge, false, ledger.ClearCall}},
		{"edge", status(clerk.KindEdgeBlocked), judged{ledger.StampToken, "all: edge_blocked for 30s", tasks.Queued, "edge_blocked", ledger.NoCharge, false, ledger.ClearCall}},
		{"redirect", status(clerk.KindRedirected), judged{ledger.StampToken, "all: redirected for 30s", tasks.Queued, "redirected", ledger.NoCharge, false, ledger.ClearCall}},
		{"no answer", &clerk.Error{Kind: clerk.KindUnknown}, judged{ledger.KeepToken, "", tasks.Unknown, tasks.ReasonNoClearAnswer, ledger.ChargeHeld, true, ledger.LostCall}},
		{"500", &clerk.Error{Kind: clerk.KindUnknown, Status: 500}, judged{ledger.StampToken, "", tasks.Unknown, tasks.ReasonNoClearAnswer, ledger.ChargeHeld, true, ledger.LostCall}},
		{"duplicate", status(clerk.KindDuplicate), judged{ledger.StampToken, "", tasks.Unknown, tasks.ReasonInvitationExists, ledger.NoCharge, false, ledger.ClearCall}},
		{"a user", status(clerk.KindExists), judged{ledger.StampToken, "", tasks.Rejected, "existing_user", ledger.NoCharge, false, ledger.ClearCall}},
		{"blocked", status(clerk.KindBlocked), judged{ledger.StampToken, "", tasks.Rejected, "blocked", ledger.NoCharge, false, ledger.ClearCall}},
		{"invalid", &clerk.Error{Kind: clerk.KindInvalid, Status: 422, Param: "redirect_url"}, judged{ledger.StampToken, "", tasks.Rejected, "invalid_redirect_url", ledger.NoCharge, false, ledger.ClearCall}},
		{"busy", status(clerk.KindBusy), judged{ledger.StampToken, "", tasks.Queued, tasks.ReasonClerkBusy, ledger.ChargeOne, true, ledger.EndedCall}},
		{"refused", status(clerk.KindRefused), judged{ledger.StampToken, "", tasks.Queued, "refused", ledger.ChargeOne, true, ledger.EndedCall}},
		{"malformed", status(clerk.KindMalformed), judged{ledger.StampToken, "", tasks.Parked, "malformed_request", ledger.NoCharge, false, ledger.ClearCall}},
		{"a kind of tomorrow", status(clerk.Kind(200)), judged{ledger.StampToken, "", tasks.Unknown, tasks.ReasonNoClearAnswer, ledger.ChargeHeld, true, ledger.LostCall}},
	} {
		t.Run(c.name, func(t *testing.T) {
			batch := []ledger.Record{{Invite: tasks.Invite{ID: "inq_1"}, Turn: "turn_1"}}
			made := map[string]clerk.Invitation{"inq_1": {ID: "inv_1"}}
			v := Judge(now, ledger.Turn{Endpoint: ledger.Single, Batch: batch}, made, clerkError(c.err), Policy{MaxAttempts: 12, Window: window})
			if len(v.Members) != 1 || len(v.Suspect) != 0 || v.Members[0].ID != "inq_1" || v.Members[0].Turn != "turn_1" {
				t.Fatalf("got %+v", v)
			}
			m := v.Members[0]
			got := judged{Token: v.Token, To: m.To, Reason: m.Reason, Charge: m.Charge, Wait: m.At.After(now), Call: m.Call}
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
		err  error
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
		v := Judge(now, ledger.Turn{Endpoint: ledger.Bulk, Probe: true, Batch: batch}, nil, clerkError(c.err), Policy{MaxAttempts: 3, Window: time.Hour})
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
		v := Judge(now, ledger.Turn{Endpoint: ledger.Single, Batch: batch}, nil, &clerk.Error{Kind: kind, Status: 429}, Policy{MaxAttempts: 12, Window: time.Hour})
		if got := v.Members[0].To; got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
}
