package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
)

func TestRevokeRequestStandsUntilClosed(t *testing.T) {
	l := open(t, Config{})
	const target = "canary@example.com"
	request, err := l.RequestRevoke(t.Context(), start, target)
	if err != nil {
		t.Fatal(err)
	}
	id := request.ID
	got, err := l.RevokeRequest(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if want := (RevokeRequest{ID: id, Target: target, CreatedAt: start}); got.ID != want.ID || got.Target != want.Target || !got.CreatedAt.Equal(start) {
		t.Errorf("got %s at %v, want %s at %v", got.ID, got.CreatedAt, want.ID, want.CreatedAt)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, got); strings.Contains(s, "canary") {
			t.Errorf("%s shows the target: %s", verb, s)
		}
	}

	if err := l.CloseRevokeRequest(t.Context(), id, RevokeDone{Revoked: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.RevokeRequest(t.Context(), id); !errors.Is(err, ErrNotFound) {
		t.Errorf("after closing: got %v, want ErrNotFound", err)
	}
	if done, err := l.RevokeDone(t.Context(), id); err != nil || done.Revoked != 1 {
		t.Errorf("what was done: got %+v, %v", done, err)
	}
	missing, err := l.Missing(t.Context(), start.Add(time.Hour), 10)
	if err != nil || len(missing.Revokes) != 0 {
		t.Errorf("after closing: got hints %q, %v; want none", missing.Revokes, err)
	}
	if err := l.CloseRevokeRequest(t.Context(), id, RevokeDone{Revoked: 1}); err != nil {
		t.Errorf("closing twice: got %v", err)
	}
}

func TestRevokeRequestWithoutTaskIsFoundBySweep(t *testing.T) {
	l := open(t, Config{})
	request, err := l.RequestRevoke(t.Context(), start, "inv_somebody_elses")
	if err != nil {
		t.Fatal(err)
	}
	id := request.ID
	for _, c := range []struct {
		after time.Duration
		want  []string
	}{
		{taskGrace - time.Millisecond, nil},
		{taskGrace, []string{id}},
	} {
		missing, err := l.Missing(t.Context(), start.Add(c.after), 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, missing.Revokes); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", c.after, diff)
		}
	}
	due := start.Add(taskGrace)
	missing, err := l.Missing(t.Context(), due, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Retasked(t.Context(), due, missing); err != nil {
		t.Fatal(err)
	}
	if missing, err := l.Missing(t.Context(), due.Add(time.Minute), 10); err != nil || len(missing.Revokes) != 0 {
		t.Errorf("just given a task: got %q, %v; want none", missing.Revokes, err)
	}
	if missing, err := l.Missing(t.Context(), due.Add(time.Hour), 10); err != nil || len(missing.Revokes) != 1 {
		t.Errorf("an hour later, not closed: got %q, %v; want it again", missing.Revokes, err)
	}
}

// A wish has its place in the order of admission: what was asked for before it is
// meant, what is asked for afterwards is not, even within the same millisecond.
func TestWishHasAPlaceInTheOrder(t *testing.T) {
	l := open(t, Config{})
	named := func(id string) tasks.Invite {
		i := invite(t, "bob@example.com")
		i.ID = id
		return i
	}
	admit(t, l, start, named("before"))
	wish, err := l.RequestRevoke(t.Context(), start, "bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	admit(t, l, start, named("after"))
	records, err := l.Get(t.Context(), "before", "after")
	if err != nil || len(records) != 2 {
		t.Fatalf("got %v, %v", records, err)
	}
	again, err := l.RevokeRequest(t.Context(), wish.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []RevokeRequest{wish, again} {
		if !w.Means(records[0]) || w.Means(records[1]) {
			t.Errorf("the wish means before %t, after %t; want only the first", w.Means(records[0]), w.Means(records[1]))
		}
	}
}

func TestUnknownRevokeRequest(t *testing.T) {
	l := open(t, Config{})
	if _, err := l.RevokeRequest(t.Context(), "rvk_none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
