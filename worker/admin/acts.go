package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// Acts are what a producer can do, for the people who look at the pages. Each may be
// nil: then the pages do not offer it.
type Acts struct {
	Invite       func(ctx context.Context, i tasks.Invite) (id string, err error)
	Revoke       func(ctx context.Context, target string) (said string, err error)
	Renew        func(ctx context.Context, ids ...string) (request string, err error)
	RevokeImport func(ctx context.Context, importID string) (request string, err error)
	OpenList     OpenList
}

// refusal is an error whose text is for the person who has asked.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// act makes a handler of something that a person does by pressing a button. It returns
// where to go on and what was done, which is shown there; an operator's role at least is
// needed, and the audit log has a line before anything is done.
func (h *Handler) act(do func(r *http.Request) (location, said string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if who := caller(r); !who.Acts() {
			h.say(w, r, http.StatusForbidden, "Not permitted", fmt.Sprintf("This takes the role operator, and you are here as %s (%s).", who.Name, who.Role))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			h.say(w, r, http.StatusBadRequest, "Not understood", "The form is too large, or broken off.")
			return
		}
		location, said, err := do(r)
		h.forgetSnapshot()
		if err != nil {
			h.excuse(w, r, "Not done", err)
			return
		}
		tell(w, r, url.QueryEscape(said), 30)
		http.Redirect(w, r, location, http.StatusSeeOther)
	}
}

const (
	maxForm    = 8 << 20
	saidCookie = "inviteq_said" // what was done, for the page that comes next: no address
)

// note writes a line of the audit log. What cannot be noted is not done.
func (h *Handler) note(r *http.Request, what, about string, count int) error {
	who := caller(r)
	if h.cfg.Access.Store == nil {
		return nil
	}
	return h.cfg.Access.Store.Note(r.Context(), access.Act{
		Who: who.Name, TokenID: who.ID, Via: access.ViaPage, Remote: remoteOf(r), What: what, About: about, Count: count,
	})
}

// tell leaves a word for the page that comes next.
func tell(w http.ResponseWriter, r *http.Request, text string, seconds int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // on this machine the pages may be without TLS, and it holds no secret
		Name: saidCookie, Value: text, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
}

type saidKey struct{}

// withSaid takes what was done from the request that comes after it, for its page.
func withSaid(w http.ResponseWriter, r *http.Request) *http.Request {
	c, err := r.Cookie(saidCookie)
	if err != nil {
		return r
	}
	tell(w, r, "", -1)
	text, err := url.QueryUnescape(c.Value)
	if err != nil || len(text) > 500 {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), saidKey{}, string(tasks.Mask([]byte(text)))))
}

func saidBefore(r *http.Request) string {
	text, _ := r.Context().Value(saidKey{}).(string)
	return text
}

// say shows a page with one message.
func (h *Handler) say(w http.ResponseWriter, r *http.Request, status int, title, message string) {
	_, f, err := h.open(r, title, "", "")
	if err != nil {
		f = frame{Title: title, Version: h.cfg.Version, Now: time.Now(), May: h.mayOf(r)}
	}
	h.write(w, status, h.pages.plain, plainData{f, message})
}

// may is what the person who looks may do: a page shows nothing else.
type may struct {
	Act, Reveal, Audit, SignedIn        bool
	Invite, Revoke, Renew, Stop, Upload bool // what this worker can do for who may act
	Name                                string
}

func (h *Handler) mayOf(r *http.Request) may {
	who := caller(r)
	_, err := r.Cookie(h.signedIn.name)
	a, acts := h.cfg.Acts, who.Acts()
	return may{
		Act: acts, Reveal: who.Manages(), Audit: who.Manages() && h.cfg.Access.Store != nil, Name: who.Name, SignedIn: err == nil,
		Invite: acts && a.Invite != nil, Revoke: acts && a.Revoke != nil, Renew: acts && a.Renew != nil, Stop: acts && a.RevokeImport != nil, Upload: acts && a.OpenList != nil,
	}
}

// pauseLane is POST /lanes/{lane}/{verb}.
func (h *Handler) pauseLane(r *http.Request) (string, string, error) {
	lane, err := tasks.ParseLane(r.PathValue("lane"))
	verb := r.PathValue("verb")
	if err != nil || verb != "pause" && verb != "resume" {
		return "", "", refuse(http.StatusNotFound, "There is no such lane.")
	}
	if err := h.note(r, verb+" lane", lane.String(), 0); err != nil {
		return "", "", err
	}
	return "/", fmt.Sprintf("The %s lane is %sd.", lane, verb), h.setPaused(r, lane, verb == "pause")
}

// pauseImport is POST /imports/{id}/{verb}: pause, resume or revoke.
func (h *Handler) pauseImport(r *http.Request) (string, string, error) {
	id, verb := r.PathValue("id"), r.PathValue("verb")
	i, err := h.cfg.Ledger.Import(r.Context(), id)
	if err != nil {
		return "", "", err
	}
	to := "/imports/" + url.PathEscape(id)
	if err := h.note(r, verb+" import", id, int(i.Total)); err != nil {
		return "", "", err
	}
	switch {
	case verb == "pause":
		return to, "The import is paused: no row of it is sent until it is resumed.", h.cfg.Ledger.PauseImport(r.Context(), ledger.Now, id)
	case verb == "resume":
		_, err := h.cfg.Ledger.ResumeImport(r.Context(), ledger.Now, id)
		return to, "The import goes on.", err
	case verb == "revoke" && h.cfg.Acts.RevokeImport != nil:
		if err := confirmed(r, i.Total); err != nil {
			return "", "", err
		}
		request, err := h.cfg.Acts.RevokeImport(r.Context(), id)
		return to, "The import is taken back (" + request + "): what was not sent is canceled, the rest is revoked as Clerk's limits permit.", err
	}
	return "", "", refuse(http.StatusNotFound, "There is no such thing to do.")
}

