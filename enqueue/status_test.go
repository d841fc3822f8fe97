package enqueue_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

func TestStatusByEachName(t *testing.T) {
	s := newSide(t)
	s.hire(t)
	for _, id := range []string{"first", "second"} {
		if _, err := s.Invite(t.Context(), tasks.Invite{ID: id, EmailAddress: email(t, "ada@example.com")}); err != nil {
			t.Fatal(err)
		}
		if id == "first" {
			s.drive(t, id, tasks.Pending)
		}
	}
	for target, want := range map[string][]string{
		"first": {"first"}, "inv_first": {"first"}, "ADA@example.com": {"second", "first"},
	} {
		got, err := s.Client.Status(t.Context(), target)
		var ids []string
		for _, one := range got {
			ids = append(ids, one.ID)
			if queued := one.State == tasks.Queued; queued == one.ETA.IsZero() {
				t.Errorf("%s is %v: got ETA %v", one.ID, one.State, one.ETA)
			}
		}
		if diff := cmp.Diff(want, ids); err != nil || diff != "" {
			t.Errorf("%s (-want +got):\n%s%v", target, diff, err)
		}
	}
	for _, target := range []string{"third", "inv_third", "bob@example.com"} {
		if got, err := s.Client.Status(t.Context(), target); !errors.Is(err, enqueue.ErrNotFound) {
			t.Errorf("%s: got %+v, %v; want ErrNotFound", target, got, err)
		}
	}
	if _, err := s.Client.Status(t.Context(), "canary @x"); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("not a target: got %v", err)
	}
}

// TestStatusJSON pins the keys, their order, and what stands for nothing.
func TestStatusJSON(t *testing.T) {
	at := time.Date(2026, 1, 31, 9, 0, 0, 250e6, time.UTC)
	for _, c := range []struct {
		status enqueue.Status
		want   string
	}{
		{
			enqueue.Status{ID: "row-1", EmailAddress: email(t, "ada@example.com"), Lane: tasks.Import, State: tasks.Queued,
				ImportID: "spring", CreatedAt: at, UpdatedAt: at, NotBefore: at, ETA: at},
			`{"id":"row-1","email_address":"ada@example.com","lane":"import","state":"queued","reason":"","invitation_id":"","attempts":0,"import_id":"spring",` +
				`"created_at":"2026-01-31T09:00:00.25Z","updated_at":"2026-01-31T09:00:00.25Z","not_before":"2026-01-31T09:00:00.25Z","eta":"2026-01-31T09:00:00.25Z","revoking":false,"revoke_refusal":null}`,
		},
		{
			enqueue.Status{ID: "row-1", EmailAddress: email(t, "ada@example.com"), State: tasks.Rejected, Reason: "existing_user",
				InvitationID: "inv_1", Attempts: 2, CreatedAt: at, UpdatedAt: at},
			`{"id":"row-1","email_address":"ada@example.com","lane":"interactive","state":"rejected","reason":"existing_user","invitation_id":"inv_1","attempts":2,"import_id":"",` +
				`"created_at":"2026-01-31T09:00:00.25Z","updated_at":"2026-01-31T09:00:00.25Z","not_before":null,"eta":null,"revoking":false,"revoke_refusal":null}`,
		},
	} {
		got, err := json.Marshal(c.status.JSON())
		if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
			t.Errorf("(-want +got):\n%s%v", diff, err)
		}
	}
}

func TestStatusMasksItself(t *testing.T) {
	status := enqueue.Status{ID: "row-1", EmailAddress: email(t, "canary@example.com")}
	for name, v := range map[string]any{
		"status": status, "result": enqueue.Result{Status: status}, "revocation": enqueue.Revocation{Status: status},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "canary") {
				t.Errorf("%s with %s: got %s", name, verb, got)
			}
		}
		if got, err := json.Marshal(v); err != nil || bytes.Contains(got, []byte("canary")) || !bytes.Contains(got, []byte("c***@e***")) {
			t.Errorf("%s as JSON: got %s, %v", name, got, err)
		}
	}
}

func TestETAFollowsTheQueue(t *testing.T) {
	s := newSide(t)
	s.hire(t)
	// Nobody has published limits, so Clerk's own are assumed: 350 an hour.
	if _, err := s.BulkInvite(t.Context(), numbered(t, 1000), enqueue.BulkOptions{ImportID: "spring"}); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(30 * time.Hour)
	if _, err := s.Invite(t.Context(), tasks.Invite{ID: "later", EmailAddress: email(t, "later@example.com"), NotBefore: later}); err != nil {
		t.Fatal(err)
	}
	eta := func(target string) time.Duration {
		got, err := s.Client.Status(t.Context(), target)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: got %+v, %v", target, got, err)
		}
		return time.Until(got[0].ETA)
	}
	if got := eta("p0@example.com"); got > time.Minute {
		t.Errorf("the first: got %v, want it at once", got)
	}
	if got := eta("p999@example.com"); got < time.Hour || got > 4*time.Hour {
		t.Errorf("the last of 1000: got %v, want about 3 h", got)
	}
	if got := eta("later"); got < 29*time.Hour || got > 31*time.Hour {
		t.Errorf("not before 30 h: got %v", got)
	}
	i, err := s.Import(t.Context(), "spring")
	if left := time.Until(i.ETA); err != nil || left < time.Hour || left > 4*time.Hour {
		t.Errorf("the import: got %v, %v; want about 3 h", left, err)
	}
}

func TestImportOfUnknownID(t *testing.T) {
	s := newSide(t)
	if _, err := s.Import(t.Context(), "nothing"); !errors.Is(err, enqueue.ErrNotFound) || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got %v, want ErrNotFound with the id", err)
	}
}
