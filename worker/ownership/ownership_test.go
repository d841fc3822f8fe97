package ownership

import (
	"encoding/binary"
	"encoding/json"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func at(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }

func meta(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// invitation is one with Clerk's default expiry.
func invitation(created time.Time, metadata string) clerk.Invitation {
	return clerk.Invitation{
		ID: "inv_1", Status: clerk.Pending, PublicMetadata: meta(metadata),
		CreatedAt: created, ExpiresAt: created.Add(30 * 24 * time.Hour),
	}
}

func TestOf(t *testing.T) {
	call := []ledger.Call{{Sent: at(0), Bound: at(900)}}
	gap := ledger.Epoch{Start: at(-60), End: at(0)}
	long := ledger.Epoch{Start: at(-7200), End: at(0)}
	revoked := invitation(at(-30), "")
	revoked.Status = clerk.Revoked
	for _, c := range []struct {
		what    string
		invite  tasks.Invite
		created time.Time // of the record
		calls   []ledger.Call
		inv     clerk.Invitation
		facts   Facts
		want    Whose
	}{
		{what: "it waits, and has made no call", inv: invitation(at(10), "")},
		{what: "a call may have made it", calls: call, inv: invitation(at(10), ""), want: Ours},
		{what: "late, and still possible", calls: call, inv: invitation(at(900), ""), want: Ours},
		{what: "too late to be the call's", calls: call, inv: invitation(at(905), "")},
		{what: "older than the call", calls: call, inv: invitation(at(-5), "")},
		{what: "of another call of the same invite", calls: []ledger.Call{{Sent: at(-100), Bound: at(-98)}, {Sent: at(50), Bound: at(900)}}, inv: invitation(at(-99), ""), want: Ours},
		{what: "between two calls that have ended", calls: []ledger.Call{{Sent: at(-100), Bound: at(-98)}, {Sent: at(50), Bound: at(900)}}, inv: invitation(at(10), "")},
		{what: "Clerk's clock is ahead", calls: call, inv: invitation(at(905), ""), facts: Facts{Clock: Clock{Offset: 10 * time.Second}}, want: Ours},
		{what: "Clerk's clock is behind", calls: call, inv: invitation(at(-5), ""), facts: Facts{Clock: Clock{Offset: -10 * time.Second}}, want: Ours},
		{what: "nobody knows Clerk's clock well", calls: call, inv: invitation(at(-5), ""), facts: Facts{Clock: Clock{Uncertainty: 5 * time.Second}}, want: Ours},
		{what: "other content", calls: call, inv: invitation(at(10), `{"role":"guest"}`), want: Unclear},
		{what: "same content, written differently", invite: tasks.Invite{PublicMetadata: meta(`{"n":30.0,"x":null,"a":[1]}`)}, calls: call, inv: invitation(at(10), `{"a":[1.0],"n":30}`), want: Ours},
		{what: "another expiry", invite: tasks.Invite{ExpiresInDays: 7}, calls: call, inv: invitation(at(10), ""), want: Unclear},

		{what: "our mark", calls: call, inv: invitation(at(10), `{"inviteq":"i"}`), facts: Facts{Mark: "inviteq"}, want: Ours},
		{what: "our mark, and the ledger knows of no call", inv: invitation(at(10), `{"inviteq":"i"}`), facts: Facts{Mark: "inviteq"}, want: Ours},
		{what: "another invite's mark", calls: call, inv: invitation(at(10), `{"inviteq":"j"}`), facts: Facts{Mark: "inviteq"}},
		{what: "no mark, though the call carried one", calls: call, inv: invitation(at(10), ""), facts: Facts{Mark: "inviteq", MarkSince: at(-10)}},
		{what: "no mark, from before there were marks", calls: call, inv: invitation(at(10), ""), facts: Facts{Mark: "inviteq", MarkSince: at(10)}, want: Ours},

		{what: "in the gap, and it waited", created: at(-10), inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{gap}}, want: Ours},
		{what: "before the gap", created: at(-10), inv: invitation(at(-90), ""), facts: Facts{Epochs: []ledger.Epoch{gap}}},
		{what: "in the gap, other content", created: at(-10), inv: invitation(at(-30), `{"role":"guest"}`), facts: Facts{Epochs: []ledger.Epoch{gap}}},
		{what: "in the gap, ended since", created: at(-10), inv: revoked, facts: Facts{Epochs: []ledger.Epoch{gap}}, want: Ours},
		{what: "in a long gap, ended since", created: at(-10), inv: revoked, facts: Facts{Epochs: []ledger.Epoch{long}}, want: Unclear},
		{what: "in the gap, with ignore_existing", created: at(-10), invite: tasks.Invite{IgnoreExisting: true}, inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{gap}}, want: Unclear},
		{what: "in the gap, with ignore_existing and other content", created: at(-10), invite: tasks.Invite{IgnoreExisting: true}, inv: invitation(at(-30), `{"a":1}`), facts: Facts{Epochs: []ledger.Epoch{gap}}, want: Unclear},
		{what: "in the gap, but it came later and cannot be a repetition", invite: tasks.Invite{ID: newID(at(120))}, created: at(120), inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{gap}}},
		{what: "in the gap, without the mark that every call carried", created: at(-10), inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{gap}, Mark: "inviteq", MarkSince: at(-100)}},
		{what: "in the gap, from before there were marks", created: at(-10), inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{gap}, Mark: "inviteq", MarkSince: at(-20)}, want: Ours},
		{what: "in a gap without a beginning, and each call that may have made it carried the mark", created: at(-10), inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{{End: gap.End}}, Mark: "inviteq", MarkSince: at(-1000)}},
		{what: "in a gap without a beginning, and a call that carried none may have made it", created: at(-10), inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{{End: gap.End}}, Mark: "inviteq", MarkSince: at(-900)}, want: Ours},
		{what: "in the gap, and its id is the caller's", created: at(60), inv: invitation(at(-30), ""), facts: Facts{Epochs: []ledger.Epoch{gap}}, want: Ours},
	} {
		if c.invite.ID == "" {
			c.invite.ID = "i"
		}
		c.facts.Now = at(3600)
		got := Of(ledger.Record{Invite: c.invite, CreatedAt: c.created}, c.calls, c.inv, c.facts)
		if got != c.want {
			t.Errorf("%s: got %d, want %d", c.what, got, c.want)
		}
	}
}

