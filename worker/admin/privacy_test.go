package admin

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
)

// askBriefly reads what a stream says in its first moments.
func askBriefly(t *testing.T, h http.Handler, path, host string, auth func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.Host = host
	if auth != nil {
		auth(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const canary = "canary.7f3a@secret-domain.example"

// leaks reports whether a text holds any part of the canary's address.
func leaks(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "canary.7f3a") || strings.Contains(text, "secret-domain") ||
		strings.Contains(text, "canary-redirect") || strings.Contains(text, "canary-note")
}

func TestNoPageShowsAnAddress(t *testing.T) {
	s := newStage(t, withSeat)
	c := asynq.NewClientFromRedisClient(s.redis)
	// A delivered one, a whole invite in a task, a revoke of an address, garbage, a task
	// of another program, a rejected one, a parked one, and a task whose id is an address.
	s.admit("spring", append(people(0, 4), "x."+canary)...)
	s.await(tasks.Pending, 5)
	i := tasks.Invite{
		EmailAddress: email(t, "y."+canary), RedirectURL: "https://canary-redirect.example/welcome",
		PublicMetadata: []byte(`{"note":"canary-note"}`), ID: "foreign-1",
	}
	later := i
	later.ID, later.EmailAddress, later.NotBefore = "foreign-2", email(t, "z."+canary), time.Now().Add(time.Hour)
	enqueue := func(typ string, payload []byte, opts ...asynq.Option) {
		t.Helper()
		if _, err := c.Enqueue(asynq.NewTask(typ, payload), append([]asynq.Option{asynq.Queue(s.queues.Interactive), asynq.Retention(time.Hour)}, opts...)...); err != nil {
			t.Fatal(err)
		}
	}
	enqueue(tasks.TypeCreate, tasks.Create{Invite: &i}.Encode())
	enqueue(tasks.TypeCreate, tasks.Create{Invite: &later}.Encode())
	enqueue(tasks.TypeBulkCreate, tasks.BulkCreate{ImportID: "foreign-import", Invites: []tasks.Invite{{EmailAddress: email(t, "b."+canary)}}}.Encode())
	enqueue(tasks.TypeRevoke, tasks.Revoke{Target: canary}.Encode(), asynq.ProcessIn(time.Hour))
	enqueue(tasks.TypeCreate, []byte(`{"v":1,"email_address":"not quite `+canary+`"}`), asynq.TaskID("id-of-"+canary))
	enqueue("mail:send", []byte(`{"to":"`+canary+`"}`), asynq.ProcessIn(time.Hour))
	s.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 400, Code: "request_body_invalid"}, 1)
	s.admit("", "p."+canary)
	s.await(tasks.Pending, 6)
	eventually(t, func() error { // The garbage is archived.
		q, err := asynq.NewInspectorFromRedisClient(s.redis).GetQueueInfo(s.queues.Interactive)
		if err == nil && q.Archived == 0 {
			err = fmt.Errorf("nothing is archived: %+v", q)
		}
		return err
	})

	paths := []string{"/", "/imports", "/imports/spring", "/imports/spring?state=pending", "/imports/foreign-import", "/invites", "/invites?state=parked", "/invites?state=pending", "/invites/foreign-1", "/invites/foreign-1?clerk", "/audit", "/metrics", "/readyz", "/healthz",
		"/monitoring/", "/monitoring/api/queues", "/monitoring/api/servers", "/monitoring/api/scheduler_entries", "/monitoring/api/redis_info", "/monitoring/api/queue_stats"}
	seen := 0
	for _, q := range s.queues.Names() {
		base := "/monitoring/api/queues/" + q
		paths = append(paths, base)
		for _, state := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
			paths = append(paths, base+"/"+state+"_tasks?size=100")
			list, err := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
				"active": s.inspector().ListActiveTasks, "pending": s.inspector().ListPendingTasks, "scheduled": s.inspector().ListScheduledTasks,
				"retry": s.inspector().ListRetryTasks, "archived": s.inspector().ListArchivedTasks, "completed": s.inspector().ListCompletedTasks,
			}[state](q)
			if err != nil {
				continue // There is no such queue yet.
			}
			for _, task := range list {
				if leaks(string(task.Payload)) {
					seen++
				}
				paths = append(paths, base+"/tasks/"+task.ID)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d tasks hold the canary: the test has nothing to find", seen)
	}
	for _, path := range paths {
		res, body := s.get(path)
		if leaks(body) {
			t.Errorf("%s (%s) shows the address:\n%s", path, res.Status, body)
		}
		for name, values := range res.Header {
			if leaks(strings.Join(values, " ")) {
				t.Errorf("%s: header %s shows the address", path, name)
			}
		}
	}
	show := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+testToken) }
	for _, path := range []string{"/events", "/imports/spring/events"} {
		frames := askBriefly(t, s.server.Config.Handler, path, "localhost", show).Body.String()
		if leaks(frames) || !strings.Contains(frames, "event: parts") {
			t.Errorf("%s says:\n%s", path, frames)
		}
	}
}

func (s *stage) inspector() *asynq.Inspector { return asynq.NewInspectorFromRedisClient(s.redis) }

func TestOutcomesHoldWholeAddressesForWhoShowsTheToken(t *testing.T) {
	s := newStage(t, withToken)
	s.sim.AddUser("person3@example.com")
	s.admit("spring", append(people(0, 30), "=cmd@example.com")...)
	s.await(tasks.Pending, 30)
	res, body := s.get("/imports/spring/outcomes.csv")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Fatalf("got %s %v: %s", res.Status, res.Header, body)
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 32 {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	if rows[4][0] != "4" || rows[4][1] != "person3@example.com" || rows[4][2] != "rejected" || rows[4][3] != "existing_user" {
		t.Errorf("row 4: %q", rows[4])
	}
	if rows[1][2] != "pending" || !strings.HasPrefix(rows[1][5], "inv_") {
		t.Errorf("row 1: %q", rows[1])
	}
	if rows[31][1] != "'=cmd@example.com" {
		t.Errorf("a spreadsheet would run %q", rows[31][1])
	}
	if res, _ := s.get("/imports/nowhere/outcomes.csv"); res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown import: got %s", res.Status)
	}

	open := newStage(t)
	open.admit("spring", canary)
	open.await(tasks.Pending, 1)
	if res, body := open.get("/imports/spring/outcomes.csv"); res.StatusCode != http.StatusForbidden || leaks(body) {
		t.Errorf("without a token: got %s: %s", res.Status, body)
	}
	if body := open.page("/imports/spring"); strings.Contains(body, "outcomes.csv") {
		t.Error("without a token the page links to the outcomes")
	}
}

func TestStreamsEndAndAreLimited(t *testing.T) {
	h := handlerWith(t)
	for range maxStreams {
		h.streams <- struct{}{}
	}
	if w := askBriefly(t, h, "/events", "localhost", nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: got %d", w.Code)
	}
	<-h.streams
	w := askBriefly(t, h, "/events", "localhost", nil)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	// Every line of an event is a field, and the event ends with an empty line.
	in := bufio.NewScanner(strings.NewReader(w.Body.String()))
	for in.Scan() {
		if l := in.Text(); l != "" && !strings.HasPrefix(l, "data: ") && !strings.HasPrefix(l, "event: ") && !strings.HasPrefix(l, "retry: ") {
			t.Errorf("line %q", l)
		}
	}
	if len(h.streams) != maxStreams-1 {
		t.Error("the stream has not given its place back")
	}
}
