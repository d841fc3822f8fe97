package enqueue_test

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/ledger"
)

// drive does what a worker would, until an invite that is queued alone is in the
// given state. Clerk's id becomes "inv_" and ours.
func (s side) drive(tb testing.TB, id string, to ledger.State) {
	tb.Helper()
	ctx, now := tb.Context(), time.Now()
	settle := func(turn ledger.Turn, to ledger.State, reason string) {
		tb.Helper()
		one := ledger.Settlement{ID: id, Turn: turn.ID, To: to, Reason: reason}
		if to == ledger.Pending {
			one.InvitationID = "inv_" + id
		}
		settled, err := s.ledger.Settle(ctx, now, turn, ledger.StampToken, ledger.GateChange{}, []ledger.Settlement{one})
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
	case ledger.Queued:
	case ledger.Sending:
		claim()
	case ledger.Canceled:
		if _, err := s.ledger.Cancel(ctx, now, id); err != nil {
			tb.Fatal(err)
		}
	case ledger.Unknown, ledger.Pending, ledger.Rejected, ledger.Failed, ledger.Parked:
		settle(claim(), to, "")
	case ledger.Accepted, ledger.Expired, ledger.Revoked:
		settle(claim(), ledger.Pending, "")
		seen, err := s.ledger.Observe(ctx, now, ledger.Observation{ID: id, From: ledger.Pending, To: to})
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
