package verdict

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

// TestLook goes through what a reading may mean for an unknown invite.
func TestLook(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	sent := now.Add(-time.Minute)
	unknown := ledger.Record{Invite: tasks.Invite{ID: "inq_1"}, State: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, CreatedAt: sent, SentAt: sent}
	with := func(change func(*ledger.Record)) ledger.Record {
		r := unknown
		change(&r)
		return r
	}
	read := func(r *ledger.Record) { r.Absent = cleanReads - 1 }
	shown := func(status clerk.Status, created time.Time) []clerk.Invitation {
		return []clerk.Invitation{{ID: "inv_1", Status: status, CreatedAt: created}}
	}
	for _, c := range []struct {
		name   string
		r      ledger.Record
		shown  []clerk.Invitation
		owner  string
		resend bool
		to     tasks.State
		reason tasks.Reason
		after  time.Duration // the least time until it is looked at, or may go, again
	}{
		{"its invitation is there", unknown, shown(clerk.Pending, sent), "", false, tasks.Pending, tasks.ReasonAlreadyAtClerk, 0},
		{"and was accepted", unknown, shown(clerk.Accepted, sent), "", false, tasks.Accepted, tasks.ReasonAlreadyAtClerk, 0},
		{"and has a status of tomorrow", unknown, shown("frozen", sent), "", false, tasks.Pending, tasks.ReasonAlreadyAtClerk, 0},
		{"and is its own already", unknown, shown(clerk.Pending, sent), "inq_1", false, tasks.Pending, tasks.ReasonAlreadyAtClerk, 0},
		{"another invite has it", unknown, shown(clerk.Pending, sent), "inq_2", false, tasks.Unknown, tasks.ReasonNoClearAnswer, secondLook},
		{"older than the call", unknown, shown(clerk.Pending, sent.Add(-time.Hour)), "", false, tasks.Unknown, tasks.ReasonNoClearAnswer, secondLook},
		{"one clean read", unknown, nil, "", false, tasks.Unknown, tasks.ReasonNoClearAnswer, secondLook},
		{"two clean reads", with(read), nil, "", false, tasks.Queued, tasks.ReasonNotAtClerk, time.Millisecond},
		{
			"two, at the last attempt", with(func(r *ledger.Record) { read(r); r.Attempts = 11 }), nil, "", false,
			tasks.Failed, tasks.ReasonAttempts, 0,
		},
		{
			"two, and the worker has died too often", with(func(r *ledger.Record) { read(r); r.Crashes = maxCrashes }), nil, "", false,
			tasks.Parked, tasks.ReasonWorkersDied, 0,
		},
		{
			"a crash costs no attempt", with(func(r *ledger.Record) { read(r); r.Attempts, r.Reason = 11, tasks.ReasonWorkerDied }), nil, "", false,
			tasks.Queued, tasks.ReasonNotAtClerk, time.Millisecond,
		},
		{
			"with ignore_existing, one", with(func(r *ledger.Record) { r.Invite.IgnoreExisting = true }), nil, "", false,
			tasks.Unknown, tasks.ReasonNoClearAnswer, resendLook,
		},
		{
			"with ignore_existing, two", with(func(r *ledger.Record) { read(r); r.Invite.IgnoreExisting = true }), nil, "", false,
			tasks.Parked, tasks.ReasonMayHaveBeenSent, 0,
		},
		{
			"the same, told to send again", with(func(r *ledger.Record) { read(r); r.Invite.IgnoreExisting = true }), nil, "", true,
			tasks.Queued, tasks.ReasonNotAtClerk, time.Millisecond,
		},
		{
			"the same, of a refused bulk", with(func(r *ledger.Record) { read(r); r.Invite.IgnoreExisting, r.Reason = true, tasks.ReasonChecking }), nil, "", false,
			tasks.Queued, tasks.ReasonNotAtClerk, 0,
		},
		{
			"somebody else's is in the way", with(func(r *ledger.Record) { r.Reason = tasks.ReasonInvitationExists }),
			shown(clerk.Pending, sent.Add(-time.Hour)), "", false, tasks.Rejected, tasks.ReasonAlreadyInvited, 0,
		},
		{
			"one was in the way, and two reads show none", with(func(r *ledger.Record) { read(r); r.Reason = tasks.ReasonInvitationExists }), nil, "", false,
			tasks.Rejected, tasks.ReasonAlreadyInvited, 0,
		},
		{
			"a user, by no invitation of ours", with(func(r *ledger.Record) { read(r); r.Reason = tasks.ReasonExistingUser }), nil, "", false,
			tasks.Rejected, tasks.ReasonExistingUser, 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			owners := map[string]string{}
			if c.owner != "" {
				owners["inv_1"] = c.owner
			}
			s := Shown{Invitations: c.shown, Owners: owners}
			if c.r.Reason != tasks.ReasonInvitationExists && c.r.Reason != tasks.ReasonExistingUser {
				s.Calls = []ledger.Call{{Sent: sent, Bound: now.Add(ledger.ArrivalBound)}}
			}
			got := Look(c.r, s, ownership.Facts{Now: now}, Policy{MaxAttempts: 12, ResendUnknown: c.resend})
			if got.To != c.to || got.Reason != c.reason {
				t.Errorf("got %s (%s), want %s (%s)", got.To, got.Reason, c.to, c.reason)
			}
			if wait := got.At.Sub(now); c.after == 0 && !got.At.IsZero() || c.after > 0 && wait < c.after {
				t.Errorf("it waits until %s, want %s at least, or not at all if that is 0", got.At, c.after)
			}
			if got.To == tasks.Unknown && got.Absent != c.r.Absent+1 {
				t.Errorf("%d clean reads are counted, want %d", got.Absent, c.r.Absent+1)
			}
		})
	}
}
