package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

func TestImportETA(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	var invites []tasks.Invite
	for n := range 700 {
		e, err := tasks.ParseEmail(fmt.Sprintf("person%d@example.com", n))
		if err != nil {
			t.Fatal(err)
		}
		invites = append(invites, tasks.Invite{ID: fmt.Sprintf("row%d", n), EmailAddress: e, Lane: tasks.Import, ImportID: "spring"})
	}
	for at := 0; at < len(invites); at += tasks.ChunkSize {
		if _, _, err := l.Admit(t.Context(), start, invites[at:at+tasks.ChunkSize]); err != nil {
			t.Fatal(err)
		}
	}
	hire(t, l, start)
	eta := func() time.Time {
		t.Helper()
		i, err := l.Import(t.Context(), "spring")
		if err != nil {
			t.Fatal(err)
		}
		eta, err := l.ImportETA(t.Context(), start, i)
		if err != nil {
			t.Fatal(err)
		}
		return eta
	}
	// The most that a window takes is 350, and some of it is left to people.
	last := eta()
	if in := last.Sub(start); in < time.Hour || in > 2*time.Hour+time.Minute {
		t.Errorf("the last goes in %s, want one to two windows", in)
	}
	// The last row is taken back: what is left goes no later, and no earlier than now.
	if _, err := l.Cancel(t.Context(), start, "row699"); err != nil {
		t.Fatal(err)
	}
	if got := eta(); got.After(last) || got.Before(start.Add(time.Hour)) {
		t.Errorf("without the last row: %s, was %s", got, last)
	}
	if err := l.Pause(t.Context(), start, tasks.Import); err != nil {
		t.Fatal(err)
	}
	if got := eta(); !got.IsZero() {
		t.Errorf("while the lane is paused: %s", got)
	}
	if _, err := l.ImportETA(t.Context(), start, Import{ID: "nothing waits"}); err != nil {
		t.Error(err)
	}
}
