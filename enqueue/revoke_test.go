package enqueue_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// TestRevokeInEachState goes through every state there is, by each of the three
// names of an invite.
func TestRevokeInEachState(t *testing.T) {
	const none, request = "", "request"
	for _, c := range []struct {
		state     tasks.State
		verdict   enqueue.Verdict
		then      tasks.State
		byAddress enqueue.Verdict // request: somebody else's invitation may still be at Clerk
	}{
		{tasks.Queued, enqueue.Canceled, tasks.Canceled, enqueue.Canceled},
		{tasks.Sending, enqueue.RevokeAsked, tasks.Sending, enqueue.RevokeAsked},
		{tasks.Unknown, enqueue.RevokeAsked, tasks.Unknown, enqueue.RevokeAsked},
		{tasks.Pending, enqueue.RevokeAsked, tasks.Pending, enqueue.RevokeAsked},
		{tasks.Accepted, enqueue.TooLate, tasks.Accepted, enqueue.TooLate},
		{tasks.Expired, enqueue.AlreadyExpired, tasks.Expired, request},
		{tasks.Revoked, enqueue.AlreadyRevoked, tasks.Revoked, request},
		{tasks.Rejected, enqueue.NeverInvited, tasks.Rejected, request},
		{tasks.Canceled, enqueue.Canceled, tasks.Canceled, request},
		// Calls have left for these: a worker looks at Clerk before it says that they are canceled.
		{tasks.Failed, enqueue.RevokeAsked, tasks.Unknown, request},
		{tasks.Parked, enqueue.RevokeAsked, tasks.Unknown, enqueue.RevokeAsked},
	} {
		for _, by := range []string{"our id", "Clerk's id", "address"} {
			t.Run(c.state.String()+" by "+by, func(t *testing.T) {
				s := newSide(t)
				const id = "signup-4711"
				if _, err := s.Invite(t.Context(), tasks.Invite{ID: id, EmailAddress: email(t, "ada@example.com")}); err != nil {
					t.Fatal(err)
				}
				s.drive(t, id, c.state)
				target, want := id, c.verdict
				switch by {
				case "Clerk's id":
					if target = s.record(t, id).InvitationID; target == none {
						t.Skip("Clerk has not given it an id")
					}
				case "address":
					target, want = "Ada@Example.com", c.byAddress
				}
				got, err := s.Revoke(t.Context(), target)
				if err != nil || len(got) != 1 || got[0].TaskErr != nil {
					t.Fatalf("got %+v, %v", got, err)
				}
				taskIDs := s.controlTasks(t)
				if want == request {
					if got[0].Verdict != enqueue.RevokeAsked || got[0].ID != "" || !cmp.Equal(taskIDs, []string{got[0].RequestID}) {
						t.Errorf("got %+v, tasks %v; want a request", got[0], taskIDs)
					}
					if now := s.record(t, id).State; now != c.state {
						t.Errorf("got %v, want it left as it was", now)
					}
					return
				}
				record := s.record(t, id)
				if got[0].Verdict != want || got[0].ID != id || got[0].State != c.then || record.State != c.then {
					t.Errorf("got %+v, record %v; want %v and %v", got[0], record.State, want, c.then)
				}
				asked := want == enqueue.RevokeAsked
				if record.RevokeWanted != asked {
					t.Errorf("the ledger keeps the wish: %v, want %v", record.RevokeWanted, asked)
				}
				var wantTasks []string
				switch {
				case by == "address" && want != enqueue.TooLate: // Clerk may hold more for it.
					wantTasks = []string{got[0].RequestID}
				case asked:
					wantTasks = []string{"revoke:" + id}
				}
				if diff := cmp.Diff(wantTasks, taskIDs); diff != "" {
					t.Errorf("tasks (-want +got):\n%s", diff)
				}
				again, err := s.Revoke(t.Context(), target)
				if err != nil || len(again) != 1 || by != "address" && (again[0].Verdict != c.verdict || len(s.controlTasks(t)) != len(wantTasks)) {
					t.Errorf("again: got %+v, %v, tasks %v", again, err, s.controlTasks(t))
				}
			})
		}
	}
}

