package admin

import (
	"strings"
	"testing"

	"github.com/inviteq/inviteq/tasks"
)

func TestPagesRender(t *testing.T) {
	s := newStage(t, withToken)
	s.sim.AddUser("person3@example.com")
	s.admit("spring-list", people(0, 120)...)
	s.admit("", people(200, 203)...)
	s.await(tasks.Pending, 50)
	for path, want := range map[string]string{
		"/": `<noscript><meta http-equiv="refresh" content="10"></noscript>`, "/imports": "spring-list", "/imports/spring-list": "p***@e***",
		"/imports/spring-list?state=rejected": "existing user", "/monitoring/": "csp-nonce", "/monitoring/api/queues": "interactive",
		"/assets/style.css": "prefers-color-scheme", "/metrics": "inviteq_deliveries_total", "/readyz": "ready",
	} {
		body := s.page(path)
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %q:\n%s", path, want, body[:min(len(body), 4000)])
		}
	}
	for _, path := range []string{"/", "/imports", "/imports/spring-list"} {
		if body := s.page(path); strings.Contains(body, "style=") || strings.Contains(body, "<style") || strings.Contains(body, "<script>") || strings.Contains(body, "onclick") {
			t.Errorf("%s has something inline, which its policy forbids", path)
		}
	}
}
