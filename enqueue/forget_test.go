package enqueue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

const canary = "Canary@Example.com"

// saved is what Redis would have on its disk: every byte of every key.
func saved(t *testing.T, s side, server *redistest.Server) string {
	t.Helper()
	rdb := server.Client(t)
	for _, args := range [][]any{{"CONFIG", "SET", "rdbcompression", "no"}, {"SAVE"}} {
		if err := rdb.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(server.Socket), "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ToLower(b))
}

// TestForget puts a person into every place that there is, forgets them, and then looks
// at every byte that Redis would save.
func TestForget(t *testing.T) {
	server := redistest.Start(t)
	s := sideOn(t, server.Client(t))
	person, other := email(t, canary), email(t, "other@example.com")
	for _, i := range []tasks.Invite{
		{ID: "order-1", EmailAddress: person, Owner: "billing", PublicMetadata: json.RawMessage(`{"plan":"pro"}`)},
		{ID: "delivered", EmailAddress: person, NotBefore: time.Now().Add(-time.Second)},
		{ID: "later", EmailAddress: person, NotBefore: time.Now().Add(time.Hour)},
		{ID: "others", EmailAddress: other},
	} {
		if _, err := s.Invite(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.BulkInvite(t.Context(), func(yield func(tasks.Invite, error) bool) {
		_ = yield(tasks.Invite{EmailAddress: person}, nil) && yield(tasks.Invite{EmailAddress: other}, nil)
	}, enqueue.BulkOptions{ImportID: "march", Name: "for canary@example.com.csv", Owner: "billing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revoke(t.Context(), "Canary@example.com"); err != nil {
		t.Fatal(err)
	}
	// Foreign producers leave whole invites in tasks, also where no worker has seen to them.
	whole := func(addresses ...string) []byte {
		list := make([]string, len(addresses))
		for n, a := range addresses {
			list[n] = fmt.Sprintf(`{"email_address":%q}`, a)
		}
		return []byte(`{"v":1,"import_id":"foreign","invites":[` + strings.Join(list, ",") + `]}`)
	}
	tasksClient := asynq.NewClientFromRedisClient(s.rdb)
	put := func(kind, id string, payload []byte, opts ...asynq.Option) {
		t.Helper()
		if _, err := tasksClient.Enqueue(asynq.NewTask(kind, payload), append(opts, asynq.TaskID(id), asynq.Queue(s.queues.Interactive))...); err != nil {
			t.Fatal(err)
		}
	}
	put(tasks.TypeCreate, "whole", []byte(`{"v":1,"email_address":"canary\u0040example.com"}`))
	put(tasks.TypeCreate, "canary@example.com", []byte(`{"v":1,"email_address":"someone"}`))
	put("strange", "archived", []byte(`hello canary%40example.com`))
	put(tasks.TypeBulkCreate, "chunk", whole("canary@example.com", "friend@example.com"), asynq.ProcessIn(time.Hour))
	put("strange", "longer", []byte(`hello scanary@example.com and canary@example.com.au`))
	if err := asynq.NewInspectorFromRedisClient(s.rdb).ArchiveTask(s.queues.Interactive, "archived"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(saved(t, s, server), "canary@example.com") {
		t.Fatal("the search finds nothing")
	}

	x, err := s.Export(t.Context(), person)
	if err != nil || len(x.Invites) != 4 || len(x.Tasks) < 4 || len(x.Events) == 0 || len(x.Elsewhere) != 0 {
		t.Errorf("exported %+v, %v", x, err)
	}
	if b, err := json.Marshal(x); err != nil || !strings.Contains(string(b), `"email_address":"Canary@Example.com","public_metadata":{"plan":"pro"}`) {
		t.Errorf("exported %s, %v", b, err)
	}

	f, err := s.Forget(t.Context(), person)
	if err != nil || !f.Done() || len(f.Invites) != 4 || f.Tasks < 4 {
		t.Errorf("got %+v, %v", f, err)
	}
	left := saved(t, s, server)
	left = strings.NewReplacer("scanary@example.com", "", "canary@example.com.au", "").Replace(left) // other people
	if n := strings.Index(left, "canary"); n >= 0 {
		t.Errorf("Redis would save %.200q", left[max(0, n-100):])
	}
	// Nobody else is touched.
	if r, err := s.Status(t.Context(), "others"); err != nil || r[0].State != tasks.Queued {
		t.Errorf("another person's invite: %+v, %v", r, err)
	}
	if r, err := s.Status(t.Context(), "friend@example.com"); err != nil || r[0].ImportID != "foreign" {
		t.Errorf("who stood in the same foreign task: %+v, %v", r, err)
	}
	// The same request is not sent again, and another under the same id is refused.
	again, err := s.Invite(t.Context(), tasks.Invite{ID: "order-1", EmailAddress: person, Owner: "billing", PublicMetadata: json.RawMessage(`{"plan":"pro"}`)})
	if err != nil || !again.Forgotten {
		t.Errorf("the same request: %+v, %v", again, err)
	}
	if _, err := s.Invite(t.Context(), tasks.Invite{ID: "order-1", EmailAddress: other}); err == nil {
		t.Error("the id was given to another request")
	}
	// What Clerk still has is not adopted; what is made later is.
	stranger := func(id string, at time.Time) ledger.Stranger {
		return ledger.Stranger{Invite: tasks.Invite{ID: id, EmailAddress: person}, InvitationID: "inv_" + id, State: tasks.Pending, CreatedAt: at}
	}
	if n, err := s.ledger.Adopt(t.Context(), time.Now(), stranger("old", time.Now().Add(-time.Hour))); n != 0 || err != nil {
		t.Errorf("adopted %d invitations of before, %v", n, err)
	}
	if n, err := s.ledger.Adopt(t.Context(), time.Now(), stranger("new", time.Now().Add(2*time.Hour))); n != 1 || err != nil {
		t.Errorf("adopted %d invitations of later, %v", n, err)
	}
}

// TestForgetInEachState: what may still arrive at Clerk is taken back first.
func TestForgetInEachState(t *testing.T) {
	for _, state := range tasks.States {
		t.Run(state.String(), func(t *testing.T) {
			s := newSide(t)
			const id = "signup-4711"
			if _, err := s.Invite(t.Context(), tasks.Invite{ID: id, EmailAddress: email(t, canary)}); err != nil {
				t.Fatal(err)
			}
			s.drive(t, id, state)
			lost := state == tasks.Sending || state == tasks.Unknown || state == tasks.Failed || state == tasks.Parked // a call of theirs has had no answer
			f, err := s.Forget(t.Context(), email(t, canary))
			if err != nil || f.Done() == lost || (f.Waiting == 1) != lost || (f.WaitUntil != nil) != lost || (len(f.Left) > 0) != lost {
				t.Fatalf("got %+v, %v", f, err)
			}
			if (len(f.Pending) == 1) != (state == tasks.Pending) || (f.Canceled == 1) != (state == tasks.Queued) {
				t.Errorf("got %+v", f)
			}
			for _, place := range f.Left {
				if strings.Contains(strings.ToLower(place), "canary") {
					t.Errorf("it says %s", place)
				}
			}
			if lost {
				if r, err := s.Status(t.Context(), id); err != nil || !r[0].Revoking {
					t.Errorf("it is not being taken back: %+v, %v", r, err)
				}
			}
		})
	}
}

// TestForgetNamesWhatItMustNotTouch: another person's invite that names this one.
func TestForgetNamesWhatItMustNotTouch(t *testing.T) {
	s := newSide(t)
	if _, err := s.Invite(t.Context(), tasks.Invite{ID: "guest", EmailAddress: email(t, "guest@example.com"), PublicMetadata: json.RawMessage(`{"host":"canary@example.com"}`)}); err != nil {
		t.Fatal(err)
	}
	if x, err := s.Export(t.Context(), email(t, canary)); err != nil || len(x.Elsewhere) != 1 {
		t.Errorf("exported %+v, %v", x, err)
	}
	f, err := s.Forget(t.Context(), email(t, canary))
	if err != nil || f.Done() || len(f.Left) != 1 || !strings.Contains(f.Left[0], "guest") {
		t.Errorf("got %+v, %v", f, err)
	}
	if r, err := s.Status(t.Context(), "guest"); err != nil || r[0].State != tasks.Queued {
		t.Errorf("got %+v, %v", r, err)
	}
}
