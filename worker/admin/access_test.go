package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// handlerWith makes pages without a worker.
func handlerWith(t *testing.T, change ...func(*Config)) *Handler {
	t.Helper()
	l, err := ledger.Open(t.Context(), redistest.Shared(t), ledger.Config{Instance: redistest.Instance(), Limits: ledger.ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Ledger: l, Probes: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("probe\n")) })}
	for _, f := range change {
		f(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAccess(t *testing.T) {
	const token = testToken
	paths := []string{
		"/", "/events", "/imports", "/imports/x", "/imports/x/events", "/imports/x/outcomes.csv", "/metrics", "/assets/style.css",
		"/monitoring", "/monitoring/", "/monitoring/api/queues", "/monitoring/static/js/runtime-main.9fea6c1a.js", "/nowhere",
	}
	for _, c := range []struct {
		name   string
		access Access
		host   string
		auth   func(*http.Request)
		want   int // 0: the page's own answer
	}{
		{"loopback", Access{}, "127.0.0.1:8080", nil, 0},
		{"loopback by name", Access{}, "localhost:8080", nil, 0},
		{"loopback, IPv6", Access{}, "[::1]:8080", nil, 0},
		{"a web site whose name points here", Access{}, "evil.example:8080", nil, http.StatusForbidden},
		{"no name at all", Access{}, "", nil, http.StatusForbidden},
		{"a proxy on this machine", Access{}, "127.0.0.1:8080", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.9") }, http.StatusForbidden},
		{"a proxy that speaks RFC 7239", Access{}, "localhost", func(r *http.Request) { r.Header.Set("Forwarded", "for=192.0.2.9") }, http.StatusForbidden},
		{"a proxy that says little", Access{}, "localhost", func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, http.StatusForbidden},
		{"a proxy with a token", Access{Token: token}, "localhost", func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", "192.0.2.9")
			r.SetBasicAuth("anybody", token)
		}, 0},
		{"public without a token", Access{Public: true}, "127.0.0.1:8080", nil, http.StatusForbidden},
		{"public, nothing shown", Access{Token: token, Public: true}, "inviteq.internal", nil, http.StatusUnauthorized},
		{"loopback with a token, nothing shown", Access{Token: token}, "127.0.0.1", nil, http.StatusUnauthorized},
		{"bearer", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, 0},
		{"bearer in small letters", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.Header.Set("Authorization", "bearer "+token) }, 0},
		{"password", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.SetBasicAuth("anybody", token) }, 0},
		{"token as user", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.SetBasicAuth(token, "") }, http.StatusUnauthorized},
		{"wrong token", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+"x") }, http.StatusUnauthorized},
		{"beginning of the token", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.SetBasicAuth("", token[:20]) }, http.StatusUnauthorized},
		{"no scheme", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.Header.Set("Authorization", token) }, http.StatusUnauthorized},
		{"token in the address", Access{Token: token, Public: true}, "inviteq.internal", func(r *http.Request) { r.URL.RawQuery = "token=" + token }, http.StatusUnauthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := handlerWith(t, func(cfg *Config) { cfg.Access = c.access })
			var remote string
			ask := func(method, path string) *httptest.ResponseRecorder {
				ctx := t.Context()
				if strings.HasSuffix(path, "events") {
					return askBriefly(t, h, path, c.host, c.auth)
				}
				r := httptest.NewRequestWithContext(ctx, method, path, nil)
				r.Host, r.RemoteAddr = c.host, remote
				if c.auth != nil {
					c.auth(r)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			for n, path := range paths {
				remote = fmt.Sprintf("192.0.2.%d:1234", n+1) // Too many wrong tokens from one are another matter.
				w := ask(http.MethodGet, path)
				denied := w.Code == http.StatusForbidden && path != "/imports/x/outcomes.csv" || w.Code == http.StatusUnauthorized
				if c.want == 0 && denied || c.want != 0 && w.Code != c.want {
					t.Errorf("%s: got %d: %s", path, w.Code, w.Body)
				}
				if c.want == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("%s does not say how to log in", path)
				}
				for name, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
					"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
				} {
					if got := w.Header().Get(name); got != want {
						t.Errorf("%s: %s is %q", path, name, got)
					}
				}
				policy := w.Header().Get("Content-Security-Policy")
				if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || !strings.Contains(policy, "frame-ancestors 'none'") {
					t.Errorf("%s: policy %q", path, policy)
				}
			}
			for _, probe := range []string{"/healthz", "/readyz"} {
				if w := ask(http.MethodGet, probe); w.Code != http.StatusOK || w.Body.String() != "probe\n" {
					t.Errorf("%s: got %d %s", probe, w.Code, w.Body)
				}
			}
			for _, absent := range []string{"/debug/pprof/", "/debug/vars"} {
				if w := ask(http.MethodGet, absent); w.Code == http.StatusOK {
					t.Errorf("%s is there", absent)
				}
			}
		})
	}
}