// controlTasks are the ids of the revoke tasks; their payloads must hold no more
// than an id.
func (s side) controlTasks(tb testing.TB) (ids []string) {
	tb.Helper()
	for _, task := range s.queued(tb, s.queues.Control) {
		p, err := tasks.ParseRevoke(task.Payload)
		if err != nil || task.Type != tasks.TypeRevoke || p.Target != "" || !strings.HasSuffix(task.ID, p.ID) {
			tb.Errorf("got task %s %s, %v", task.Type, task.Payload, err)
		}
		ids = append(ids, task.ID)
	}
	return ids
}

func TestRevokeByAddressMeansEveryOpenInvite(t *testing.T) {
	s := newSide(t)
	for _, c := range []struct {
		id string
		to tasks.State
	}{
		{"settled", tasks.Rejected}, {"sent", tasks.Pending}, {"waiting", tasks.Queued},
	} {
		if _, err := s.Invite(t.Context(), tasks.Invite{ID: c.id, EmailAddress: email(t, "ada@example.com")}); err != nil {
			t.Fatal(err)
		}
		s.drive(t, c.id, c.to)
	}
	if _, err := s.Invite(t.Context(), tasks.Invite{ID: "other", EmailAddress: email(t, "bob@example.com")}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Revoke(t.Context(), " ada@EXAMPLE.com ")
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]enqueue.Verdict{}
	for _, r := range got {
		verdicts[r.ID] = r.Verdict
	}
	if diff := cmp.Diff(map[string]enqueue.Verdict{"waiting": enqueue.Canceled, "sent": enqueue.RevokeAsked}, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if s := s.record(t, "other").State; s != tasks.Queued {
		t.Errorf("somebody else's invite is %v", s)
	}
}

func TestRevokeOfWhatTheLedgerDoesNotKnow(t *testing.T) {
	for _, target := range []string{"inv_2fYQm1xUzE", "canary@example.com"} {
		t.Run(target, func(t *testing.T) {
			s := newSide(t)
			got, err := s.Revoke(t.Context(), target)
			if err != nil || len(got) != 1 || got[0].Verdict != enqueue.RevokeAsked || !strings.HasPrefix(got[0].RequestID, "rvk_") {
				t.Fatalf("got %+v, %v; want a request", got, err)
			}
			request, err := s.ledger.RevokeRequest(t.Context(), got[0].RequestID)
			if err != nil || request.Target != target {
				t.Errorf("got %v, %v", request, err)
			}
			if diff := cmp.Diff([]string{got[0].RequestID}, s.controlTasks(t)); diff != "" {
				t.Errorf("tasks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRevokeRequestWithoutTaskIsKept(t *testing.T) {
	var f faults
	s := sideOver(t, f.client(t, -1))
	f.set("", "asynq:{")
	got, err := s.Revoke(t.Context(), "canary@example.com")
	if err != nil || len(got) != 1 || got[0].TaskErr == nil {
		t.Fatalf("got %+v, %v; want it kept, and the error in TaskErr", got, err)
	}
	missing, err := s.ledger.Missing(t.Context(), time.Now().Add(2*time.Minute), 10)
	if diff := cmp.Diff([]string{got[0].RequestID}, missing.Revokes); err != nil || diff != "" {
		t.Errorf("the sweep finds (-want +got):\n%s%v", diff, err)
	}
}

func TestRevokeRefusesWhatItCannotMean(t *testing.T) {
	s := newSide(t)
	if _, err := s.Revoke(t.Context(), "inq_nobody"); !errors.Is(err, enqueue.ErrNotFound) {
		t.Errorf("an id that is not known: got %v, want ErrNotFound", err)
	}
	for _, target := range []string{"", "canary @example.com", "@", "a/b", "two words"} {
		_, err := s.Revoke(t.Context(), target)
		if _, ok := errors.AsType[*tasks.ValidationError](err); !ok {
			t.Errorf("%q: got %v, want a validation error", target, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the target is quoted: %v", err)
		}
	}
}
