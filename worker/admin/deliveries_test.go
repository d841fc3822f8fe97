package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/hibiken/asynq"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/webhook"
)

// TestAWebhookIsReplayed in a browser: what the receiver answered is seen, and what it did
// not take, or has lost, is posted again: the same message, signed anew.
func TestAWebhookIsReplayed(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456="
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	takes, got := "", map[string][]string{} // the refused invite that it takes now; bodies by event
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m webhook.Message
		if err := errors.Join(verifier.Verify(b, r.Header), json.Unmarshal(b, &m)); err != nil || r.Header.Get("webhook-id") != m.Data.EventID {
			t.Errorf("got %s: %v", b, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if m.Type == "invite.rejected" && m.Data.InviteID != takes {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		got[m.Data.EventID] = append(got[m.Data.EventID], string(b))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	hook, err := webhook.New(webhook.Config{URL: receiver.URL, AllowPrivate: true, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStageWith(t, hook, withSeat, func(c *Config) { c.Webhook = hook })
	s.sim.AddUser("person1@example.com")
	s.sim.AddUser("person2@example.com")
	ids := s.admit("", people(0, 5)...)
	s.await(tasks.Rejected, 2)
	event := func(n int) string { // the last one of an invite
		t.Helper()
		records, err := s.ledger.Get(t.Context(), ids[n])
		if err != nil {
			t.Fatal(err)
		}
		return records[0].Event().ID
	}
	b := newBrowser(t, s.server.URL)
	b.do(chromedp.Navigate("about:blank"))
	b.logIn("support", testToken)
	all := func(name string) {
		t.Helper()
		for _, l := range []look{looks[3], looks[0]} {
			b.as(l)
			b.shoot(name + "-" + l.name)
		}
	}
	rows := func(n int) (all []string) {
		t.Helper()
		eventually(t, func() error {
			all = ask(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("[data-table=deliveries] tbody tr")].map((r) => r.innerText)`))
			if len(all) != n {
				return fmt.Errorf("%d deliveries, want %d: %q", len(all), n, all)
			}
			return nil
		})
		return all
	}
	b.as(looks[0])
	b.open(s.server.URL + "/webhooks?state=failing")
	failing := rows(2)
	for _, row := range failing {
		if !strings.Contains(row, "invite.rejected") || !strings.Contains(row, "502") || !strings.Contains(row, "in ") {
			t.Errorf("failing: %q", row)
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(s.redis)
	eventually(t, func() error { return inspector.ArchiveTask(s.queues.Control, "webhook:"+event(1)) }) // It may be under way.
	b.open(s.server.URL + "/")
	b.shows("The receiver of webhooks has not taken 1 event.")
	if strings.Contains(b.says(), "could not be read") {
		t.Error("a webhook that was given up passes for a task that could not be read")
	}
	b.click(".concerns a[href*=webhooks]")
	b.shows("eight tries")
	rows(1)
	all("webhooks-given-up")

	mu.Lock()
	takes = ids[1]
	mu.Unlock()
	b.submit("form[action$=replay]")
	b.shows("The event is posted again")
	rows(4) // The other one fails still.
	all("webhooks")
	b.as(looks[2])
	b.click(`form[action*="` + ids[0] + `"] button`)
	rows(5)
	mu.Lock()
	bodies := got[event(0)]
	mu.Unlock()
	if len(bodies) != 2 || bodies[0] != bodies[1] || len(got[event(1)]) != 1 {
		t.Errorf("the receiver has %q", got)
	}
	acts, err := access.NewStore(s.redis, ledger.KeyPrefix(s.ledger.Instance())).LastActs(t.Context(), 9)
	if err != nil || len(acts) != 2 || acts[0].What != "replay webhook" || acts[0].About != event(0) {
		t.Errorf("the audit log has %+v, %v", acts, err)
	}
	for path, want := range map[string]int{"webhook:nothing": http.StatusNotFound, "reconcile:asked": http.StatusNotFound} {
		if res, _ := s.post("/webhooks/"+path+"/replay", nil); res.StatusCode != want {
			t.Errorf("to replay %s: %s", path, res.Status)
		}
	}
	b.clean()
}
