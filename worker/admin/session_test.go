package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// visitor is a browser without a window: it keeps one cookie, and sends it.
type visitor struct {
	t      *testing.T
	h      http.Handler
	cookie *http.Cookie
}

func (v *visitor) ask(method, path string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, path, strings.NewReader(form.Encode()))
	r.Host = "127.0.0.1:8080"
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	v.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if strings.HasPrefix(c.Name, "inviteq_session") {
			v.cookie = c
		}
	}
	return w
}

// TestSignIn: a person types a token once, is led to the page they wanted, and stays
// signed in until they sign out or the token is changed; the cookie shows nothing of it.
func TestSignIn(t *testing.T) {
	h := handlerWith(t, func(c *Config) { c.Access = Access{Token: testToken, Public: true} })
	v := &visitor{t: t, h: h}
	w := v.ask(http.MethodGet, "/imports?x=1", nil)
	if w.Code != http.StatusUnauthorized || strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic") || !strings.Contains(w.Body.String(), `value="/imports?x=1"`) {
		t.Fatalf("without a token: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w = v.ask(http.MethodPost, "/sign-in", url.Values{"token": {"guess"}, "to": {"/imports"}}); w.Code != http.StatusUnauthorized || v.cookie != nil || !strings.Contains(w.Body.String(), "wrong") || !strings.Contains(w.Body.String(), `value="/imports"`) || strings.Contains(w.Body.String(), "guess") {
		t.Fatalf("a wrong one: %d %v %s", w.Code, v.cookie, w.Body)
	}
	sign := url.Values{"token": {" " + testToken + "\n"}, "to": {"/imports?x=1"}}
	if w = v.ask(http.MethodPost, "/sign-in", sign, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); w.Code != http.StatusForbidden || v.cookie != nil {
		t.Errorf("from another site: %d %v", w.Code, v.cookie)
	}
	if w = v.ask(http.MethodPost, "/sign-in", sign); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/imports?x=1" {
		t.Fatalf("signed in: %d %s", w.Code, w.Header().Get("Location"))
	}
	c := v.cookie
	if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.MaxAge != 0 || c.Secure || strings.Contains(c.String(), testToken) {
		t.Fatalf("the cookie is %v", c)
	}
	if w = v.ask(http.MethodGet, "/imports", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "here as admin") || !strings.Contains(w.Body.String(), "sign out") {
		t.Errorf("the page: %d %s", w.Code, w.Body)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Access = Access{Token: testToken + "x", Public: true} },
		func(c *Config) { c.Access = Access{Public: true} },
	} {
		other := &visitor{t: t, h: handlerWith(t, change), cookie: c}
		if w := other.ask(http.MethodGet, "/imports", nil); w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
			t.Errorf("with another token: %d", w.Code)
		}
	}
	bent := *c
	bent.Value = c.Value[:len(c.Value)-2] + "AA"
	if w := (&visitor{t: t, h: h, cookie: &bent}).ask(http.MethodGet, "/imports", nil); w.Code != http.StatusUnauthorized {
		t.Errorf("a cookie of somebody else's making: %d", w.Code)
	}
	if v.ask(http.MethodPost, "/sign-in", sign, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }); !v.cookie.Secure {
		t.Errorf("behind TLS: %v", v.cookie)
	}
	if w = v.ask(http.MethodPost, "/sign-out", url.Values{}); w.Code != http.StatusSeeOther || v.cookie.MaxAge >= 0 {
		t.Errorf("signed out: %d %v", w.Code, v.cookie)
	}
}

