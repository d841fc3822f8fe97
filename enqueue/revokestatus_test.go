package enqueue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestRevokeStatus follows the revoke of an address on its way: what was waiting is
// canceled at once, Clerk refuses to revoke what it has, then does, and in the end
// the whole is told, without what was asked for later.
func TestRevokeStatus(t *testing.T) {
	s := newSide(t)
	if _, err := s.RevokeStatus(t.Context(), "rvk_nobody"); !errors.Is(err, enqueue.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	invited := func(id string, to tasks.State) {
		t.Helper()
		if _, err := s.Invite(t.Context(), tasks.Invite{ID: id, EmailAddress: email(t, "ada@example.com")}); err != nil {
			t.Fatal(err)
		}
		s.drive(t, id, to)
	}
	invited("old", tasks.Accepted)
	invited("sent", tasks.Pending)
	invited("waiting", tasks.Queued)
	asked, err := s.Revoke(t.Context(), "ada@example.com")
	if err != nil || len(asked) != 2 || asked[0].RequestID == "" || asked[0].RequestID != asked[1].RequestID {
		t.Fatalf("got %+v, %v", asked, err)
	}
	request := asked[0].RequestID
	invited("later", tasks.Queued)
	check := func(want enqueue.RevokeStatus) {
		t.Helper()
		got, err := s.RevokeStatus(t.Context(), request)
		if err != nil || got.RequestID != request || time.Since(got.AskedAt) > time.Minute {
			t.Errorf("got %+v, %v", got, err)
		}
		for n, r := range got.Refusals {
			if wait := r.NextAt.Sub(r.Since); time.Since(r.Since) > time.Minute || wait < time.Minute {
				t.Errorf("refused since %v, next try at %v", r.Since, r.NextAt)
			}
			got.Refusals[n].Since, got.Refusals[n].NextAt = time.Time{}, time.Time{}
		}
		got.RequestID, got.AskedAt, got.DoneAt = "", time.Time{}, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	nothing, none := []string{}, []enqueue.RevokeRefusal{}
	check(enqueue.RevokeStatus{Canceled: 1, Waiting: 1, Invitations: nothing, Refusals: none})

	for range 2 {
		if _, err := s.ledger.RevokeRefused(t.Context(), ledger.Now, "sent", "refused", time.Minute, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	refused := enqueue.RevokeRefusal{ID: "sent", InvitationID: "inv_sent", Tries: 2, Why: "refused"}
	check(enqueue.RevokeStatus{Canceled: 1, Waiting: 1, Invitations: nothing, Refusals: []enqueue.RevokeRefusal{refused}})
	if got, err := s.Status(t.Context(), "sent"); err != nil || !got[0].Revoking || got[0].Refusal == nil || got[0].Refusal.Tries != 2 {
		t.Errorf("the invite says %+v, %v", got, err)
	}
	for _, one := range []enqueue.Revocation{asked[0], {Verdict: enqueue.RevokeAsked, Status: enqueue.Status{ID: "sent"}}} {
		if got, err := s.WaitRevoked(t.Context(), one); err != nil || got.Done() || len(got.Refusals) != 1 {
			t.Errorf("waiting ends with %+v, %v; want the refusal", got, err)
		}
	}

	if _, err := s.ledger.Observe(t.Context(), ledger.Now, ledger.Observation{ID: "sent", From: tasks.Pending, To: tasks.Revoked, Reason: tasks.ReasonRevokeRequested}); err != nil {
		t.Fatal(err)
	}
	check(enqueue.RevokeStatus{Canceled: 1, Revoked: 1, Invitations: []string{"inv_sent"}, Refusals: none})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := s.WaitRevoked(ctx, asked[0]); !errors.Is(err, context.DeadlineExceeded) || got.Revoked != 1 || got.Done() {
		t.Errorf("a worker still has to look at Clerk, but waiting ends with %+v, %v", got, err)
	}
	if got, err := s.WaitRevoked(t.Context(), enqueue.Revocation{Status: enqueue.Status{ID: "sent"}}); err != nil || !got.Done() || got.Revoked != 1 {
		t.Errorf("the one invite: %+v, %v", got, err)
	}

	// What the worker writes in the end.
	end, err := s.ledger.RevokeRequest(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.ledger.Get(t.Context(), "old", "sent", "waiting")
	if err != nil {
		t.Fatal(err)
	}
	done := end.Done(records, []string{"inv_theirs"})
	done.At = time.Now()
	if err := s.ledger.CloseRevokeRequest(t.Context(), request, done); err != nil {
		t.Fatal(err)
	}
	check(enqueue.RevokeStatus{Canceled: 1, Revoked: 1, Foreign: 1, Invitations: []string{"inv_sent", "inv_theirs"}, Refusals: none})
	if got, err := s.WaitRevoked(t.Context(), asked[0]); err != nil || !got.Done() {
		t.Errorf("got %+v, %v", got, err)
	}
	if got := s.record(t, "later").State; got != tasks.Queued {
		t.Errorf("what was asked for later is %s", got)
	}
}
