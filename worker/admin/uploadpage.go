package admin

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// uploadData is the page of an upload.
type uploadData struct {
	frame
	ID, Name, Step, Fault string
	Columns               []columnView
	Fields                []string
	Found                 ListSurvey
	Forecast              *tasks.Forecast
	Accepted              ListAccepted
	Done                  int
	Holds                 []time.Duration
	Confirm               bool
}

type columnView struct {
	Name, Field string
	Ignored     bool
}

// fieldsOffered are what a column may be said to be.
var fieldsOffered = []string{"email_address", "ignore", "public_metadata", "redirect_url", "notify", "ignore_existing", "expires_in_days", "template_slug", "id", "lane", "not_before", "deadline"}

// Percent is how much of the list has been worked on.
func (d uploadData) Percent() int { return 100 * min(d.Done, d.Found.Good) / max(1, d.Found.Good) }

func (h *Handler) uploadOf(r *http.Request) (d uploadData, err error) {
	u, err := h.uploads.of(r)
	if err != nil {
		return d, err
	}
	_, f, err := h.open(r, "Upload", "imports", "/uploads/"+url.PathEscape(u.id)+"/events")
	if err != nil {
		return d, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	d = uploadData{
		frame: f, ID: u.id, Name: u.name, Step: u.step, Fault: u.fault, Found: u.found, Forecast: u.forecast, Accepted: u.accepted, Done: u.done,
		Holds: holds, Fields: fieldsOffered, Confirm: u.found.Good > confirmAbove,
	}
	for _, name := range u.columns {
		field := u.fields[name]
		if field != "" && !slices.Contains(d.Fields, field) {
			d.Fields = append(slices.Clone(d.Fields), field)
		}
		d.Columns = append(d.Columns, columnView{name, field, slices.Contains(u.found.Ignored, name)})
	}
	return d, nil
}