// confirmAbove is the number of invites above which it must be typed.
const confirmAbove = 100

// confirmed reports whether the number of invites was typed, if there are many. To be
// asked for it is no failure.
func confirmed(r *http.Request, n int64) error {
	if typed := r.PostForm.Get("confirm"); n > confirmAbove && typed != strconv.FormatInt(n, 10) {
		return refuse(http.StatusOK, "This is about %s, so their number must be typed. Nothing was done: go back, and type %d.", show.Count(n, "invite"), n)
	}
	return nil
}

// actsOn are what can be done to invites in a state, in the order of the buttons.
func actsOn(s tasks.State, m may) []string {
	var all []string
	if m.Act && slices.Contains(ledger.Requeueable, s) {
		if s == tasks.Parked {
			all = append(all, "release")
		} else {
			all = append(all, "retry")
		}
	}
	if m.Renew && (s == tasks.Pending || s == tasks.Expired || s == tasks.Revoked) {
		all = append(all, "renew")
	}
	if m.Revoke && (s.Open() || s == tasks.Pending || s == tasks.Parked || s == tasks.Failed) {
		all = append(all, "revoke")
	}
	return all
}

// explainAct says what a button does.
var explainAct = map[string]string{
	"retry":   "Queue it again, with no attempt counted.",
	"release": "Queue it again: you have looked, and it shall be sent.",
	"renew":   "Invite the person anew; what stands is revoked first.",
	"revoke":  "Take it back: it is not sent, or revoked at Clerk.",
}

// perform does something to invites, and says what came of it.
func (h *Handler) perform(r *http.Request, what string, ids []string) (string, error) {
	about := ""
	if len(ids) == 1 {
		about = ids[0]
	}
	if err := h.note(r, what, about, len(ids)); err != nil {
		return "", err
	}
	ctx := r.Context()
	switch {
	case what == "retry" || what == "release":
		queued := 0
		for part := range slices.Chunk(ids, 200) {
			done, err := h.cfg.Ledger.Requeue(ctx, ledger.Now, tasks.ReasonQueuedByHand, append(slices.Clone(ledger.Requeueable), tasks.Revoked), part...)
			if err != nil {
				return "", err
			}
			for _, is := range done {
				if is {
					queued++
				}
			}
		}
		return show.Count(queued, "invite") + " queued again.", nil
	case what == "renew" && h.cfg.Acts.Renew != nil:
		request, err := h.cfg.Acts.Renew(ctx, ids...)
		return "To be invited anew: " + show.Count(len(ids), "invite") + " (" + request + ").", err
	case what == "revoke" && h.cfg.Acts.Revoke != nil && len(ids) == 1:
		return h.cfg.Acts.Revoke(ctx, ids[0])
	case what == "revoke" && h.cfg.Acts.Revoke != nil:
		for n, id := range ids {
			if _, err := h.cfg.Acts.Revoke(ctx, id); err != nil {
				return "", fmt.Errorf("%d of %d are revoked: %w", n, len(ids), err)
			}
		}
		return show.Count(len(ids), "invite") + " canceled, or being revoked.", nil
	}
	return "", refuse(http.StatusNotFound, "There is no such thing to do.")
}

// actOnInvite is POST /invites/{id}/{verb}.
func (h *Handler) actOnInvite(r *http.Request) (string, string, error) {
	id, verb := r.PathValue("id"), r.PathValue("verb")
	records, err := h.cfg.Ledger.Get(r.Context(), id)
	if err != nil {
		return "", "", err
	}
	if len(records) == 0 {
		return "", "", ledger.ErrNotFound
	}
	if !slices.Contains(actsOn(records[0].State, h.mayOf(r)), verb) {
		return "", "", refuse(http.StatusConflict, "The invite is %s now, so there is nothing to %s.", records[0].State, verb)
	}
	said, err := h.perform(r, verb, []string{id})
	return "/invites/" + url.PathEscape(id), said, err
}

// inviteOne is POST /invites.
func (h *Handler) inviteOne(r *http.Request) (string, string, error) {
	if h.cfg.Acts.Invite == nil {
		return "", "", refuse(http.StatusNotFound, "There is no such thing to do.")
	}
	email, err := tasks.ParseEmail(r.PostForm.Get("email_address"))
	if err != nil {
		return "", "", refuse(http.StatusUnprocessableEntity, "The address %s. Nothing was done.", err)
	}
	i := tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: email, IgnoreExisting: r.PostForm.Get("ignore_existing") != ""}
	if err := h.note(r, "invite", i.ID, 1); err != nil {
		return "", "", err
	}
	id, err := h.cfg.Acts.Invite(r.Context(), i)
	return "/invites/" + url.PathEscape(id), "Accepted.", err
}
