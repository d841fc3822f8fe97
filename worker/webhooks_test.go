package worker

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

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
