package ledger

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// TestRevokeThatMustWaitIsKept: an invite in doubt is to be canceled while another one
// for its address is under way. The read that comes first has to wait for that one; the
// wish stands meanwhile, whoever asks again, and nothing is sent.
func TestRevokeThatMustWaitIsKept(t *testing.T) {
	for name, carryOn := range map[string]func(t *testing.T, l *Ledger, now time.Time){
		"by the chores of a worker": func(t *testing.T, l *Ledger, now time.Time) {
			due, err := l.DueRevokes(t.Context(), now, time.Minute, 10)
			if err != nil || len(due) != 0 {
				t.Fatalf("Clerk would be asked to revoke %v, %v", due, err)
			}
		},
		"by a turn": func(t *testing.T, l *Ledger, now time.Time) {
			if claimed := turn(t, l, now); len(claimed.Batch) != 0 {
				t.Fatalf("%v is sent, and somebody was told that it will be revoked", claimed.Batch)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
			state := func(id string) Record {
				t.Helper()
				records, err := l.Get(t.Context(), id)
				if err != nil || len(records) != 1 {
					t.Fatal(records, err)
				}
				return records[0]
			}
			first, second := invite(t, "ada@example.com"), invite(t, "ada@example.com")
			admit(t, l, start, first)
			lost := turn(t, l, start)
			now := start.Add(time.Second)
			settleTurn(t, l, now, lost, Settlement{ID: first.ID, Turn: lost.Batch[0].Turn, To: tasks.Unknown, Reason: tasks.ReasonNoClearAnswer, Call: LostCall})
			soon := now.Add(5 * time.Minute)
			if _, err := l.Settle(t.Context(), now, Settlement{ID: first.ID, Turn: lost.Batch[0].Turn, To: tasks.Queued, Reason: tasks.ReasonNotAtClerk, At: soon}); err != nil {
				t.Fatal(err)
			}
			admit(t, l, now, second)
			flying := turn(t, l, now)
			if len(flying.Batch) != 1 || flying.Batch[0].Invite.ID != second.ID {
				t.Fatalf("claimed %v, want the second", flying.Batch)
			}
			if r, err := l.Cancel(t.Context(), now, first.ID); err != nil || r.State != tasks.Queued || !r.RevokeWanted {
				t.Fatalf("%v, %v", r, err)
			}
			if !state(first.ID).RevokeWanted {
				t.Fatal("nobody remembers that it was to be revoked")
			}
			if due, err := l.DueRevokes(t.Context(), now, time.Second, 10); err != nil || len(due) != 0 || state(first.ID).State != tasks.Queued {
				t.Fatalf("%v, %v: the other one is under way still", due, err)
			}
			settleTurn(t, l, now, flying, Settlement{ID: second.ID, Turn: flying.Batch[0].Turn, To: tasks.Pending, InvitationID: "inv_2"})
			carryOn(t, l, soon.Add(time.Second))
			if r := state(first.ID); r.State != tasks.Unknown || !r.RevokeWanted {
				t.Errorf("it is %s, revoke wanted %t; want a read first", r.State, r.RevokeWanted)
			}
			audit(t, l)
		})
	}
}

// TestRetryTakesAWaitingRevokeBack: whoever sends an invite again after somebody wanted
// it revoked knows better.
func TestRetryTakesAWaitingRevokeBack(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	first, second := invite(t, "ada@example.com"), invite(t, "ada@example.com")
	admit(t, l, start, first)
	lost := turn(t, l, start)
	settleTurn(t, l, start, lost, Settlement{ID: first.ID, Turn: lost.Batch[0].Turn, To: tasks.Parked, Reason: tasks.ReasonMayHaveBeenSent, Call: LostCall})
	admit(t, l, start, second)
	turn(t, l, start)
	if r, err := l.Cancel(t.Context(), start, first.ID); err != nil || r.State != tasks.Parked || !r.RevokeWanted {
		t.Fatalf("%v, %v", r, err)
	}
	if done, err := l.Requeue(t.Context(), start, tasks.ReasonQueuedByHand, Requeueable, first.ID); err != nil || !done[0] {
		t.Fatal(done, err)
	}
	records, err := l.Get(t.Context(), first.ID)
	if err != nil || records[0].State != tasks.Queued || records[0].RevokeWanted {
		t.Errorf("%v, %v", records, err)
	}
	audit(t, l)
}

func settleTurn(t *testing.T, l *Ledger, now time.Time, turn Turn, members ...Settlement) {
	t.Helper()
	if _, err := l.SettleTurn(t.Context(), now, turn, Ending{Members: members}); err != nil {
		t.Fatal(err)
	}
}
