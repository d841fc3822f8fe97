package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/enqueue/outbox"
	"github.com/inviteq/inviteq/enqueue/outbox/postgrestest"
	"github.com/inviteq/inviteq/tasks"
)

// TestOutboxCommand hands on what a service has written, until it is told to stop.
func TestOutboxCommand(t *testing.T) {
	pg := postgrestest.Start(t)
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"outbox", "--database-url", pg.URL(), "--migrate"}, w.env, strings.NewReader(""), &out, &errs)
	}()
	email, err := tasks.ParseEmail("canary@example.com")
	if err != nil {
		t.Fatal(err)
	}
	db := pg.DB(t)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err = outbox.Add(t.Context(), db, tasks.Invite{ID: "member-1", EmailAddress: email}); err == nil {
			break // The table is there.
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	waits := func() (n int) {
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM inviteq_outbox").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for deadline := time.Now().Add(20 * time.Second); waits() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it was not handed on")
		}
	}
	w.ok("status", "member-1")
	stop()
	if code := <-ended; code != exitDone || out.Len() > 0 {
		t.Errorf("exit code %d, it printed %q", code, out.String())
	}
	if log := errs.String(); !strings.Contains(log, `"accepted":1,`) || strings.Contains(log, "canary") {
		t.Errorf("it logged %s", log)
	}

	for want, args := range map[string][]string{
		"must say where the outbox is":    {},
		"must not hold the password":      {"--database-url", "postgres://app:canary@db/app"},
		"looks like postgres://user@host": {"--database-url", "postgres://app@db:canary/app"},
	} {
		r := w.run(append([]string{"outbox"}, args...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "canary") {
			t.Errorf("%v: exit code %d, %s", args, r.code, r.stderr)
		}
	}
}
