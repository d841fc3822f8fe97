package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestMonitoringIsAboutItsOwnInstance: a neighbour on the same Redis is neither shown
// nor touched.
func TestMonitoringIsAboutItsOwnInstance(t *testing.T) {
	s := newStage(t, func(c *Config) { withToken(c); c.Actions = true })
	neighbour := "neighbour-of-" + s.ledger.Instance()
	theirs := tasks.QueuesOf(neighbour[:min(len(neighbour), 32)]).Import
	client := asynq.NewClientFromRedisClient(s.redis)
	if _, err := client.Enqueue(asynq.NewTask("theirs", nil), asynq.Queue(theirs), asynq.TaskID("theirs")); err != nil {
		t.Fatal(err)
	}
	s.admit("spring", people(0, 2)...)
	for _, path := range []string{"queues", "queue_stats", "servers", "scheduler_entries"} {
		if body := s.page("/monitoring/api/" + path); strings.Contains(body, "neighbour") || path != "scheduler_entries" && !strings.Contains(body, s.queues.Import) {
			t.Errorf("%s: %s", path, body)
		}
	}
	for _, call := range [][2]string{
		{http.MethodGet, theirs}, {http.MethodDelete, theirs}, {http.MethodPost, theirs + ":pause"}, {http.MethodPost, theirs + ":resume"},
		{http.MethodGet, theirs + "/pending_tasks"}, {http.MethodDelete, theirs + "/pending_tasks/theirs"}, {http.MethodDelete, theirs + "/pending_tasks:delete_all"},
		{http.MethodGet, theirs + "/tasks/theirs"}, {http.MethodGet, strings.Replace(theirs, ":", "%3A", 1)},
	} {
		r, err := http.NewRequestWithContext(t.Context(), call[0], s.server.URL+"/monitoring/api/queues/"+call[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+testToken)
		if res, body := s.do(r); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s %s: got %s: %s", call[0], call[1], res.Status, body)
		}
	}
	q, err := asynq.NewInspectorFromRedisClient(s.redis).GetQueueInfo(theirs)
	if err != nil || q.Paused || q.Pending != 1 {
		t.Errorf("the neighbour's queue: %+v, %v", q, err)
	}
}

// TestPauseInAsynqmonIsThatOfTheLane presses both buttons.
func TestPauseInAsynqmonIsThatOfTheLane(t *testing.T) {
	s := newStage(t, func(c *Config) { withToken(c); c.Actions = true })
	press := func(verb string, want bool) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/monitoring/api/queues/"+s.queues.Import+":"+verb, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+testToken)
		if res, body := s.do(r); res.StatusCode != http.StatusNoContent {
			t.Fatalf("%s: got %s: %s", verb, res.Status, body)
		}
		o, err := s.ledger.Overview(t.Context(), ledger.Now)
		if _, paused := o.Paused[tasks.Import]; err != nil || paused != want {
			t.Errorf("after %s: paused %t, %v", verb, paused, err)
		}
		if page := s.page("/"); strings.Contains(page, "import lane has been paused") != want {
			t.Errorf("after %s the page says: %s", verb, page)
		}
	}
	s.admit("spring", "ada@example.com")
	press("pause", true)
	s.admit("summer", people(0, 30)...)
	press("resume", false)
	s.await(tasks.Pending, 31)
}
