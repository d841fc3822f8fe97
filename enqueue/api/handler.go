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
	"time"

	"github.com/inviteq/inviteq/tasks/access"
)

// Document is the OpenAPI document that is served at /openapi.yaml.
//
//go:embed openapi.yaml
var Document []byte

// exchange is one request on its way through the API.
type exchange struct {
	*API
	r      *http.Request
	w      http.ResponseWriter
	ctx    context.Context //nolint:containedctx // that of the request
	id     string          // of the path
	token  access.Token
	isUse  bool   // that the token is used is to be written down
	body   []byte // that has been read, as far as it is JSON
	hold   func() // gives back the place for reading it, if there is one
	intake *list  // that has been read instead
	leave  func() // gives the place back; more than once does no harm
	entry  Entry

	asked    bool // the caller has just named whoever the answer is about
	revealed int  // invites of others whose addresses the answer shows
}

// route is a path and what can be done there.
type route struct {
	path   string // "{id}" stands for one segment
	method string

	// read takes a body in, before the request has a place: however slowly a body
	// comes, it keeps nobody waiting. nil: there is none.
	read    func(*exchange) *answer
	room    func(*API) *room // where the place is; nil: it needs neither place nor token
	respond func(*exchange) *answer
	act     string // what the audit log calls it
}

var routes = []route{
	{"/v1/invitations", http.MethodPost, (*exchange).readOne, working, (*exchange).create, "invite"},
	{"/v1/invitations", http.MethodGet, nil, working, (*exchange).list, ""},
	{"/v1/invitations/bulk", http.MethodPost, (*exchange).readBulk, toil, (*exchange).bulk, "invite"},
	{"/v1/invitations/{id}/revoke", http.MethodPost, nil, working, (*exchange).revoke, "revoke"},
	{"/v1/invitations/{id}", http.MethodDelete, nil, working, (*exchange).erase, "delete"},
	{"/v1/revokes/{id}", http.MethodGet, nil, working, (*exchange).revokeState, ""},
	{"/v1/invites/{id}", http.MethodGet, nil, working, (*exchange).invite, ""},
	{"/v1/events", http.MethodGet, nil, working, (*exchange).events, ""},
	{"/v1/imports", http.MethodPost, (*exchange).readList, importing, (*exchange).importList, "import"},
	{"/v1/imports", http.MethodGet, nil, working, (*exchange).listImports, ""},
	{"/v1/imports/{id}", http.MethodGet, nil, working, (*exchange).importState, ""},
	{"/v1/imports/{id}/pause", http.MethodPost, nil, working, (*exchange).pauseImport, "pause import"},
	{"/v1/imports/{id}/revoke", http.MethodPost, nil, importing, (*exchange).revokeImport, "revoke import"},
	{"/v1/imports/{id}/renew", http.MethodPost, nil, importing, (*exchange).renewImport, "renew import"},
	{"/v1/imports/{id}/resume", http.MethodPost, nil, working, (*exchange).resumeImport, "resume import"},
	{AgentsPath, http.MethodPost, (*exchange).readMessage, working, (*exchange).agents, ""},
	{"/v1/people/forget", http.MethodPost, (*exchange).readPerson, toil, (*exchange).forget, "forget"},
	{"/v1/people/export", http.MethodPost, (*exchange).readPerson, toil, (*exchange).export, "export"},
	{HealthPath, http.MethodGet, nil, nil, (*exchange).health, ""},
	{"/openapi.yaml", http.MethodGet, nil, nil, func(*exchange) *answer {
		return (&answer{status: http.StatusOK, raw: Document}).with("Content-Type", "application/yaml; charset=utf-8")
	}, ""},
}

// HealthPath is for probes. It needs no token.
const HealthPath = "/healthz"

func working(a *API) *room   { return a.work }
func toil(a *API) *room      { return a.heavy }
func importing(a *API) *room { return a.imports }

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

