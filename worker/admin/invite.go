package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// inviteData is the page of one invite.
type inviteData struct {
	frame
	ledger.Story
	Address string // masked, or whole if it was revealed
	Open    bool   // it was
	Means   string
	Why     string
	Do      string
	Acts    []string
	Calls   []ledger.Call
	Others  int             // further invites for the person
	AtClerk *[]clerkInvited // what Clerk says, if it was asked
	Asked   string          // why it could not be, if so
}

// clerkInvited is an invitation at Clerk.
type clerkInvited struct {
	ID, Status string
	CreatedAt  time.Time
	Ours       bool
}

// Now says which of the two it is.
func (d inviteData) Now() time.Time { return d.frame.Now }

// reveal is POST /invites/{id}/reveal: the page with the whole address. It stands in the
// audit log before it is shown.
func (h *Handler) reveal(w http.ResponseWriter, r *http.Request) {
	if !h.mayOf(r).Reveal {
		h.say(w, r, http.StatusForbidden, "Not permitted", "Only an admin sees addresses: sign in with the admin token.")
		return
	}
	if err := h.note(r, "reveal", r.PathValue("id"), 1); err != nil {
		h.fail(w, r, err)
		return
	}
	h.cfg.Log.Info().Str("invite", r.PathValue("id")).Str("who", caller(r).Name).Msg("an address was revealed")
	d, err := h.inviteOf(r)
	if err == nil {
		d.Address, d.Open = d.Record.Invite.EmailAddress.Raw(), true
	}
	h.show(w, r, h.pages.invite, d, err)
}

// inviteOf is GET /invites/{id}.
func (h *Handler) inviteOf(r *http.Request) (d inviteData, err error) {
	id := r.PathValue("id")
	if _, d.frame, err = h.open(r, "Invite "+id, "invites", ""); err != nil {
		return d, err
	}
	if d.Story, err = h.cfg.Ledger.Story(r.Context(), ledger.Now, id); err != nil {
		return d, err
	}
	rec := d.Record
	d.Means, d.Why = rec.State.Entry().Means, rec.Reason.Entry().Means
	d.Do = tasks.Advice(rec.State, rec.Reason)
	d.Acts = actsOn(rec.State, d.May)
	d.Address = rec.Invite.EmailAddress.String()
	people, err := h.cfg.Ledger.FindAddress(r.Context(), rec.Invite.EmailAddress)
	if err != nil {
		return d, err
	}
	d.Others = len(people) - 1
	calls, err := h.cfg.Ledger.Calls(r.Context(), rec)
	d.Calls = calls[id]
	if r.URL.Query().Has("clerk") {
		d.AtClerk, d.Asked = h.askClerk(r, rec)
	}
	return d, err
}

// askClerk reads what Clerk has for the person.
func (h *Handler) askClerk(r *http.Request, rec ledger.Record) (*[]clerkInvited, string) {
	if h.cfg.Clerk == nil {
		return nil, "This process has no key for Clerk."
	}
	d, err := h.cfg.Ledger.Spend(r.Context(), ledger.Now)
	if err != nil || !d.Allowed {
		return nil, "No read can be spared at the moment: try again in some seconds."
	}
	e := rec.Invite.EmailAddress
	page, err := h.cfg.Clerk.List(r.Context(), clerk.ListOptions{Statuses: clerk.AllStatuses(), Query: e.Raw(), OrderBy: "-created_at", Limit: 100})
	if err != nil {
		return nil, "Clerk could not be asked (" + clerk.KindOf(err).String() + ")."
	}
	found := []clerkInvited{}
	for _, inv := range page.Data {
		if tasks.EmailKey(inv.EmailAddress) == e.Key() {
			found = append(found, clerkInvited{inv.ID, string(inv.Status), inv.CreatedAt, inv.ID == rec.InvitationID})
		}
	}
	return &found, ""
}

// idLike reports whether a text may be an id.
func idLike(text string) bool { return tasks.CheckID(text) == nil }

// search is POST /search: the text may be an address, so it stands in no URL.
func (h *Handler) search(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		h.say(w, r, http.StatusBadRequest, "Not understood", "The form is too large, or broken off.")
		return
	}
	text := trimmed(r.PostForm.Get("q"))
	location, records, err := h.find(r, text)
	switch {
	case err != nil:
		h.fail(w, r, err)
	case location != "":
		http.Redirect(w, r, location, http.StatusSeeOther) //nolint:gosec // find makes it of an id, under a path of ours
	case len(records) == 0:
		h.say(w, r, http.StatusNotFound, "Not found", "Nothing is known of that. The search knows whole addresses, ids of inviteq and of Clerk (inv_…), imports, and the Idempotency-Keys of tokens that see the whole instance. Settled invites are forgotten after their retention.")
	default:
		d, err := h.found(r, records)
		h.show(w, r, h.pages.invites, d, err)
	}
}

// find returns where a text leads, or which invites it means.
func (h *Handler) find(r *http.Request, text string) (location string, records []ledger.Record, err error) {
	l := h.cfg.Ledger
	switch {
	case text == "":
		return "/invites", nil, nil
	case strings.Contains(text, "@"):
		var email tasks.Email
		if email, err = tasks.ParseEmail(text); err == nil {
			records, err = l.FindAddress(r.Context(), email)
		} else {
			err = nil // It is nobody's.
		}
	case idLike(text):
		if records, err = l.Get(r.Context(), text); err == nil && len(records) == 0 {
			var ids map[string]string
			if ids, err = l.FindInvitations(r.Context(), text); err == nil && ids[text] != "" {
				records, err = l.Get(r.Context(), ids[text])
			}
		}
		if err == nil && len(records) == 0 {
			if _, err = l.Import(r.Context(), text); err == nil {
				return "/imports/" + url.PathEscape(text), nil, nil
			} else if isNotFound(err) {
				err = nil
			}
		}
	}
	if err == nil && len(records) == 1 {
		location = "/invites/" + url.PathEscape(records[0].Invite.ID)
	}
	return location, records, err
}
