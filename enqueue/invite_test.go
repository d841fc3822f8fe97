package enqueue_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

func TestInviteLeavesRecordAndTask(t *testing.T) {
	s := newSide(t)
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		name   string
		invite tasks.Invite
		queue  string
		state  asynq.TaskState
	}{
		{"interactive by default", tasks.Invite{}, s.queues.Interactive, asynq.TaskStatePending},
		{"import lane", tasks.Invite{Lane: tasks.Import}, s.queues.Import, asynq.TaskStatePending},
		{"not before", tasks.Invite{NotBefore: soon, Deadline: soon.Add(time.Hour)}, s.queues.Interactive, asynq.TaskStateScheduled},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.invite.EmailAddress = email(t, "Ada@Example.com")
			c.invite.RedirectURL = "/welcome"
			got, err := s.Invite(t.Context(), c.invite)
			if err != nil || got.TaskErr != nil || got.Existing {
				t.Fatalf("got %+v, %v", got, err)
			}
			record := s.record(t, got.ID)
			c.invite.ID = got.ID
			if diff := cmp.Diff(c.invite, record.Invite, equalInvites); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			status := enqueue.Status{
				ID: got.ID, EmailAddress: c.invite.EmailAddress, Lane: c.invite.Lane, State: tasks.Queued,
				CreatedAt: record.CreatedAt.UTC(), UpdatedAt: record.UpdatedAt.UTC(), NotBefore: c.invite.NotBefore.UTC(),
			}
			if diff := cmp.Diff(status, got.Status, equalEmails, cmpopts.EquateApproxTime(time.Second)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			task, err := s.inspector.GetTaskInfo(c.queue, got.ID)
			if err != nil {
				t.Fatal(err)
			}
			if task.Type != tasks.TypeCreate || string(task.Payload) != `{"v":1,"id":"`+got.ID+`"}` ||
				task.State != c.state || task.MaxRetry != math.MaxInt32 {
				t.Errorf("got task %+v", task)
			}
			if c.state == asynq.TaskStateScheduled && !task.NextProcessAt.Equal(soon) {
				t.Errorf("got the task at %v, want it at %v", task.NextProcessAt, soon)
			}
		})
	}
}

var (
	equalEmails  = cmp.Comparer(func(a, b tasks.Email) bool { return a == b })
	equalInvites = cmp.Comparer(func(a, b tasks.Invite) bool {
		return a.NotBefore.Equal(b.NotBefore) && a.Deadline.Equal(b.Deadline) && a.EmailAddress == b.EmailAddress &&
			a.ID == b.ID && a.ImportID == b.ImportID && a.Lane == b.Lane && a.RedirectURL == b.RedirectURL
	})
)

