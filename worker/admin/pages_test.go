package admin

import (
	"strings"
	"testing"

	"github.com/inviteq/inviteq/worker/ledger"
)

func TestPagesRender(t *testing.T) {
	s := newStage(t, withToken)
	s.sim.AddUser("person3@example.com")
	s.admit("spring-list", people(0, 120)...)
	s.admit("", people(200, 203)...)
	s.await(ledger.Pending, 50)
	for path, want := range map[string]string{
		"/": "Deliveries by the hour", "/imports": "spring-list", "/imports/spring-list": "p***@e***",
		"/imports/spring-list?state=rejected": "existing user", "/monitoring/": "csp-nonce", "/monitoring/api/queues": "interactive",
		"/assets/style.css": "prefers-color-scheme", "/metrics": "inviteq_deliveries_total", "/readyz": "ready",
	} {
		body := s.page(path)
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %q:\n%s", path, want, body[:min(len(body), 4000)])
		}
	}
	t.Log(s.page("/metrics"))
}
