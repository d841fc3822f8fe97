package admin

import (
	"bytes"
	"embed"
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

func (h *Handler) frame(title, here, events string, v view, concerns []concern) frame {
	f := frame{Title: title, Here: here, Events: events, Version: h.cfg.Version, Now: v.Now, Posts: h.cfg.Webhook != nil}
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

func (h *Handler) statusPage(w http.ResponseWriter, r *http.Request) {
	data, err := h.status(r.Context())
	data.May, data.Said = h.mayOf(r), said(w, r)
	status := http.StatusOK
	if err != nil {
		status = http.StatusServiceUnavailable
	}
	h.write(w, status, h.pages.status, data)
}

// statusNow is the status for those who look on. With an error there is a page
// nevertheless, which says so.
func (h *Handler) statusNow(r *http.Request) (statusData, error) {
	data, _ := h.status(r.Context())
	data.May = h.mayOf(r)
	return data, nil
}

// importsData is the list of imports.
type importsData struct {
	frame
	Imports []importView
}

const importsListed = 50

func (h *Handler) importsPage(w http.ResponseWriter, r *http.Request) {
	v, err := h.view(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	all, err := h.imports(r.Context(), v.Overview, importsListed, importsListed)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	f := h.frame("Imports", "imports", "", v, h.concerns(v, nil))
	f.May, f.Said = h.mayOf(r), said(w, r)
	h.write(w, http.StatusOK, h.pages.imports, importsData{f, all})
}

// importData is the page of one import.
type importData struct {
	frame
	importView
	State   string // The state that the rows are in; "" for all.
	Page    rowsPage
	Outcome bool // The outcomes can be had.
}

func (h *Handler) importPage(w http.ResponseWriter, r *http.Request) {
	data, err := h.importOf(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	state, err1 := stateParameter(r)
	from, err2 := fromParameter(r)
	if err1 != nil || err2 != nil {
		http.Error(w, "state or from is not what this page has linked to", http.StatusBadRequest)
		return
	}
	if data.Page, err = h.rows(r.Context(), data.importView, state, from); err != nil {
		h.fail(w, r, err)
		return
	}
	data.Said = said(w, r)
	h.write(w, http.StatusOK, h.pages.one, data)
}

// Now says which of the two it is.
func (d importData) Now() time.Time { return d.frame.Now }

// importOf reads what is above the rows.
func (h *Handler) importOf(r *http.Request) (importData, error) {
	id := r.PathValue("id")
	v, err := h.view(r.Context())
	if err != nil {
		return importData{}, err
	}
	i, err := h.loadImport(r.Context(), v.Overview, id)
	if err != nil {
		return importData{}, err
	}
	events := "/imports/" + url.PathEscape(id) + "/events"
	state := ""
	if s, err := stateParameter(r); err == nil && s != nil {
		state = s.String()
		events += "?state=" + state
	}
	f := h.frame("Import "+id, "imports", events, v, h.concerns(v, nil))
	f.May = h.mayOf(r)
	return importData{frame: f, importView: i, State: state, Outcome: f.May.Reveal}, nil
}
