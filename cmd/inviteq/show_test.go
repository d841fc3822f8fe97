package main

import (
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

func TestShowTellsTheStory(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	w.ok("pause")
	w.ok("import", file(t, "l.csv", "email\na@example.com\nada@example.com\n"), "--import-id", "imp")
	wants(t, w.ok("show", "ada@example.com"), "ada@example.com", "waits", "The import lane is paused", "row", "  2\n", "Accepted by inviteq.")
	w.startWorker()
	w.ok("resume")
	eventually(t, "both are sent", func() bool { return strings.Contains(w.run("status", "imp").stdout, "pending        2") })
	text := w.ok("show", "ada@example.com")
	wants(t, text, "Its turn came: a call to Clerk was begun.", "Sent: Clerk answered that it has made the invitation.", "UTC)")
	got := objects(t, w.ok("show", "ada@example.com", "--json"))[0]
	if moments, _ := got["moments"].([]any); len(moments) != 3 || got["whole"] != true || got["row"] != 2.0 {
		t.Errorf("got %v", got)
	}
	if r := w.run("show", "inq_nobody"); r.code != exitFailed {
		t.Errorf("nobody: exit code %d", r.code)
	}
}
