package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// view is something that can be read.
type view struct {
	name, does string
	params     map[string]string
	of         func(sim *clerksim.Sim, q url.Values) any
}

var (
	byAddress = map[string]string{"email_address": "only of this address", "limit": "how many at most, 100 by default"}
	newest    = map[string]string{"limit": "how many at most, 100 by default"}
)

var views = []view{
	{"state", "Clerk's time, limits, switches, faults and totals.", nil, func(sim *clerksim.Sim, _ url.Values) any { return stateOf(sim) }},
	{"invitations", "All invitations there ever were, newest first.", byAddress, func(sim *clerksim.Sim, q url.Values) any { return invitationsOf(sim, q) }},
	{"mails", "All e-mails that would have been sent, newest first.", byAddress, func(sim *clerksim.Sim, q url.Values) any { return mailsOf(sim, q) }},
	{"calls", "All requests, newest first.", newest, func(sim *clerksim.Sim, q url.Values) any { return callsOf(sim, q) }},
	{"people", "Users, and who is blocked, suppressed or invited, by address.", newest, func(sim *clerksim.Sim, q url.Values) any { return peopleOf(sim, q) }},
}

func invitationsOf(sim *clerksim.Sim, q url.Values) []clerksim.Invitation {
	all := sim.Invitations()
	if a := q.Get("email_address"); a != "" {
		all = sim.ByAddress(a)
	}
	slices.Reverse(all)
	all = first(all, q)
	for i := range all {
		all[i] = shown(all[i])
	}
	return all
}

func mailsOf(sim *clerksim.Sim, q url.Values) []wireMail {
	links := make(map[string]string)
	for _, inv := range sim.Invitations() {
		links[inv.ID] = inv.URL
	}
	all := sim.MailLog()
	if a := q.Get("email_address"); a != "" {
		all = slices.DeleteFunc(all, func(m clerksim.Mail) bool { return !strings.EqualFold(m.Address, a) })
	}
	slices.Reverse(all)
	out := []wireMail{}
	for _, m := range first(all, q) {
		out = append(out, wireMail{m.Time.UTC(), m.Address, m.InvitationID, links[m.InvitationID], m.Foreign})
	}
	return out
}

func callsOf(sim *clerksim.Sim, q url.Values) []wireCall {
	all := sim.Calls()
	slices.Reverse(all)
	out := []wireCall{}
	for _, c := range first(all, q) {
		out = append(out, wireCallOf(c))
	}
	return out
}

func peopleOf(sim *clerksim.Sim, q url.Values) []clerksim.Person { return first(sim.People(), q) }

// first returns as much of a list as was asked for; it is never nil.
func first[T any](list []T, q url.Values) []T {
	limit := 100
	if q.Has("limit") {
		limit, _ = strconv.Atoi(q.Get("limit")) // it was checked
	}
	return append([]T{}, list[:min(limit, len(list))]...)
}

func (h *handler) read(w http.ResponseWriter, r *http.Request) {
	what := r.PathValue("what")
	i := slices.IndexFunc(views, func(v view) bool { return v.name == what })
	if i < 0 {
		fail(w, http.StatusNotFound, fmt.Errorf("there is no %q to read; GET /control/ lists what there is", what))
		return
	}
	q := r.URL.Query()
	for name, values := range q {
		n, err := strconv.Atoi(values[0])
		switch {
		case views[i].params[name] == "":
			fail(w, http.StatusBadRequest, fmt.Errorf("%s takes no %s", what, name))
			return
		case name == "limit" && (err != nil || n < 1):
			fail(w, http.StatusBadRequest, fmt.Errorf("limit %q: want a number of at least 1", values[0]))
			return
		}
	}
	reply(w, http.StatusOK, views[i].of(h.sim, q))
}

type state struct {
	Now         time.Time         `json:"now"` // Clerk's
	ClockOffset string            `json:"clock_offset"`
	Limits      map[string]string `json:"limits"`
	Switches    string            `json:"switches"` // those that are not at their default
	Faults      []string          `json:"faults"`
	Invitations map[string]int    `json:"invitations"` // by status
	Calls       map[string]int    `json:"calls"`       // by operation
	Throttled   map[string]int    `json:"throttled"`   // by endpoint
	Mails       int               `json:"mails"`
	MaxMails    int               `json:"max_mails"` // the most that one address got
	Users       int               `json:"users"`
}

func stateOf(sim *clerksim.Sim) state {
	cfg, stats := sim.Config(), sim.Stats()
	s := state{
		Now: sim.Now().UTC(), ClockOffset: sim.ClockOffset().String(), Switches: cfg.Switches.String(), Faults: []string{},
		Limits:      map[string]string{"single": cfg.Limits.Single.String(), "bulk": cfg.Limits.Bulk.String(), "other": cfg.Limits.Other.String()},
		Invitations: words(stats.Invitations), Calls: words(stats.Calls), Throttled: words(stats.Throttled),
		Mails: stats.Mails, MaxMails: stats.MaxMails, Users: stats.Users,
	}
	for _, r := range sim.Faults() {
		s.Faults = append(s.Faults, r.String())
	}
	return s
}

func words[K ~string](counts map[K]int) map[string]int {
	out := make(map[string]int, len(counts))
	for k, n := range counts {
		out[string(k)] = n
	}
	return out
}

// shown is an invitation with metadata as Clerk answers it.
func shown(i clerksim.Invitation) clerksim.Invitation {
	if i.PublicMetadata == nil {
		i.PublicMetadata = json.RawMessage("{}")
	}
	return i
}

type wireMail struct {
	Time         time.Time `json:"time"`
	EmailAddress string    `json:"email_address"`
	InvitationID string    `json:"invitation_id"`
	URL          string    `json:"url"` // the ticket link that the mail would have
	Foreign      bool      `json:"foreign"`
}

type wireCall struct {
	Time       time.Time   `json:"time"`
	Op         clerksim.Op `json:"op"`
	Status     int         `json:"status"` // 0: the connection broke
	Code       string      `json:"code,omitempty"`
	Throttled  bool        `json:"throttled,omitempty"`
	Fault      string      `json:"fault,omitempty"`
	Addresses  []string    `json:"email_addresses,omitempty"`
	Invitation string      `json:"invitation_id,omitempty"`
	Made       []string    `json:"made,omitempty"`
	Query      string      `json:"query,omitempty"`
	UserAgent  string      `json:"user_agent,omitempty"`
}

func wireCallOf(c clerksim.Call) wireCall {
	out := wireCall{
		Time: c.Time.UTC(), Op: c.Op, Status: c.Status, Code: c.Code, Throttled: c.Throttled,
		Addresses: c.Addresses, Invitation: c.InvitationID, Made: c.Made, Query: c.RawQuery, UserAgent: c.UserAgent,
	}
	if c.Fault != (clerksim.Fault{}) {
		out.Fault = clerksim.Rule{Fault: c.Fault}.String()
	}
	return out
}