func TestSameJSON(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"", "{}", true},
		{"", "null", true},
		{`{"a":1}`, `{"a":1}`, true},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{`{"a":1}`, `{"a":1.0}`, true},
		{`{"a":1e2}`, `{"a":100}`, true},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, true}, // a float64 cannot tell
		{`{"a":1e999999999}`, `{"a":1}`, false},
		{`{"a":null}`, `{}`, true},
		{`{"a":{"b":null}}`, `{"a":{}}`, true},
		{`{"a":[null]}`, `{"a":[]}`, false},
		{`{"a":"é"}`, `{"a":"\u00e9"}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`{"a":1}`, `{}`, false},
		{`{}`, `{"a":1}`, false},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{`{"a":{}}`, `{"a":[]}`, false},
		{`{"a":true}`, `{"a":false}`, false},
		{`{"a":1}`, `[]`, false},
		{`{"a":1}`, `nonsense`, false},
	} {
		for _, swap := range []bool{false, true} {
			a, b := c.a, c.b
			if swap {
				a, b = b, a
			}
			if got := sameJSON(meta(a), meta(b)); got != c.want {
				t.Errorf("%s and %s: got %t", a, b, got)
			}
		}
	}
}

// newID is an id that tasks.NewID might have made at a moment.
func newID(at time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())<<16)
	return "inq_" + tasks.IDText.EncodeToString(append(b, 1, 2, 3, 4, 5, 6, 7))
}
