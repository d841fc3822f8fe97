package verdict

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

// What was in the way and has gone may have gone before the call was claimed, for all
// that two clocks tell which are compared by the second.
func TestLookAllowsForClocks(t *testing.T) {
	sent := time.UnixMilli(1_800_000_000_000)
	r := ledger.Record{Invite: tasks.Invite{ID: "inq_1"}, State: tasks.Unknown, Reason: tasks.ReasonInvitationExists, CreatedAt: sent, SentAt: sent}
	for _, c := range []struct {
		gone time.Duration // after the claim, as the clocks say
		to   tasks.State
	}{
		{100 * time.Millisecond, tasks.Queued},
		{-time.Second, tasks.Queued},
		{-time.Minute, tasks.Unknown},
	} {
		s := Shown{Invitations: []clerk.Invitation{{ID: "inv_1", Status: clerk.Revoked, CreatedAt: sent.Add(-time.Hour), UpdatedAt: sent.Add(c.gone)}}}
		f := ownership.Facts{Now: sent.Add(5 * time.Second), Clock: ownership.Clock{Uncertainty: 500 * time.Millisecond}}
		if got := Look(r, s, f, Policy{MaxAttempts: 12}); got.To != c.to {
			t.Errorf("gone %s after the claim: %s (%s), want %s", c.gone, got.To, got.Reason, c.to)
		}
	}
}
