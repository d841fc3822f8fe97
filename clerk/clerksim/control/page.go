package control

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"join":  strings.Join,
	"list":  func(words ...string) []string { return words },
}).Parse(pageText))

// pageData is what the page shows.
type pageData struct {
	State       state
	Invitations []clerksim.Invitation
	Mails       []wireMail
	Calls       []wireCall
	People      []clerksim.Person
	Actions     []action
	Done        string // the action that was just done
	Failed      error  // or what went wrong with it
}

// rowsMax is how many rows of each kind the page shows.
const rowsMax = "50"

// page shows everything at a glance, with a form for every action.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	h.show(w, http.StatusOK, r.URL.Query().Get("done"), nil)
}

// after answers a browser's form: the page by way of a redirect, so that a reload
// does not act again, or the page with what went wrong.
func (h *handler) after(w http.ResponseWriter, r *http.Request, action string, err error) {
	if err != nil {
		h.show(w, status(err), action, err)
		return
	}
	http.Redirect(w, r, "/?done="+url.QueryEscape(action), http.StatusSeeOther)
}

func (h *handler) show(w http.ResponseWriter, status int, done string, failed error) {
	q := url.Values{"limit": {rowsMax}}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, pageData{
		stateOf(h.sim), invitationsOf(h.sim, q), mailsOf(h.sim, q), callsOf(h.sim, q), peopleOf(h.sim, q), actions, done, failed,
	}); err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that has gone needs no answer
}

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write([]byte(styleText)) // a client that has gone needs no answer
}
