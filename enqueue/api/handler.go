package api

import (
	"context"
	"crypto/rand"
	_ "embed" // the OpenAPI document
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// Document is the OpenAPI document that is served at /openapi.yaml.
//
//go:embed openapi.yaml
var Document []byte

// exchange is one request on its way through the API.
type exchange struct {
	*API
	r     *http.Request
	w     http.ResponseWriter
	ctx   context.Context //nolint:containedctx // that of the request
	id    string          // of the path
	token Token
	leave func() // gives the place in flight back; more than once does no harm
	entry Entry
}

// route is a path and what can be done there.
type route struct {
	path    string // "{id}" stands for one segment
	method  string
	open    bool // for everybody: no token
	respond func(*exchange) *answer
}

var routes = []route{
	{"/v1/invitations", http.MethodPost, false, (*exchange).create},
	{"/v1/invitations", http.MethodGet, false, (*exchange).list},
	{"/v1/invitations/bulk", http.MethodPost, false, (*exchange).bulk},
	{"/v1/invitations/{id}/revoke", http.MethodPost, false, (*exchange).revoke},
	{"/v1/invites/{id}", http.MethodGet, false, (*exchange).invite},
	{"/v1/imports", http.MethodPost, false, (*exchange).importList},
	{"/v1/imports/{id}", http.MethodGet, false, (*exchange).importState},
	{"/healthz", http.MethodGet, true, (*exchange).health},
	{"/openapi.yaml", http.MethodGet, true, func(*exchange) *answer {
		return (&answer{status: http.StatusOK, raw: Document}).with("Content-Type", "application/yaml; charset=utf-8")
	}},
}

// match returns the id in the path, and whether the path is this one.
func (t route) match(path string) (id string, ok bool) {
	before, after, hasID := strings.Cut(t.path, "{id}")
	if !hasID {
		return "", path == t.path
	}
	id, ok = strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(id, after)
	return id, ok && id != "" && !strings.Contains(id, "/")
}

// ServeHTTP answers one request: it is traced, bounded, authenticated, limited,
// handled, answered and audited, in this order.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	x := &exchange{API: a, r: r, w: w, ctx: r.Context()}
	x.entry = Entry{
		At: started, TraceID: newTrace(), RequestID: plainID(r.Header.Get("X-Request-Id")),
		Remote: remote(r), Method: shownMethod(r.Method),
	}
	h := w.Header()
	h.Set("Clerk-Trace-Id", x.entry.TraceID)
	h.Set("X-Request-Id", x.entry.TraceID)
	if x.entry.RequestID != "" {
		h.Set("X-Request-Id", x.entry.RequestID)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")

	if r.ContentLength == 0 {
		x.bodyRead()
	}
	got := x.answer()
	got.write(w, x.entry.TraceID)
	x.entry.Status, x.entry.Err, x.entry.Took = got.status, got.err, time.Since(started)
	if len(got.problems) > 0 {
		x.entry.Code = got.problems[0].Code
	}
	a.cfg.Audit(x.entry)
}

// answer survives a bug in what it calls: the client learns that there was one,
// the audit log which.
func (x *exchange) answer() (got *answer) {
	defer func() {
		if v := recover(); v != nil {
			got = refuse(http.StatusInternalServerError, codeInternal, "Internal error", "There was an error on the server.")
			// What the panic says may quote anything; where it was does not.
			got.err = fmt.Errorf("panic of type %T: %s", v, debug.Stack())
		}
	}()
	select {
	case x.inFlight <- struct{}{}:
		x.leave = sync.OnceFunc(func() { <-x.inFlight })
		defer x.leave()
	default:
		return busy()
	}
	t, refused := x.find()
	if refused != nil {
		return refused
	}
	if !t.open {
		if refused := x.admit(); refused != nil {
			return refused
		}
		if x.token.ReadOnly && t.method != http.MethodGet {
			return refuse(http.StatusForbidden, codeNotAllowed, "Not allowed", "This token may only read.")
		}
	}
	// net/http would leave out what it cannot read, and a ?wait= or status= with it.
	if _, err := url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return refuse(http.StatusBadRequest, codeBody, "Query invalid", "The query cannot be read: a % or a ; must be escaped.")
	}
	return t.respond(x)
}

// find finds the route, and says what is allowed if the method is not.
func (x *exchange) find() (route, *answer) {
	var allowed []string
	for _, t := range routes {
		id, ok := t.match(x.r.URL.Path)
		if !ok {
			continue
		}
		x.entry.Route = t.path
		allowed = append(allowed, t.method)
		if x.r.Method == t.method || x.r.Method == http.MethodHead && t.method == http.MethodGet {
			x.id = id
			return t, nil
		}
	}
	if len(allowed) == 0 {
		return route{}, notFound("No such path was found.")
	}
	return route{}, refuse(http.StatusMethodNotAllowed, codeMethod, "Method not allowed", "The method is not allowed here.").
		with("Allow", strings.Join(allowed, ", "))
}

func notFound(long string) *answer {
	return refuse(http.StatusNotFound, codeNotFound, "not found", long)
}

// admit asks for a good token, and that it be not used too often.
func (x *exchange) admit() *answer {
	scheme, bearer, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		bearer = ""
	}
	token, err := x.store.Authenticate(x.ctx, strings.TrimSpace(bearer))
	switch {
	case errors.Is(err, ErrToken):
		if bearer != "" {
			if wait := x.guesses.Wrong(x.entry.Remote, time.Now()); wait > 0 {
				return refuse(http.StatusTooManyRequests, codeTooMany, "Too many requests. Please try again in a bit.",
					"Too many invalid tokens have come from this address. Please try again in a bit.").after(wait)
			}
		}
		return refuse(http.StatusUnauthorized, codeKeyInvalid, "The provided token is invalid.",
			"The provided token is invalid. Create one with `inviteq api token create`, and send it as Authorization: Bearer sk_test_….").
			with("WWW-Authenticate", `Bearer realm="inviteq"`)
	case err != nil:
		return unavailable(err)
	}
	x.token = token
	x.entry.Token, x.entry.TokenID = token.Name, token.ID
	now := time.Now()
	wait, note := x.limits.take(token.ID, now)
	if note {
		_ = x.store.TokenUsed(x.ctx, now, token.ID) // worth no error: it is a hint for whoever tidies up
	}
	if wait > 0 {
		return refuse(http.StatusTooManyRequests, codeTooMany, "Too many requests. Please try again in a bit.",
			"This token makes too many requests. Please try again in a bit.").after(wait)
	}
	return nil
}

// slot takes one of few places for work that is heavy, and waits for one a
// moment. The function gives it back; it is nil if there was none.
func (x *exchange) slot(slots chan struct{}) func() {
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }
	case <-t.C:
	case <-x.ctx.Done():
	case <-x.draining:
	}
	return nil
}

// toTheEnd is a context for what must not end half way because the client has
// gone.
func (x *exchange) toTheEnd(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.life, d)
}

// health says whether the queue can be reached.
func (x *exchange) health() *answer {
	ctx, cancel := context.WithTimeout(x.ctx, 2*time.Second)
	defer cancel()
	if err := x.cfg.Ledger.Redis().Ping(ctx).Err(); err != nil {
		return unavailable(err)
	}
	return ok(map[string]string{"status": "ok"})
}

func newTrace() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// shownMethod keeps what is not a method out of the log.
func shownMethod(m string) string {
	if slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}, m) {
		return m
	}
	return "other"
}
