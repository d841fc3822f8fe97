package worker

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// passes are the tasks of reconciliation that have come to their end.
func (s *stage) passes(queue string) []*asynq.TaskInfo {
	s.t.Helper()
	done, err := asynq.NewInspectorFromRedisClient(s.redis).ListCompletedTasks(queue, asynq.PageSize(500))
	if err != nil && !strings.Contains(err.Error(), "queue not found") {
		s.t.Fatal(err)
	}
	var all []*asynq.TaskInfo
	for _, task := range done {
		if strings.HasPrefix(task.ID, "reconcile:") {
			all = append(all, task)
		}
	}
	return all
}

// TestOnePassATick runs three workers with a tick of two seconds: together they
// make one pass a tick.
func TestOnePassATick(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	var mu sync.Mutex
	ran := map[string]int{}
	var queue string
	began := time.Now()
	const every = 2 * time.Second
	for range 3 {
		w, _ := s.start(func(c *Config) {
			c.ReconcileEvery = every
			c.Observe.Reconciled = func(r reconcile.Report) {
				mu.Lock()
				defer mu.Unlock()
				ran[r.Kind]++
			}
		})
		queue = w.queues.Control
	}
	count := func(kind string) int {
		mu.Lock()
		defer mu.Unlock()
		return ran[kind]
	}
	for deadline := time.Now().Add(30 * time.Second); count("recent") < 3; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in 30 s there were %v", ran)
		}
	}
	ticks := int(time.Since(began)/every) + 2
	full, recent := count("full"), count("recent")
	if full != 1 || recent > ticks {
		t.Errorf("three workers made %d full and %d recent passes in %d ticks", full, recent, ticks)
	}
	// A tick has one task, whichever worker enqueued it.
	skipped := 0
	for _, task := range s.passes(queue) {
		if strings.Contains(string(task.Result), "skipped") {
			skipped++
		}
	}
	if n := len(s.passes(queue)); n > ticks+1 {
		t.Errorf("%d tasks in %d ticks", n, ticks)
	}
	t.Logf("3 workers, %d ticks: %d full and %d recent passes, %d skipped", ticks, full, recent, skipped)
}

// While a pass is going on, another one is skipped, and reads nothing.
func TestPassIsSkippedWhileAnotherGoesOn(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	release, held, err := s.ledger.Hold(t.Context(), "reconcile", time.Minute)
	if err != nil || !held {
		t.Fatal(held, err)
	}
	if _, held, err := s.ledger.Hold(t.Context(), "reconcile", time.Minute); err != nil || held {
		t.Fatalf("two hold it: %v", err)
	}
	w, _ := s.start()
	done := func(n int) []*asynq.TaskInfo {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if got := s.passes(w.queues.Control); len(got) >= n {
				return got
			}
			if time.Now().After(deadline) {
				t.Fatalf("after 20 s there are not %d passes", n)
			}
		}
	}
	var result map[string]any
	if err := json.Unmarshal(done(1)[0].Result, &result); err != nil || result["skipped"] == nil {
		t.Errorf("got %v, %v", result, err)
	}
	if n := s.sim.Count(clerksim.OpList); n > 1 { // Once to hear whether Clerk takes the key.
		t.Errorf("it has read Clerk's list %d times", n)
	}
	// One that a person has asked for waits for its end.
	asked := tasks.Options(w.queues.Control, tasks.AskedPass)
	if _, err := w.client.Enqueue(asynq.NewTask(tasks.TypeReconcile, tasks.Reconcile{AdoptBefore: time.Now().Add(time.Hour)}.Encode()), asked...); err != nil {
		t.Fatal(err)
	}
	inspector := asynq.NewInspectorFromRedisClient(s.redis)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		task, err := inspector.GetTaskInfo(w.queues.Control, tasks.AskedPass)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("got %+v, %v", task, err)
		}
		if task.State == asynq.TaskStateRetry && strings.Contains(task.LastErr, "another pass is going on") {
			break
		}
	}
	if _, err := s.sim.CreateForeign("stranger@example.com"); err != nil {
		t.Fatal(err)
	}
	release()
	if got := done(2)[1]; got.ID != tasks.AskedPass || !strings.Contains(string(got.Result), `"adopted":1`) {
		t.Errorf("got %s: %s", got.ID, got.Result)
	}
	if n := s.sim.Count(clerksim.OpList); n == 0 {
		t.Error("nothing was read after the other had ended")
	}
	var report reconcile.Report
	if err := s.ledger.LastReport(t.Context(), "recent", &report); err != nil || report.Kind != "recent" || !report.Agreed {
		t.Errorf("the last report is %+v, %v", report, err)
	}
}

// TestImportCompletesOnce: the event comes when the last open invite has its
// outcome, whatever the outcome is, and again if invites are added later.
func TestImportCompletesOnce(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	s.sim.AddUser("person3@example.com")
	s.limits = ledger.Limits{}
	s.start()
	completed := func() (n int) {
		t.Helper()
		events, err := s.ledger.RecentEvents(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.To != tasks.ImportCompleted {
				continue
			}
			n++
			if e.ImportID != "imp" || e.InviteID != "" {
				t.Errorf("got %+v", e)
			}
		}
		return n
	}
	s.await(20*time.Second, s.admit(people(0, 25)...)...)
	if n := completed(); n != 1 {
		t.Errorf("%d events say that the import is complete, want 1", n)
	}
	s.await(20*time.Second, s.admit(people(0, 30)...)...) // five more
	if n := completed(); n != 2 {
		t.Errorf("after five more there are %d events, want 2", n)
	}
}
