package worker

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/worker/webhook"
)

func TestWebhooksTellOfEveryOutcome(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	failures := 1
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m webhook.Message
		if err := json.Unmarshal(b, &m); err != nil {
			t.Errorf("got body %s: %v", b, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if failures > 0 {
			failures--
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		got[m.Type+" "+m.Data.InviteID+m.Data.ImportID]++
	}))
	defer receiver.Close()
	hook, err := webhook.New(webhook.Config{URL: receiver.URL, AllowPrivate: true, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456="}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, clerksim.Config{})
	s.sim.AddUser("person1@example.com")
	ids := s.admit(person(0), person(1))
	s.start(func(c *Config) { c.Webhook = hook })
	want := []string{"invite.pending " + ids[0], "invite.rejected " + ids[1]}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		mu.Lock()
		have := make([]string, 0, len(got))
		for k, n := range got {
			if n != 1 {
				t.Errorf("got %s %d times", k, n)
			}
			have = append(have, k)
		}
		mu.Unlock()
		slices.Sort(have)
		slices.Sort(want)
		if slices.Equal(have, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q, want %q", have, want)
		}
	}
}

// A receiver that answers 410 gets no more; another one does.
func TestReceiverThatIsGone(t *testing.T) {
	var gone, other atomic.Int64
	serve := func(n *atomic.Int64, status int) *webhook.Sender {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n.Add(1)
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		hook, err := webhook.New(webhook.Config{URL: server.URL, AllowPrivate: true, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456="}})
		if err != nil {
			t.Fatal(err)
		}
		return hook
	}
	s := newStage(t, clerksim.Config{})
	reach := func(n *atomic.Int64, want int64) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); n.Load() < want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the receiver got %d of %d", n.Load(), want)
			}
		}
	}
	w, stop := s.start(func(c *Config) { c.Webhook = serve(&gone, http.StatusGone) })
	s.await(20*time.Second, s.admit(person(0))...)
	reach(&gone, 1)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if is, err := w.relay.gone(t.Context()); err != nil || time.Now().After(deadline) {
			t.Fatalf("it is not written down that the receiver is gone: %v", err)
		} else if is {
			break
		}
	}
	more := s.admit(person(1), person(2))
	w.dispatcher.wake.nudge()
	s.await(20*time.Second, more...)
	// The relay has let all of it pass when the group lags no more.
	events := "inviteq:{" + s.instance + "}:events"
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		groups, err := s.redis.XInfoGroups(t.Context(), events).Result()
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the relay stands still: %+v, %v", groups, err)
		}
		if groups[0].Lag == 0 && groups[0].Pending == 0 {
			break
		}
	}
	stop()
	info, err := asynq.NewInspectorFromRedisClient(s.redis).GetQueueInfo(w.queues.Control)
	if err != nil || info.Archived != 1 || info.Pending+info.Active+info.Retry+info.Scheduled != 0 || gone.Load() != 1 {
		t.Errorf("%d posts, %+v, %v; want one task, archived, that says it is gone", gone.Load(), info, err)
	}
	_, _ = s.start(func(c *Config) { c.Webhook = serve(&other, http.StatusNoContent) })
	s.await(20*time.Second, s.admit(person(3))...)
	reach(&other, 1)
}
