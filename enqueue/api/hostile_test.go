package api_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/enqueue/api"
)

// raw sends bytes as they are and returns all that comes back, until the server
// closes the connection.
func (s *stage) raw(parts ...string) (string, time.Duration) {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	started := time.Now()
	_ = c.SetDeadline(started.Add(20 * time.Second))
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			break // The server has had enough.
		}
	}
	b, err := io.ReadAll(c)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		s.t.Error("the server does not close the connection")
	}
	return string(b), time.Since(started)
}

// TestSlowClients are cut off: in their headers, in their body, in a list.
func TestSlowClients(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.ReadTimeout = 400 * time.Millisecond })
	auth := "Host: x\r\nAuthorization: Bearer " + s.token + "\r\n"
	for name, parts := range map[string][]string{
		"headers": {"POST /v1/invitations HTTP/1.1\r\nHost: x\r\n"},
		"body":    {"POST /v1/invitations HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"},
		"list":    {"POST /v1/imports HTTP/1.1\r\n" + auth + "Content-Type: text/csv\r\nContent-Length: 100\r\n\r\nemail\n"},
		"chunks":  {"POST /v1/imports HTTP/1.1\r\n" + auth + "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nemail\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, took := s.raw(parts...)
			if took > 5*time.Second {
				t.Errorf("cut off after %s", took)
			}
			if got != "" && !strings.Contains(got, " 408 ") {
				t.Errorf("got %.200s", got)
			}
		})
	}
	if s.waiting() != 0 {
		t.Error("something was accepted")
	}
	// A list that keeps coming may take longer than the timeout.
	r, w := io.Pipe()
	go func() {
		defer w.Close()
		for n := range 60 {
			fmt.Fprint(w, strings.Repeat(" ", 20_000)+"\n")
			if n%6 == 0 {
				timer := time.NewTimer(100 * time.Millisecond)
				<-timer.C
			}
		}
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/imports", io.MultiReader(strings.NewReader("email\nslow@example.com\n"), r))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "text/csv")
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Errorf("a list that takes a second: %d %s", res.StatusCode, b)
	}
}

// TestMalformedRequests are answered by the API or by net/http, and never
// accepted.
func TestMalformedRequests(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.ReadTimeout = 2 * time.Second })
	auth := "Host: x\r\nConnection: close\r\nAuthorization: Bearer " + s.token + "\r\n"
	for name, c := range map[string]struct{ request, want string }{
		"a header with a line break":  {"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: a\rb\r\n\r\n", " 400 "},
		"headers without end":         {"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", " 431 "},
		"two lengths":                 {"POST /v1/invitations HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", " 400 "},
		"length and chunks":           {"POST /v1/invitations HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", " 400 "},
		"a length that is a lie":      {"POST /v1/invitations HTTP/1.1\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{}", " 4"},
		"a path with dots":            {"GET /v1/../v1/invitations HTTP/1.1\r\n" + auth + "\r\n", " 404 "},
		"a path with a line break":    {"GET /v1/invites/a%0d%0aX-Evil:%201 HTTP/1.1\r\n" + auth + "\r\n", " 404 "},
		"a proxy's request":           {"GET http://example.com/v1/invitations HTTP/1.1\r\n" + auth + "\r\n", " 200 "},
		"a method of somebody's own":  {"CANARY /v1/invitations HTTP/1.1\r\n" + auth + "\r\n", " 405 "},
		"no host":                     {"GET /healthz HTTP/1.1\r\n\r\n", " 400 "},
		"not HTTP":                    {"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", " 400 "},
		"a length that is unreadable": {"POST /v1/invitations HTTP/1.1\r\n" + auth + "Content-Length: -1\r\n\r\n", " 400 "},
	} {
		got, _ := s.raw(c.request)
		first, _, _ := strings.Cut(got, "\r\n")
		if !strings.Contains(first, c.want) || strings.Contains(got, "X-Evil") || strings.Contains(got, "CANARY") {
			t.Errorf("%s: got %.300q, want %s", name, got, c.want)
		}
	}
	if s.waiting() != 0 {
		t.Error("something was accepted")
	}
	for _, e := range s.audit() {
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "CANARY") || strings.Contains(text, "Evil") {
			t.Errorf("audited %s", text)
		}
	}
}