func TestInviteNamesEveryProblem(t *testing.T) {
	s := newSide(t)
	_, err := s.Invite(t.Context(), tasks.Invite{ID: "a/b", ExpiresInDays: 400, RedirectURL: "canary@example.com"})
	v, ok := errors.AsType[*tasks.ValidationError](err)
	if !ok || len(v.Problems) != 4 {
		t.Fatalf("got %v, want four problems", err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a value is quoted: %v", err)
	}
	if n := s.rdb.Exists(t.Context(), "asynq:{"+s.queues.Interactive+"}:pending").Val(); n != 0 {
		t.Error("an invalid invite left a task")
	}
}

func TestSameIDSameContentIsTheSameInvite(t *testing.T) {
	s := newSide(t)
	invite := tasks.Invite{
		ID: "signup-4711", EmailAddress: email(t, "ada@example.com"),
		PublicMetadata: []byte(`{"plan":"pro","seats":10}`),
	}
	if _, err := s.Invite(t.Context(), invite); err != nil {
		t.Fatal(err)
	}
	s.drive(t, invite.ID, tasks.Pending)

	invite.PublicMetadata = []byte(`{ "seats": 10, "plan": "pro" }`)
	got, err := s.Invite(t.Context(), invite)
	if err != nil || !got.Existing || got.TaskErr != nil || got.State != tasks.Pending || got.InvitationID != "inv_signup-4711" {
		t.Errorf("got %+v, %v; want the pending invite", got, err)
	}
	all, err := s.Client.Status(t.Context(), "ada@example.com")
	if err != nil || len(all) != 1 {
		t.Errorf("got %d invites, %v; want 1", len(all), err)
	}
	if n := len(s.queued(t, s.queues.Interactive)); n != 1 {
		t.Errorf("got %d tasks, want 1", n)
	}
}

func TestSameIDOtherContentIsConflict(t *testing.T) {
	s := newSide(t)
	first := tasks.Invite{ID: "signup-4711", EmailAddress: email(t, "ada@example.com")}
	if _, err := s.Invite(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	before := s.record(t, first.ID)
	for name, change := range map[string]func(*tasks.Invite){
		"address":         func(i *tasks.Invite) { i.EmailAddress = email(t, "canary@example.com") },
		"metadata":        func(i *tasks.Invite) { i.PublicMetadata = []byte(`{"plan":"pro"}`) },
		"redirect":        func(i *tasks.Invite) { i.RedirectURL = "/welcome" },
		"notify":          func(i *tasks.Invite) { i.NoNotify = true },
		"ignore existing": func(i *tasks.Invite) { i.IgnoreExisting = true },
		"expiry":          func(i *tasks.Invite) { i.ExpiresInDays = 7 },
		"template":        func(i *tasks.Invite) { i.TemplateSlug = "waitlist_invitation" },
	} {
		t.Run(name, func(t *testing.T) {
			other := first
			change(&other)
			_, err := s.Invite(t.Context(), other)
			conflict, ok := errors.AsType[*enqueue.ConflictError](err)
			if !ok || conflict.ID != first.ID || !errors.Is(err, enqueue.ErrConflict) {
				t.Fatalf("got %v, want a conflict that names the id", err)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the address is quoted: %v", err)
			}
		})
	}
	if diff := cmp.Diff(before.Version, s.record(t, first.ID).Version); diff != "" {
		t.Errorf("the first invite has changed (-want +got):\n%s", diff)
	}
	if n := len(s.queued(t, s.queues.Interactive)); n != 1 {
		t.Errorf("got %d tasks, want 1", n)
	}
}

func TestLostAnswerIsNoConflict(t *testing.T) {
	for name, lose := range map[string]string{
		"of the record": "inviteq:{",
		"of the task":   "asynq:{",
	} {
		for _, id := range []string{"", "signup-4711"} {
			t.Run(name+" "+id, func(t *testing.T) {
				var f faults
				s := sideOver(t, f.client(t, 3))
				if _, err := s.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "warm@example.com")}); err != nil {
					t.Fatal(err) // Scripts are loaded now.
				}
				f.set(lose, "")
				got, err := s.Invite(t.Context(), tasks.Invite{ID: id, EmailAddress: email(t, "ada@example.com")})
				if err != nil || got.TaskErr != nil || !f.isLost() {
					t.Fatalf("got %+v, %v, lost: %v", got, err, f.isLost())
				}
				if got.Existing && id == "" {
					t.Error("an id that was made up for this call cannot have existed")
				}
				if n := len(s.queued(t, s.queues.Interactive)); n != 2 {
					t.Errorf("got %d tasks, want 2 with the first", n)
				}
				if found, err := s.Client.Status(t.Context(), "ada@example.com"); err != nil || len(found) != 1 {
					t.Errorf("got %d invites, %v; want 1", len(found), err)
				}
			})
		}
	}
}

func TestInviteSaysUnderWhichIDToRepeat(t *testing.T) {
	var f faults
	s := sideOver(t, f.client(t, -1))
	f.set("", "inviteq:{")
	invite := tasks.Invite{EmailAddress: email(t, "canary@example.com")}
	got, err := s.Invite(t.Context(), invite)
	if err == nil || got.ID == "" || !strings.Contains(err.Error(), got.ID) {
		t.Fatalf("got %+v, %v; want an error and the id", got, err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the address is quoted: %v", err)
	}
}

func TestOneInviteMayJoinAnImport(t *testing.T) {
	s := newSide(t)
	got, err := s.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "ada@example.com"), ImportID: "spring", Lane: tasks.Import})
	if err != nil || got.TaskErr != nil || got.ImportID != "spring" {
		t.Fatalf("got %+v, %v", got, err)
	}
	queued := s.queued(t, s.queues.Import)
	if len(queued) != 1 || queued[0].ID != "spring:0" || queued[0].Type != tasks.TypeBulkCreate {
		t.Errorf("got tasks %+v, want that of the chunk", queued)
	}
}

func TestForgottenInviteIsNotSentAgain(t *testing.T) {
	s := newSide(t)
	invite := tasks.Invite{ID: "signup-4711", EmailAddress: email(t, "ada@example.com")}
	if _, err := s.Invite(t.Context(), invite); err != nil {
		t.Fatal(err)
	}
	s.drive(t, invite.ID, tasks.Accepted)
	if n, err := s.ledger.Trim(t.Context(), time.Now().Add(time.Hour), time.Hour, 10); n != 1 || err != nil {
		t.Fatalf("trimmed %d, %v", n, err)
	}
	got, err := s.Invite(t.Context(), invite)
	if want := (enqueue.Result{Status: enqueue.Status{ID: invite.ID}, Existing: true, Forgotten: true}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	invite.RedirectURL = "/other"
	if _, err := s.Invite(t.Context(), invite); !errors.Is(err, enqueue.ErrConflict) {
		t.Errorf("other content: got %v, want a conflict", err)
	}
}
