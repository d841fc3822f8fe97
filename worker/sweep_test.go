package worker

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// idle is a worker that does nothing by itself.
func (s *stage) idle(log zerolog.Logger) *Worker {
	s.t.Helper()
	w, err := New(s.t.Context(), Config{
		Redis: redistest.OptionsOf(s.redis), Ledger: ledger.Config{Instance: s.instance, Limits: s.limits},
		Clerk: s.client(clerk.Breaker{}), Log: log,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := w.close(); err != nil {
			s.t.Error(err)
		}
	})
	return w
}

// TestSweepGivesTasks: every open record without a task gets one, once; what is
// settled or forgotten does not, and is not looked at for ever.
func TestSweepGivesTasks(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	w := s.idle(zerolog.Nop())
	ctx := t.Context()
	anHourAgo := time.Now().Add(-time.Hour)
	ids := s.admitAt(anHourAgo, person(1), person(2), person(3))
	chunk := s.admitAt(anHourAgo, people(10, 20)...)
	for _, id := range ids[1:] {
		if _, err := s.ledger.Cancel(ctx, anHourAgo, id); err != nil {
			t.Fatal(err)
		}
	}
	request, err := s.ledger.RequestRevoke(ctx, anHourAgo, "inv_somebody")
	if err != nil {
		t.Fatal(err)
	}
	// One of the settled is forgotten as well.
	if n, err := s.ledger.Trim(ctx, anHourAgo.Add(time.Minute), 0, 1); n != 1 || err != nil {
		t.Fatalf("trimmed %d, %v", n, err)
	}

	given, err := w.sweep.retask(ctx)
	if err != nil || given != 3 {
		t.Errorf("%d tasks were given, %v; want those of the open invite, the chunk and the revoke", given, err)
	}
	inspector := asynq.NewInspectorFromRedisClient(s.redis)
	for id, queue := range map[string]string{
		ids[0]:     w.queues.Interactive,
		request.ID: w.queues.Control,
		tasks.BulkCreate{ImportID: "imp", From: 0, Count: len(chunk)}.TaskID(): w.queues.Import,
	} {
		if info, err := inspector.GetTaskInfo(queue, id); err != nil || info.State != asynq.TaskStatePending {
			t.Errorf("%s: %+v, %v", queue, info, err)
		}
	}
	// An hour later only what still lacks a handler is looked at again.
	m, err := s.ledger.Missing(ctx, time.Now().Add(2*time.Hour), 100)
	if err != nil || len(m.Creates) != 1 || m.Creates[0] != ids[0] || len(m.Chunks) != 1 || len(m.Revokes) != 1 {
		t.Errorf("looked at again: %+v, %v", m, err)
	}
	if given, err := w.sweep.retask(ctx); given != 0 || err != nil {
		t.Errorf("a second sweep gave %d tasks, %v", given, err)
	}
}

// TestSweepTellsTheOldest names who has waited longest, by id.
func TestSweepTellsTheOldest(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	var log bytes.Buffer
	w := s.idle(zerolog.New(&log))
	now := time.Now()
	tell := func(want bool) {
		t.Helper()
		if is, err := w.sweep.tellOldest(t.Context(), now); is != want || err != nil {
			t.Errorf("told: %v, %v; want %v", is, err, want)
		}
	}
	tell(false) // nobody
	s.admitAt(now.Add(-time.Minute), person(1))
	tell(false) // not long
	id := s.admitAt(now.Add(-20*time.Minute), people(2, 3)...)[0]
	later := person(3)
	later.NotBefore = now.Add(time.Hour)
	s.admitAt(now.Add(-time.Hour), later)
	tell(true)
	if got := log.String(); !strings.Contains(got, id) || !strings.Contains(got, `"waited":1200000`) || !strings.Contains(got, `"lane":"import"`) || strings.Contains(got, "@") {
		t.Errorf("logged %s", got)
	}
}
