package worker

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestForgetsWithoutClerk: how long settled invites are remembered depends neither
// on reconciliation nor on Clerk.
func TestForgetsWithoutClerk(t *testing.T) {
	for name, prepare := range map[string]func(*stage, *Config){
		"reconciliation is off": func(_ *stage, c *Config) { c.ReconcileEvery = -1 },
		"Clerk is down":         func(s *stage, _ *Config) { s.sim.SetReachable(false) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, clerksim.Config{})
			ago := time.Now().Add(-time.Hour)
			ids := s.admitAt(ago, people(0, 250)...)
			kept := s.admitAt(ago, person(300))
			for _, id := range ids {
				if _, err := s.ledger.Cancel(t.Context(), ago, id); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.ledger.Cancel(t.Context(), time.Now(), kept[0]); err != nil {
				t.Fatal(err)
			}
			s.start(func(c *Config) {
				c.Retention = 30 * time.Minute
				prepare(s, c)
			})
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				left, err := s.ledger.Get(t.Context(), append(ids, kept...)...)
				if err != nil {
					t.Fatal(err)
				}
				if len(left) == 1 && left[0].Invite.ID == kept[0] {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("after 20 s %d are left, want the one that was settled just now", len(left))
				}
			}
		})
	}
}

// TestForgetsWhatNobodySawTo: failed and parked invites are remembered for longer, and a
// worker warns before; tasks that may hold an address do not stay for ever.
func TestForgetsWhatNobodySawTo(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	ago := time.Now().Add(-2 * time.Hour)
	failed := s.admitAt(ago, tasks.Invite{EmailAddress: person(1).EmailAddress, Deadline: ago.Add(time.Minute)})
	if _, err := s.ledger.Turn(t.Context(), ago.Add(time.Hour), "turn_x"); err != nil {
		t.Fatal(err)
	}
	settled := s.admitAt(time.Now(), person(2))
	if _, err := s.ledger.Cancel(t.Context(), time.Now(), settled[0]); err != nil {
		t.Fatal(err)
	}
	client := asynq.NewClientFromRedisClient(s.redis)
	queue := tasks.QueuesOf(s.ledger.Instance()).Import
	if _, err := client.Enqueue(asynq.NewTask("strange", []byte("canary@example.com")), asynq.Queue(queue), asynq.TaskID("broken")); err != nil {
		t.Fatal(err)
	}
	in := asynq.NewInspectorFromRedisClient(s.redis)
	if err := in.ArchiveTask(queue, "broken"); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	trimmer := &trim{
		ledger: s.ledger, inspector: in, queues: tasks.QueuesOf(s.ledger.Instance()), log: zerolog.New(&log), tempo: &tempo{trim: time.Hour},
		retention: time.Hour, stuck: 24 * time.Hour, tombstones: time.Hour,
	}
	if err := trimmer.warn(t.Context()); err != nil || !strings.Contains(log.String(), `"invites":1`) {
		t.Errorf("warned %s, %v", &log, err)
	}
	if n, err := trimmer.forget(t.Context(), ledger.Stuck, trimmer.stuck); n != 0 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if n, err := trimmer.forget(t.Context(), ledger.Stuck, 30*time.Minute); n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if left, err := s.ledger.Get(t.Context(), failed[0], settled[0]); err != nil || len(left) != 1 || left[0].Invite.ID != settled[0] {
		t.Errorf("left are %v, %v", left, err)
	}
	trimmer.retention = 0 // of a moment ago
	if n, err := trimmer.forgetTasks(t.Context()); n != 1 || err != nil {
		t.Errorf("deleted %d tasks, %v", n, err)
	}
	if _, err := in.GetTaskInfo(queue, "broken"); !errors.Is(err, asynq.ErrTaskNotFound) {
		t.Errorf("the archived task: %v", err)
	}
}
