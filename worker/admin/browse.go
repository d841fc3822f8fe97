package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// browseData is the page of invites: those in a state, or those that a search has found.
type browseData struct {
	frame
	Counts []stateCount
	Total  int64
	State  string // "" after a search
	Count  int64  // in this state
	Reason string
	Ages   []ageLink
	Age    string
	Found  bool // by a search
	Rows   []browseRow
	Next   string
	First  bool
	Acts   []string // what can be done to the rows
}

type stateCount struct {
	State tasks.State
	Count int64
}

type ageLink struct{ Word, Label string }

type browseRow struct {
	ledger.Record
	ETA time.Time
}

// Now says which of the two it is.
func (d browseData) Now() time.Time { return d.frame.Now }

// Query is the address of the list without its page.
func (d browseData) Query() string {
	q := url.Values{"state": {d.State}}
	if d.Reason != "" {
		q.Set("reason", d.Reason)
	}
	if d.Age != "" {
		q.Set("age", d.Age)
	}
	return "?" + q.Encode()
}

// ages are how long ago invites may have changed at the latest.
var ages = []struct {
	word, label string
	d           time.Duration
}{{"", "any time", 0}, {"1h", "over an hour ago", time.Hour}, {"24h", "over a day ago", 24 * time.Hour}, {"168h", "over a week ago", 7 * 24 * time.Hour}}

// listing is which invites a list shows.
type listing struct {
	state  tasks.State
	reason tasks.Reason
	age    string
}

func listingOf(q url.Values) (listing, error) {
	l := listing{state: tasks.Pending, age: q.Get("age")}
	var err error
	if name := q.Get("state"); name != "" {
		if l.state, err = tasks.ParseState(name); err != nil {
			return l, err
		}
	}
	if word := q.Get("reason"); word != "" {
		if l.reason, err = tasks.ParseReason(word); err != nil {
			return l, err
		}
	}
	if !slices.ContainsFunc(ages, func(a struct {
		word, label string
		d           time.Duration
	}) bool {
		return a.word == l.age
	}) {
		return l, fmt.Errorf("age is not one that this page has linked to")
	}
	return l, nil
}

// part reads a part of the listing.
func (h *Handler) part(ctx context.Context, l listing, cursor string, limit int) (ledger.Page, error) {
	var wanted func(ledger.Record) bool
	if l.reason != "" {
		wanted = func(r ledger.Record) bool { return r.Reason == l.reason }
	}
	var before time.Time
	if age, err := time.ParseDuration(l.age); err == nil && age > 0 {
		before = h.cfg.Ledger.Time().Add(-age)
	}
	if l.state != tasks.Queued {
		return h.cfg.Ledger.ListNewest(ctx, l.state, cursor, before, limit, wanted)
	}
	all, began := ledger.Page{}, time.Now()
	for scanned := 0; scanned < rowsScanned && time.Since(began) < searchTime && len(all.Records) < limit; scanned += limit {
		p, err := h.cfg.Ledger.ListState(ctx, tasks.Queued, cursor, limit-len(all.Records))
		if err != nil {
			return all, err
		}
		for _, r := range p.Records {
			if r.State == tasks.Queued && (wanted == nil || wanted(r)) && (before.IsZero() || r.CreatedAt.Before(before)) {
				all.Records = append(all.Records, r)
			}
		}
		if all.Next = p.Next; p.Next == "" {
			break
		}
		cursor = p.Next
	}
	return all, nil
}

// browse is GET /invites.
func (h *Handler) browse(r *http.Request) (d browseData, err error) {
	q := r.URL.Query()
	l, err := listingOf(q)
	if err != nil {
		return d, refuse(http.StatusBadRequest, "state, reason or age is not what this page has linked to.")
	}
	v, f, err := h.open(r, "Invites", "invites", "")
	if err != nil {
		return d, err
	}
	o := v.Overview
	if !q.Has("state") { // Where something is to be done comes first.
		for _, s := range []tasks.State{tasks.Parked, tasks.Failed, tasks.Queued} {
			if o.States[s] > 0 {
				l.state = s
				break
			}
		}
	}
	p, err := h.part(r.Context(), l, q.Get("cursor"), rowsAPage)
	if err != nil {
		return d, err
	}
	d = browseData{
		frame: f, State: l.state.String(), Reason: string(l.reason), Age: l.age, Count: o.States[l.state], First: q.Get("cursor") == "",
	}
	d.Acts = actsOn(l.state, d.May)
	for _, s := range tasks.States {
		d.Counts = append(d.Counts, stateCount{s, o.States[s]})
		d.Total += o.States[s]
	}
	for _, a := range ages {
		d.Ages = append(d.Ages, ageLink{a.word, a.label})
	}
	if p.Next != "" {
		d.Next = d.Query() + "&" + url.Values{"cursor": {p.Next}}.Encode()
	}
	return d, h.fill(r, &d, p.Records)
}

// found is what a search has found.
func (h *Handler) found(r *http.Request, records []ledger.Record) (d browseData, err error) {
	_, f, err := h.open(r, "Found", "invites", "")
	if err != nil {
		return d, err
	}
	d = browseData{frame: f, Found: true, First: true, Count: int64(len(records))}
	return d, h.fill(r, &d, records)
}

func (h *Handler) fill(r *http.Request, d *browseData, records []ledger.Record) error {
	etas, err := h.cfg.Ledger.ETAs(r.Context(), ledger.Now, records...)
	for i := range etas {
		d.Rows = append(d.Rows, browseRow{records[i], etas[i]})
	}
	return err
}

// mostAtOnce is how many invites one press of a button may be about.
const mostAtOnce = 10_000

// bulk is POST /invites/selection: something is done to the invites that were chosen, or
// to all of the listing.
func (h *Handler) bulk(r *http.Request) (string, string, error) {
	form := r.PostForm
	l, err := listingOf(form)
	what := form.Get("act")
	if err != nil || !slices.Contains(actsOn(l.state, h.mayOf(r)), what) {
		return "", "", refuse(http.StatusBadRequest, "That cannot be done to invites that are %s.", form.Get("state"))
	}
	ids := form["id"]
	if form.Get("all") != "" {
		if ids, err = h.all(r.Context(), l); err != nil {
			return "", "", err
		}
	}
	switch {
	case len(ids) == 0:
		return "", "", refuse(http.StatusBadRequest, "No invite was chosen, so nothing was done.")
	case len(ids) > mostAtOnce:
		return "", "", refuse(http.StatusRequestEntityTooLarge, "This is about more than %s invites. Nothing was done: use the command line (inviteq %s), or take a part of them.", show.Thousands(mostAtOnce), what)
	}
	if err := confirmed(r, int64(len(ids))); err != nil {
		return "", "", err
	}
	said, err := h.perform(r, what, ids)
	return "/invites" + browseData{State: l.state.String(), Reason: string(l.reason), Age: l.age}.Query(), said, err
}

// all reads the ids of a listing, and one more than may be dealt with at once.
func (h *Handler) all(ctx context.Context, l listing) (ids []string, _ error) {
	for cursor := ""; ; {
		p, err := h.part(ctx, l, cursor, rowsAtOnce)
		if err != nil {
			return nil, err
		}
		for _, r := range p.Records {
			ids = append(ids, r.Invite.ID)
		}
		if cursor = p.Next; cursor == "" || len(ids) > mostAtOnce {
			return ids, nil
		}
	}
}

// trimmed is what a person has typed or pasted.
func trimmed(text string) string {
	return strings.TrimSpace(strings.Trim(text, "\u00a0\u200b\ufeff<>\"' \t\r\n"))
}
