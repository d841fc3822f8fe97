package worker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestAQueueThatIsPausedSendsNothing: a person presses pause in asynqmon, or says
// `asynq queue pause`, and no mail leaves any more; who resumes on either side resumes
// both.
func TestAQueueThatIsPausedSendsNothing(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	inspector, queue := asynq.NewInspectorFromRedisClient(s.redis), tasks.QueuesOf(s.instance).Import
	both := func(what string, want bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			paused, agreed, err := s.ledger.Pauses(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			q, err := inspector.GetQueueInfo(queue)
			if err == nil && q.Paused == want && paused[tasks.Import] == want && agreed[tasks.Import] == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the queue says %+v (%v), the lane %v, agreed %v; want %v", what, q, err, paused, agreed, want)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.redis.SAdd(t.Context(), "asynq:queues", queue).Err()) // So that asynq knows it before its first task.
	must(inspector.PauseQueue(queue))
	ids := s.admit(people(0, 30)...)
	w, _ := s.start()
	ready := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			answer := httptest.NewRecorder()
			w.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
			if strings.Contains(answer.Body.String(), "the import lane is paused") == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("paused is %t, and /readyz says %s", want, answer.Body)
			}
		}
	}
	both("paused in asynq", true)
	ready(true)
	nudges(nil).sleep(t.Context(), 500*time.Millisecond) // More than a turn needs.
	if n := len(s.sim.Invitations()); n != 0 {
		t.Fatalf("%d of 30 were mailed while the queue was paused", n)
	}
	must(inspector.UnpauseQueue(queue))
	both("resumed in asynq", false)
	s.await(20*time.Second, ids...)

	must(s.ledger.Pause(t.Context(), ledger.Now, tasks.Import))
	both("lane paused", true)
	ready(true)
	must(s.ledger.Resume(t.Context(), tasks.Import))
	both("lane resumed", false)
	ready(false)
}
