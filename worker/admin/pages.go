package admin

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

//go:embed pages
var pageFiles embed.FS

// pages are the templates: each has "base", the whole page, and "parts", the
// sections that come again when they have changed.
type pages struct{ status, imports, one, plain, invite, invites, audit, charts, upload, reconcile, deliveries *template.Template }

func parsePages() (p pages, err error) {
	funcs := template.FuncMap{
		"in": show.In, "ago": show.Ago, "humane": show.Duration, "thousands": show.Thousands[int64], "count": show.Count[int64],
		"words": words, "explain": func(act string) string { return explainAct[act] }, "offset": show.Offset, "short": short, "int64": func(n int) int64 { return int64(n) },
		"monthday": func(t time.Time) string { return t.UTC().Format("2 Jan") },
		"pc":       func(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + "%" },
		"px":       func(y float64) string { return strconv.FormatFloat(y, 'f', 1, 64) },
		"rfc":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":    func(t time.Time) string { return t.UTC().Format("15:04") + " UTC" },
		"date":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" },
		"precise":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") + " UTC" },
		"day":      func(t time.Time) string { return t.UTC().Format("Mon 15:04") },
	}
	for name, to := range map[string]**template.Template{"status": &p.status, "imports": &p.imports, "import": &p.one, "plain": &p.plain, "invite": &p.invite, "invites": &p.invites, "audit": &p.audit, "charts": &p.charts, "upload": &p.upload, "reconcile": &p.reconcile, "deliveries": &p.deliveries} {
		*to, err = template.New("base.html").Funcs(funcs).ParseFS(pageFiles, "pages/base.html", "pages/shared.html", "pages/"+name+".html")
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// words writes a word of a vocabulary as people do.
func words(word any) string { return strings.ReplaceAll(fmt.Sprint(word), "_", " ") }

// frame is what every page has.
type frame struct {
	Title    string
	Here     string // The entry of the navigation.
	Events   string // Where changes of the page come from; "" for a page that stays.
	Instance string // "" for the default one.
	Version  string
	Now      time.Time
	Pill     pill
	Posts    bool   // This worker has a receiver of webhooks.
	May      may    // what the person who looks may do
	Said     string // what they have just done
}

// pill says in two words how things stand.
type pill struct{ Class, Text string }

func (h *Handler) frame(r *http.Request, title, here, events string, v view, concerns []concern) frame {
	f := frame{
		Title: title, Here: here, Events: events, Version: h.cfg.Version, Now: v.Now, Posts: h.cfg.Webhook != nil,
		May: h.mayOf(r), Said: saidBefore(r),
	}
	if name := h.cfg.Ledger.Instance(); name != tasks.DefaultInstance {
		f.Instance = name
	}
	waiting := v.Overview.Waiting[tasks.Interactive] + v.Overview.Waiting[tasks.Import] + v.Overview.States[tasks.Sending]
	switch {
	case len(concerns) > 0 && concerns[0].Grave:
		f.Pill = pill{"bad", "Not delivering"}
	case v.Problems[tasks.ProblemDraining] != "":
		f.Pill = pill{"warn", "Shutting down"}
	case len(concerns) > 0:
		f.Pill = pill{"warn", "Needs a look"}
	case waiting > 0:
		f.Pill = pill{"good", "Delivering"}
	default:
		f.Pill = pill{"good", "Ready"}
	}
	return f
}

// open reads how things stand, and begins a page with it.
func (h *Handler) open(r *http.Request, title, here, events string) (v view, f frame, err error) {
	if v, err = h.view(r.Context()); err == nil {
		f = h.frame(r, title, here, events, v, h.concerns(v, nil))
	}
	return v, f, err
}

// pageOf makes a handler that shows what of has read, with what the person has just done.
func pageOf[D any](h *Handler, t *template.Template, of func(*http.Request) (D, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r = withSaid(w, r)
		data, err := of(r)
		h.show(w, r, t, data, err)
	}
}

// show answers with a page, or says why there is none.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, t *template.Template, data any, err error) {
	if err != nil {
		h.excuse(w, r, "Not here", err)
		return
	}
	h.write(w, http.StatusOK, t, data)
}

// excuse says why something was not shown, or not done.
func (h *Handler) excuse(w http.ResponseWriter, r *http.Request, title string, err error) {
	if asked, ok := errors.AsType[*refusal](err); ok {
		h.say(w, r, asked.status, title, asked.text)
		return
	}
	h.fail(w, r, err)
}

// render writes a page or its parts; only a mistake in a template makes it fail.
func render(t *template.Template, name string, data any) ([]byte, error) {
	var b bytes.Buffer
	err := t.ExecuteTemplate(&b, name, data)
	return b.Bytes(), err
}

func (h *Handler) write(w http.ResponseWriter, status int, t *template.Template, data any) {
	page, err := render(t, "base.html", data)
	if err != nil {
		h.cfg.Log.Error().Err(err).Msg("a page could not be rendered")
		http.Error(w, "This page could not be rendered; the worker's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) //nolint:gosec // html/template has escaped it
}

// plainData is a page with one message.
type plainData struct {
	frame
	Message string
}

func (h *Handler) notFound(w http.ResponseWriter, _ *http.Request) {
	h.write(w, http.StatusNotFound, h.pages.plain, plainData{frame{Title: "Not found", Version: h.cfg.Version, Now: time.Now()}, "There is no such page."})
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := frame{Title: "Not available", Version: h.cfg.Version, Now: time.Now(), Pill: pill{"warn", "Not available"}, May: h.mayOf(r)}
	if isNotFound(err) {
		f.Title, f.Pill = "Not found", pill{}
		h.write(w, http.StatusNotFound, h.pages.plain, plainData{f, "The ledger has no such invite or import. It may have been forgotten after its retention."})
		return
	}
	h.cfg.Log.Warn().Err(err).Msg("a page is not available")
	h.write(w, http.StatusServiceUnavailable, h.pages.plain, plainData{f, "Redis does not answer. Nothing is lost; reload in a moment."})
}

// statusPage is a page with an error, too, which says so.
func (h *Handler) statusPage(w http.ResponseWriter, r *http.Request) {
	data, err := h.status(withSaid(w, r))
	status := http.StatusOK
	if err != nil {
		status = http.StatusServiceUnavailable
	}
	h.write(w, status, h.pages.status, data)
}

// statusNow is the status for those who look on.
func (h *Handler) statusNow(r *http.Request) (statusData, error) {
	data, _ := h.status(r)
	return data, nil
}

// importsData is the list of imports.
type importsData struct {
	frame
	Imports []importView
}

const importsListed = 50

func (h *Handler) importsOf(r *http.Request) (d importsData, err error) {
	v, f, err := h.open(r, "Imports", "imports", "")
	if err != nil {
		return d, err
	}
	d.frame = f
	d.Imports, err = h.imports(r.Context(), v.Overview, importsListed, importsListed)
	return d, err
}

// importData is the page of one import.
type importData struct {
	frame
	importView
	State   string // The state that the rows are in; "" for all.
	Page    rowsPage
	Outcome bool // The outcomes can be had.
}

// Now says which of the two it is.
func (d importData) Now() time.Time { return d.frame.Now }

// importPage reads the whole page.
func (h *Handler) importPage(r *http.Request) (d importData, err error) {
	if d, err = h.importOf(r); err != nil {
		return d, err
	}
	state, err1 := stateParameter(r)
	from, err2 := fromParameter(r)
	if err1 != nil || err2 != nil {
		return d, refuse(http.StatusBadRequest, "state or from is not what this page has linked to.")
	}
	d.Page, err = h.rows(r.Context(), d.importView, state, from)
	return d, err
}

// importOf reads what is above the rows.
func (h *Handler) importOf(r *http.Request) (d importData, err error) {
	id := r.PathValue("id")
	events := "/imports/" + url.PathEscape(id) + "/events"
	if s, err := stateParameter(r); err == nil && s != nil {
		d.State = s.String()
		events += "?state=" + d.State
	}
	v, f, err := h.open(r, "Import "+id, "imports", events)
	if err != nil {
		return d, err
	}
	d.frame, d.Outcome = f, f.May.Reveal
	d.importView, err = h.loadImport(r.Context(), v.Overview, id)
	return d, err
}