// TestSignInsAreAudited: who has signed in and out, and one line a minute of refusals,
// however many there were.
func TestSignInsAreAudited(t *testing.T) {
	var store *access.Store
	h := handlerWith(t, func(c *Config) {
		store = access.NewStore(c.Ledger.Redis(), ledger.KeyPrefix(c.Ledger.Instance()))
		c.Access = Access{Token: testToken, Public: true, Store: store}
	})
	bearer, token, err := store.Create(t.Context(), time.Now(), "support", access.Viewer, access.Instance)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, h: h}
	for range 50 {
		v.ask(http.MethodPost, "/sign-in", url.Values{"token": {"guess"}})
	}
	v.ask(http.MethodPost, "/sign-in", url.Values{"token": {bearer}})
	v.ask(http.MethodPost, "/sign-out", url.Values{})
	v.cookie = nil
	v.ask(http.MethodPost, "/sign-out", url.Values{}) // Who is not signed in signs nobody out.
	acts, err := store.LastActs(t.Context(), 10)
	var got []string
	for _, a := range acts {
		got = append(got, strings.TrimSpace(a.What+" "+a.Who+" "+a.TokenID+" "+a.About+" "+a.Remote))
	}
	want := []string{"sign out support " + token.ID + "  192.0.2.1", "sign in support " + token.ID + "  192.0.2.1", "sign-in refused unknown  1 time 192.0.2.1"}
	if !slices.Equal(got, want) || err != nil {
		t.Errorf("the audit log has %q, %v; want %q", got, err, want)
	}
	if strings.Contains(fmt.Sprint(acts), "guess") {
		t.Error("a wrong token stands in the audit log")
	}
}

// TestSignInLeadsNowhereElse: the page that comes after it is one of ours.
func TestSignInLeadsNowhereElse(t *testing.T) {
	for to, want := range map[string]string{
		"/invites?state=pending": "/invites?state=pending", "/": "/", "": "/", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example/": "/",
		"/sign-in": "/", "/sign-out": "/sign-out", "javascript:alert(1)": "/", "/a\r\nSet-Cookie: x": "/", "invites": "/",
	} {
		if got := ownPath(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

// TestSessionOfAToken: a token of `inviteq api token` opens the pages with its role, and
// its session ends with it; one of scope own opens nothing, nor does none.
func TestSessionOfAToken(t *testing.T) {
	var store *access.Store
	h := handlerWith(t, func(c *Config) {
		store = access.NewStore(c.Ledger.Redis(), ledger.KeyPrefix(c.Ledger.Instance()))
		c.Access = Access{Store: store}
	})
	bearer, token, err := store.Create(t.Context(), time.Now(), "support", access.Operator, access.Instance)
	if err != nil {
		t.Fatal(err)
	}
	own, _, err := store.Create(t.Context(), time.Now(), "billing", access.Admin, access.Own)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, h: h}
	for _, wrong := range []string{"", "anything", bearer + "x", own} {
		if w := v.ask(http.MethodPost, "/sign-in", url.Values{"token": {wrong}}); w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden || v.cookie != nil {
			t.Errorf("%d bytes of token: %d %v", len(wrong), w.Code, v.cookie)
		}
	}
	if w := v.ask(http.MethodGet, "/sign-in", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<form") {
		t.Errorf("the form: %d", w.Code)
	}
	if w := v.ask(http.MethodPost, "/sign-in", url.Values{"token": {bearer}}); w.Code != http.StatusSeeOther {
		t.Fatalf("signed in: %d %s", w.Code, w.Body)
	}
	if w := v.ask(http.MethodGet, "/imports", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "here as support") {
		t.Errorf("the page: %d", w.Code)
	}
	if _, err := store.Revoke(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	if w := v.ask(http.MethodGet, "/imports", nil); w.Code != http.StatusUnauthorized {
		t.Errorf("a revoked one: %d", w.Code)
	}
}

func TestSessionsEnd(t *testing.T) {
	s, err := newSessions(testToken)
	if err != nil {
		t.Fatal(err)
	}
	r, now := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), time.Now()
	r.AddCookie(&http.Cookie{Name: s.name, Value: s.seal("a token", now)})
	for after, want := range map[time.Duration]string{0: "a token", sessionLife - time.Second: "a token", sessionLife + time.Second: ""} {
		if got := s.token(r, now.Add(after)); got != want {
			t.Errorf("after %s: %q, want %q", after, got, want)
		}
	}
}
