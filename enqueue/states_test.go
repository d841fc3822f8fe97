package enqueue_test

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// whyDriven gives the states into which an invite may be driven their reasons.
var whyDriven = map[tasks.State]tasks.Reason{
	tasks.Unknown: tasks.ReasonNoClearAnswer, tasks.Rejected: tasks.ReasonBlocked, tasks.Failed: tasks.ReasonAttempts,
	tasks.Parked: tasks.ReasonMalformed,
}

// drive does what a worker would, until an invite that is queued alone is in the
// given state. Clerk's id becomes "inv_" and ours.
func (s side) drive(tb testing.TB, id string, to tasks.State) {
	tb.Helper()
	ctx, now := tb.Context(), time.Now()
	settle := func(turn ledger.Turn, to tasks.State, reason tasks.Reason) {
		tb.Helper()
		one := ledger.Settlement{ID: id, Turn: turn.ID, To: to, Reason: reason}
		if to == tasks.Failed || to == tasks.Parked || to == tasks.Unknown {
			one.Call = ledger.LostCall
		}
		if to == tasks.Pending {
			one.InvitationID = "inv_" + id
		}
		settled, err := s.ledger.SettleTurn(ctx, now, turn, ledger.Ending{Token: ledger.StampToken, Members: []ledger.Settlement{one}})
		if err != nil || len(settled) != 1 {
			tb.Fatalf("settled %d as %v, %v", len(settled), to, err)
		}
	}
	claim := func() ledger.Turn {
		tb.Helper()
		turn, err := s.ledger.Turn(ctx, now, tasks.NewID("turn"))
		if err != nil || len(turn.Batch) != 1 || turn.Batch[0].Invite.ID != id {
			tb.Fatalf("claimed %+v, %v; want %s alone", turn, err, id)
		}
		return turn
	}
	switch to {
	case tasks.Queued:
	case tasks.Sending:
		claim()
	case tasks.Canceled:
		if _, err := s.ledger.Cancel(ctx, now, id); err != nil {
			tb.Fatal(err)
		}
	case tasks.Unknown, tasks.Pending, tasks.Rejected, tasks.Failed, tasks.Parked:
		settle(claim(), to, whyDriven[to])
	case tasks.Accepted, tasks.Expired, tasks.Revoked:
		settle(claim(), tasks.Pending, "")
		seen, err := s.ledger.Observe(ctx, now, ledger.Observation{ID: id, From: tasks.Pending, To: to, Reason: tasks.ReasonSeenAtClerk})
		if err != nil || !seen[0] {
			tb.Fatalf("observed %v, %v", seen, err)
		}
	default:
		tb.Fatalf("cannot drive to %v", to)
	}
	if got := s.record(tb, id).State; got != to {
		tb.Fatalf("got %v, want %v", got, to)
	}
}