func TestWrongTokensWait(t *testing.T) {
	var told []string
	h := handlerWith(t, func(cfg *Config) {
		cfg.Access = Access{Token: testToken, Public: true, WrongToken: func(remote string) { told = append(told, remote) }}
	})
	ask := func(remote, password string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/imports", nil)
		r.RemoteAddr = remote + ":1234"
		if password != "" {
			r.SetBasicAuth("anybody", password)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for range 20 {
		if w := ask("192.0.2.1", ""); w.Code != http.StatusUnauthorized {
			t.Fatalf("a browser that has not been asked yet: %d", w.Code)
		}
	}
	for range 10 {
		if w := ask("192.0.2.1", "guess"); w.Code != http.StatusUnauthorized {
			t.Fatalf("wrong: %d", w.Code)
		}
	}
	for range 5 {
		if w := ask("192.0.2.1", "guess"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("too many: %d", w.Code)
		}
	}
	if w := ask("192.0.2.1", testToken); w.Code != http.StatusOK {
		t.Errorf("the right one from there: %d", w.Code)
	}
	if w := ask("192.0.2.2", "guess"); w.Code != http.StatusUnauthorized {
		t.Errorf("somebody else: %d", w.Code)
	}
	if len(told) != 11 || told[0] != "192.0.2.1" || told[10] != "192.0.2.2" {
		t.Errorf("told of %q, want each that was answered", told)
	}
}

func TestShortTokensAreRefused(t *testing.T) {
	_, err := New(Config{Access: Access{Token: "hunter2"}})
	if err == nil || !strings.Contains(err.Error(), "16 bytes") || !strings.Contains(err.Error(), "Ledger is missing") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestIsPublic(t *testing.T) {
	for ip, want := range map[string]bool{"127.0.0.1": false, "127.8.8.8": false, "::1": false, "0.0.0.0": true, "::": true, "10.0.0.7": true} {
		if got := IsPublic(&net.TCPAddr{IP: net.ParseIP(ip)}); got != want {
			t.Errorf("%s: got %t", ip, got)
		}
	}
	if !IsPublic(&net.UnixAddr{}) {
		t.Error("what is not known is public")
	}
}

func TestChangesNeedPermissionAndTheSameOrigin(t *testing.T) {
	pause := func(h *Handler, headers map[string]string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/monitoring/api/queues/"+h.queues.Import+":pause", nil)
		r.Host = "127.0.0.1:8080"
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	if got := pause(handlerWith(t), nil); got != http.StatusMethodNotAllowed {
		t.Errorf("read-only: got %d", got)
	}
	for name, c := range map[string]struct {
		headers map[string]string
		want    int
	}{
		"the page itself":      {map[string]string{"Sec-Fetch-Site": "same-origin"}, http.StatusNoContent},
		"curl":                 {nil, http.StatusNoContent},
		"another site":         {map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"a site next door":     {map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		"an old browser there": {map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
	} {
		s := newStage(t, func(cfg *Config) { cfg.Actions = true })
		s.admit("spring", "ada@example.com") // So that there is a queue to pause.
		h, ok := s.server.Config.Handler.(*Handler)
		if !ok {
			t.Fatal("the server has another handler")
		}
		if got := pause(h, c.headers); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestReadyAnswersThroughThePages(t *testing.T) {
	s := newStage(t)
	eventually(t, func() error { // Clerk is asked first.
		res, body := s.get("/readyz")
		var ready struct{ Ready bool }
		if err := json.Unmarshal([]byte(body), &ready); err != nil || !ready.Ready || res.StatusCode != http.StatusOK {
			return fmt.Errorf("got %s: %s", res.Status, body)
		}
		return nil
	})
}