// ServeHTTP answers one request: it is traced, told by its token, limited, read,
// given a place, authenticated, handled, answered and audited, in this order.
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
	t, refused := x.find()
	if refused != nil {
		return refused
	}
	if t.room == nil {
		return t.respond(x)
	}
	bearer, refused := x.admit()
	if refused != nil {
		return refused
	}
	if !x.token.Acts() && t.method != http.MethodGet && t.path != AgentsPath { // Agents are told what they may do.
		return refuse(http.StatusForbidden, codeNotAllowed, "Not allowed", "This token has the role viewer: it may only look.")
	}
	// net/http would leave out what it cannot read, and a ?wait= or status= with it.
	if _, err := url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return refuse(http.StatusBadRequest, codeBody, "Query invalid", "The query cannot be read: a % or a ; must be escaped.")
	}
	if t.read != nil {
		defer x.drop()
		if refused := t.read(x); refused != nil {
			return refused
		}
	}
	if x.leave = x.enter(t.room(x.API)); x.leave == nil {
		return busy()
	}
	defer x.leave()
	if x.hold != nil {
		x.hold()
	}
	// Since this process met it, it may have been revoked.
	if _, err := x.tokens.Authenticate(x.ctx, bearer); err != nil {
		return x.refuseToken(err, 0)
	}
	if x.isUse {
		_ = x.tokens.Used(x.ctx, time.Now(), x.token.ID) // not an error: it is a hint for whoever tidies up
	}
	return x.note(t.act, t.respond(x))
}

// note writes down in the audit log what was done, and whose addresses are shown.
// What cannot be written down is not shown.
func (x *exchange) note(what string, got *answer) *answer {
	ctx, cancel := x.toTheEnd(storeTime)
	defer cancel()
	act := access.Act{
		Who: x.token.Name, TokenID: x.token.ID, Via: access.ViaAPI, Remote: x.entry.Remote, What: what, About: x.entry.ID, Count: x.entry.Invites,
	}
	if what != "" && got.status < http.StatusMultipleChoices && !got.idle {
		got.err = errors.Join(got.err, x.tokens.Note(ctx, act))
	}
	if x.revealed > 0 {
		act.What, act.Count = "reveal", x.revealed
		if err := x.tokens.Note(ctx, act); err != nil {
			return unavailable(err)
		}
	}
	return got
}

// find finds the route, and says what is allowed if the method is not.
func (x *exchange) find() (route, *answer) {
	var allowed []string
	exact := false
	for _, t := range routes {
		id, ok := t.match(x.r.URL.Path)
		if !ok || exact && id != "" { // "bulk" is no id. Whole paths come first in the table.
			continue
		}
		exact = id == ""
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
func (x *exchange) admit() (bearer string, refused *answer) {
	scheme, bearer, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	bearer = strings.TrimSpace(bearer)
	if !strings.EqualFold(scheme, "Bearer") || bearer == "" {
		return "", x.refuseToken(access.ErrToken, 0)
	}
	now := time.Now()
	token, wait, err := x.callers.Find(x.ctx, bearer, x.entry.Remote, now)
	if err != nil {
		return "", x.refuseToken(err, wait)
	}
	x.token = token
	x.entry.Token, x.entry.TokenID = token.Name, token.ID
	wait, x.isUse = x.limits.take(token.ID, now)
	if wait > 0 {
		return "", refuse(http.StatusTooManyRequests, codeTooMany, "Too many requests. Please try again in a bit.",
			"This token makes too many requests. Please try again in a bit.").after(wait)
	}
	return bearer, nil
}

// refuseToken answers when there is no good token: err is access.ErrToken, or says why
// nobody can tell.
func (x *exchange) refuseToken(err error, wait time.Duration) *answer {
	switch {
	case !errors.Is(err, access.ErrToken):
		return unavailable(err)
	case wait > 0:
		return refuse(http.StatusTooManyRequests, codeTooMany, "Too many requests. Please try again in a bit.",
			"Too many invalid tokens have come from this address. Please try again in a bit.").after(wait)
	}
	if x.token.ID != "" {
		x.callers.Forget(x.token.ID)
		x.token, x.entry.Token = access.Token{}, ""
	}
	return refuse(http.StatusUnauthorized, codeKeyInvalid, "The provided token is invalid.",
		"The provided token is invalid. Create one with `inviteq api token create`, and send it as Authorization: Bearer sk_test_….").
		with("WWW-Authenticate", `Bearer realm="inviteq"`)
}

// enter waits for a place. The function gives it back; it is nil if there was none.
func (x *exchange) enter(r *room) (leave func()) { return r.enter(x.ctx, x.token.ID, x.draining) }

// drop lets go of what was read.
func (x *exchange) drop() {
	if x.hold != nil {
		x.hold()
	}
	if x.intake != nil {
		x.intake.close()
	}
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