// TestRoutes: what is not there, and what is not allowed there, in Clerk's shape.
func TestRoutes(t *testing.T) {
	s := newStage(t)
	defer s.wrong()()
	for _, c := range []struct {
		method, path, code, allow string
		status                    int
	}{
		{"GET", "/", "resource_not_found", "", 404},
		{"GET", "/v1", "resource_not_found", "", 404},
		{"GET", "/v1/invitations/", "resource_not_found", "", 404},
		{"GET", "/V1/invitations", "resource_not_found", "", 404},
		{"GET", "//v1/invitations", "resource_not_found", "", 404},
		{"GET", "/v1/users", "resource_not_found", "", 404},
		{"POST", "/v1/invitations/a/b/revoke", "resource_not_found", "", 404},
		{"POST", "/v1/invitations//revoke", "resource_not_found", "", 404},
		{"DELETE", "/v1/invitations", "method_not_allowed", "POST, GET", 405},
		{"OPTIONS", "/v1/invitations", "method_not_allowed", "POST, GET", 405},
		{"GET", "/v1/invitations/bulk", "method_not_allowed", "POST", 405},
		{"GET", "/v1/invitations/x/revoke", "method_not_allowed", "POST", 405},
		{"POST", "/healthz", "method_not_allowed", "GET", 405},
	} {
		r := s.do(c.method, c.path, "", "", "Origin", "https://evil.example")
		if r.status != c.status || r.errors(t)[0].Code != c.code || r.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, r.status, r.header, r.body)
		}
		for name := range r.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s %s: %s", c.method, c.path, name)
			}
		}
	}
	if r := s.do("HEAD", "/v1/invitations", "", ""); r.status != 200 || r.body != "" {
		t.Errorf("HEAD: %d %s", r.status, r.body)
	}
	r := s.get("/v1/invitations")
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Referrer-Policy": "no-referrer", "Content-Type": "application/json",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if trace := r.header.Get("Clerk-Trace-Id"); len(trace) != 32 || r.header.Get("X-Request-Id") != trace {
		t.Errorf("traces %v", r.header)
	}
	if r := s.do("GET", "/v1/invitations", "", "", "X-Request-Id", "mine-1"); r.header.Get("X-Request-Id") != "mine-1" {
		t.Errorf("my request id came back as %q", r.header.Get("X-Request-Id"))
	}
	if r := s.do("GET", "/v1/invitations", "", "", "X-Request-Id", "canary@example.com"); strings.Contains(fmt.Sprint(r.header), "canary") {
		t.Errorf("a request id that is an address came back: %v", r.header)
	}
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json/x"} {
		if r := s.do("POST", "/v1/invitations", media, `{"email_address":"a@example.com"}`); r.status != 415 || r.errors(t)[0].Code != "unsupported_content_type" {
			t.Errorf("%q: %d %s", media, r.status, r.body)
		}
	}
	if s.waiting() != 0 {
		t.Error("something was accepted")
	}
}

// TestTokens lets nobody in without one that is good now.
func TestTokens(t *testing.T) {
	s := newStage(t)
	defer s.wrong()()
	good := s.token
	flipped := good[:len(good)-1] + string('0'+(good[len(good)-1]+1-'0')%2)
	if flipped == good {
		flipped = good[:len(good)-1] + "z"
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer sk_test_x", "Basic " + good, good, "Bearer " + good + "x", "Bearer " + good[:len(good)-1],
		"Bearer " + flipped, "Bearer " + good + " " + good, "Bearer " + strings.ToUpper(good), "Bearer " + strings.Repeat("x", 8000)} {
		r := s.do("GET", "/v1/invitations", "", "", "Authorization", header)
		if r.status != 401 || r.errors(t)[0].Code != "clerk_key_invalid" || r.header.Get("Www-Authenticate") == "" {
			t.Errorf("%.40q: %d %s", header, r.status, r.body)
		}
	}
	if r := s.do("GET", "/v1/invitations", "", "", "Authorization", "bearer  "+good); r.status != 200 {
		t.Errorf("a scheme in lower case: %d", r.status)
	}
	second := s.newToken("tests")
	if _, err := s.tokens().Revoke(t.Context(), "tests"); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{good, second} {
		if r := s.do("GET", "/v1/invitations", "", "", "Authorization", "Bearer "+token); r.status != 401 {
			t.Errorf("a revoked token: %d", r.status)
		}
	}
	for _, path := range []string{"/healthz", "/openapi.yaml"} {
		if r := s.get(path); r.status != 200 {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	for _, e := range s.audit() {
		if strings.Contains(fmt.Sprintf("%+v", e), good[20:]) {
			t.Errorf("audited a token: %+v", e)
		}
	}
}

// TestWrongTokensWait tells whoever tries many to wait, and nobody who has the right
// one.
func TestWrongTokensWait(t *testing.T) {
	s := newStage(t)
	wrong := "Bearer " + s.token[:len(s.token)-1] + "!"
	for n := range 10 {
		if r := s.do("GET", "/v1/invitations", "", "", "Authorization", wrong); r.status != 401 {
			t.Fatalf("wrong token %d: status %d", n, r.status)
		}
	}
	r := s.do("GET", "/v1/invitations", "", "", "Authorization", wrong)
	if r.status != 429 || r.errors(t)[0].Code != "too_many_requests" || r.header.Get("Retry-After") != "6" {
		t.Errorf("one more: %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
	}
	if r := s.get("/v1/invitations"); r.status != 200 {
		t.Errorf("the right token from there: %d", r.status)
	}
	if r := s.do("GET", "/v1/invitations", "", "", "Authorization", ""); r.status != 401 {
		t.Errorf("no token at all is no guess: %d", r.status)
	}
}

// TestRateLimit is each token's own.
func TestRateLimit(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.RateLimit = 2 })
	for n := range 5 {
		if r := s.get("/v1/invitations"); r.status != 200 {
			t.Fatalf("request %d: %d", n, r.status)
		}
	}
	r := s.get("/v1/invitations")
	if r.status != 429 || r.errors(t)[0].Code != "too_many_requests" || r.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %v %s", r.status, r.header, r.body)
	}
	s.token = s.newToken("other")
	if r := s.get("/v1/invitations"); r.status != 200 {
		t.Errorf("another token: %d", r.status)
	}
}

// TestShutdown answers those who wait, at once, and ends.
func TestShutdown(t *testing.T) {
	s := newStage(t)
	got := make(chan reply, 1)
	go func() { got <- s.post("/v1/invitations?wait=30", `{"email_address":"a@example.com"}`) }()
	eventually(t, "the invite is accepted", func() bool { return s.waiting() == 1 })
	started := time.Now()
	s.stop()
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if r := <-got; r.status != 200 || !strings.Contains(r.body, "inq_") {
		t.Errorf("the one who waited: %d %s", r.status, r.body)
	}
}
