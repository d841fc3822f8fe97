package worker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/webhook"
)

// TestForeignWebhooks: who can write to the queue can ask for a post, and not say
// what is in it. It is what the ledger has.
func TestForeignWebhooks(t *testing.T) {
	var mu sync.Mutex
	var got []webhook.Message
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m webhook.Message
		if err := json.Unmarshal(b, &m); err != nil || strings.Contains(string(b), "canary") {
			t.Errorf("got body %s: %v", b, err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, m)
	}))
	defer receiver.Close()
	hook, err := webhook.New(webhook.Config{URL: receiver.URL, AllowPrivate: true, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456="}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, clerksim.Config{})
	ids := s.admit(person(0))
	w, _ := s.start(func(c *Config) { c.Webhook = hook })
	s.await(20*time.Second, ids...)
	events, err := s.ledger.RecentEvents(t.Context(), 1)
	if err != nil || len(events) != 1 {
		t.Fatalf("events %+v, %v", events, err)
	}
	truth := webhook.MessageOf(events[0])
	truth.Data.From = "" // It is not said of an event that is no longer kept.
	e := events[0]
	lie := `"type":"invite.accepted","timestamp":"2026-01-01T00:00:00Z"`
	posts := []struct {
		payload string
		known   bool
	}{
		{fmt.Sprintf(`{%s,"position":%q,"data":{"event_id":%q,"invite_id":%q,"to":"accepted","invitation_id":"inv_canary"}}`, lie, e.Position, e.ID, e.InviteID), true},
		{fmt.Sprintf(`{%s,"position":"0-1","data":{"event_id":%q,"invite_id":%q,"to":"accepted"}}`, lie, e.ID, e.InviteID), true},
		{fmt.Sprintf(`{%s,"position":%q,"data":{"event_id":"canary:7","invite_id":%q,"reason":"canary"}}`, lie, e.Position, e.InviteID), true},
		{fmt.Sprintf(`{%s,"position":"canary' OR 1","data":{"event_id":%q,"invite_id":%q}}`, lie, e.ID, e.InviteID), true},
		{fmt.Sprintf(`{%s,"data":{"event_id":%q,"invite_id":%q}}`, lie, e.ID, e.InviteID), true}, // As the tasks of before.
		{fmt.Sprintf(`{%s,"data":{"event_id":"canary:7","invite_id":"canary"}}`, lie), false},
		{`{"type":"import.completed","data":{"event_id":"canary:1-1","import_id":"canary"}}`, false},
		{`{"type":"import.completed"}`, false},
		{`[]`, false},
	}
	client := asynq.NewClientFromRedisClient(s.redis)
	inspector := asynq.NewInspectorFromRedisClient(s.redis)
	for n, p := range posts {
		info, err := client.Enqueue(asynq.NewTask(webhook.TaskType, []byte(p.payload)), asynq.Queue(w.queues.Control), asynq.Retention(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			info, err = inspector.GetTaskInfo(w.queues.Control, info.ID)
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("task %d: %+v, %v", n, info, err)
			}
			if info.State == asynq.TaskStateCompleted || info.State == asynq.TaskStateArchived {
				break
			}
		}
		if p.known != (info.State == asynq.TaskStateCompleted) {
			t.Errorf("task %d is %s: %s", n, info.State, info.LastErr)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, m := range got {
		m.Data.From = ""
		if m.Data != truth.Data || m.Type != truth.Type || !m.Timestamp.Equal(truth.Timestamp) {
			t.Errorf("posted %+v, want %+v", m, truth)
		}
	}
	if len(got) < 6 {
		t.Errorf("%d posts, want the worker's own and five that were asked for", len(got))
	}
}

// TestForeignTasksInLogs: what others call their tasks is masked and cut.
func TestForeignTasksInLogs(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	var log bytes.Buffer
	s := newStage(t, clerksim.Config{})
	w, stop := s.start(func(c *Config) { c.Log = zerolog.New(&log) })
	client := asynq.NewClientFromRedisClient(s.redis)
	huge := strings.Repeat("x", 10<<20)
	for _, c := range []struct{ kind, id string }{
		{"canary@example.com", "canary@example.com"}, {tasks.TypeCreate, "canary%40example.com"}, {tasks.TypeCreate + ":canary@example.com", "c"}, {"huge", huge},
	} {
		if _, err := client.Enqueue(asynq.NewTask(c.kind, []byte("{}")), asynq.Queue(w.queues.Control), asynq.TaskID(c.id), asynq.MaxRetry(0)); err != nil {
			t.Fatal(err)
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(s.redis)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		info, err := inspector.GetQueueInfo(w.queues.Control)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v", info, err)
		}
		if info.Archived == 4 {
			break
		}
	}
	stop()
	if n := strings.Count(log.String(), `"why":`); n < 2 || !strings.Contains(log.String(), "a task is archived") {
		t.Errorf("the log says %d times why a task is archived: %.2000s", n, &log)
	}
	if strings.Contains(log.String(), "canary") || log.Len() > 10_000 {
		t.Errorf("%d bytes of log: %.2000s", log.Len(), &log)
	}
	foreign := 0
	for _, span := range spans.GetSpans() {
		if strings.Contains(span.Name, "canary") || len(span.Name) > 100 {
			t.Errorf("a span is called %.100s", span.Name)
		}
		if span.Name == "inviteq task of another kind" {
			foreign++
		}
	}
	if foreign != 3 {
		t.Errorf("%d spans of tasks of another kind, want 3", foreign)
	}
}
