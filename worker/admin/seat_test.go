package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// withSeat is a page with the admin token, an audit log and all acts.
func withSeat(c *Config) {
	withToken(c)
	l := c.Ledger
	c.Access.Store = access.NewStore(l.Redis(), ledger.KeyPrefix(l.Instance()))
	c.Acts = Acts{
		Invite: func(ctx context.Context, i tasks.Invite) (string, error) {
			_, _, err := l.Admit(ctx, ledger.Now, []tasks.Invite{i})
			return i.ID, err
		},
		Revoke: func(ctx context.Context, id string) (string, error) {
			_, err := l.Cancel(ctx, ledger.Now, id)
			return "A worker will revoke it.", err
		},
		Renew: func(ctx context.Context, ids ...string) (string, error) {
			r, err := l.RequestMany(ctx, ledger.Now, "", []tasks.State{tasks.Pending, tasks.Expired, tasks.Revoked}, true, ids...)
			return r.ID, err
		},
		RevokeImport: func(ctx context.Context, id string) (string, error) {
			r, err := l.RequestMany(ctx, ledger.Now, id, []tasks.State{tasks.Queued, tasks.Pending}, false)
			for name := r.ID; err == nil && !r.Many.Begun(); {
				r, err = l.SweepRequest(ctx, ledger.Now, name)
			}
			if isNotFound(err) {
				err = nil // It is done.
			}
			return r.ID, err
		},
	}
}

// post presses a button of the page without a browser.
func (s *stage) post(path string, form url.Values) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(r)
}

// TestTheSearchFindsAllKindsOfNames, and no answer or address of a page holds what was
// searched for.
func TestTheSearchFindsAllKindsOfNames(t *testing.T) {
	s := newStage(t, withSeat)
	ids := append(s.admit("spring", people(0, 3)...), s.admit("", "twice@example.com", "twice@example.com")...)
	s.await(tasks.Pending, 4)
	records, err := s.ledger.Get(t.Context(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"person1@example.com": "/invites/" + ids[1], " <Person1@Example.com> ": "/invites/" + ids[1], ids[2]: "/invites/" + ids[2],
		records[0].InvitationID: "/invites/" + ids[0], "spring": "/imports/spring", "nobody@example.com": "", "no@body@": "", "nothing": "", "a b": "", "'\"><script>": "",
	} {
		res, body := s.post("/search", url.Values{"q": {text}})
		if got := res.Header.Get("Location"); got != want || want == "" && res.StatusCode != http.StatusNotFound || strings.Contains(body, "person1@") {
			t.Errorf("%s: got %s to %q, want %q", text, res.Status, got, want)
		}
	}
	if res, body := s.post("/search", url.Values{"q": {"twice@example.com"}}); res.StatusCode != http.StatusOK || !strings.Contains(body, ids[3]) || !strings.Contains(body, ids[4]) || strings.Contains(body, "twice@") {
		t.Errorf("two for one person: %s", res.Status)
	}
}

// TestWhoMayDoWhat: a viewer sees masked pages without buttons, an operator acts and
// reveals nothing, an admin does all; a token of scope own, or a revoked one, sees nothing.
func TestWhoMayDoWhat(t *testing.T) {
	s := newStage(t, withSeat)
	id := s.admit("spring", "ada@example.com")[0]
	s.await(tasks.Pending, 1)
	store := access.NewStore(s.redis, ledger.KeyPrefix(s.ledger.Instance()))
	ask := func(bearer, method, path string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		res, body := s.do(r)
		return res.StatusCode, body
	}
	for name, c := range map[string]struct {
		role                         access.Role
		scope                        access.Scope
		page, act, reveal, log, open int
	}{
		"viewer":   {access.Viewer, access.Instance, 200, 403, 403, 403, 403},
		"operator": {access.Operator, access.Instance, 200, 303, 403, 403, 403},
		"admin":    {access.Admin, access.Instance, 200, 303, 200, 200, 200},
		"own":      {access.Admin, access.Own, 403, 403, 403, 403, 403},
	} {
		bearer, token, err := store.Create(t.Context(), time.Now(), name, c.role, c.scope)
		if err != nil {
			t.Fatal(err)
		}
		code, body := ask(bearer, http.MethodGet, "/invites/"+id)
		if code != c.page || strings.Contains(body, "/revoke") != (c.act == 303) || strings.Contains(body, "/reveal") != (c.reveal == 200) || strings.Contains(body, `href="/audit"`) != (c.log == 200) || strings.Contains(body, "ada@") {
			t.Errorf("%s: the page answers %d: %s", name, code, body)
		}
		for path, want := range map[string]int{"/lanes/import/resume": c.act, "/invites/" + id + "/reveal": c.reveal} {
			if code, body := ask(bearer, http.MethodPost, path); code != want || strings.Contains(body, "ada@") != (want == 200) {
				t.Errorf("%s: POST %s answers %d, want %d", name, path, code, want)
			}
		}
		for path, want := range map[string]int{"/audit": c.log, "/imports/spring/outcomes.csv": c.open} {
			if code, _ := ask(bearer, http.MethodGet, path); code != want {
				t.Errorf("%s: GET %s answers %d, want %d", name, path, code, want)
			}
		}
		if _, err := store.Revoke(t.Context(), token.ID); err != nil {
			t.Fatal(err)
		}
		if code, _ := ask(bearer, http.MethodGet, "/"); code != http.StatusUnauthorized {
			t.Errorf("%s: revoked, the page answers %d", name, code)
		}
	}
}

// TestASupportPersonsAfternoon is played in a browser: find one address, see why she was
// not invited, fix it, invite another, pause a lane, take a list back, and see in the
// audit log who did all that.
func TestASupportPersonsAfternoon(t *testing.T) {
	s := newStage(t, withSeat)
	s.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 400, Code: "request_body_invalid"}, 1)
	s.admit("", "ada.lovelace@example.com")
	s.await(tasks.Parked, 1)
	s.admit("spring", people(0, 150)...)
	s.await(tasks.Pending, 150)
	b := newBrowser(t, s.server.URL)
	b.do(chromedp.Navigate("about:blank"))
	b.logIn("support", testToken)
	b.as(looks[0])

	b.open(s.server.URL + "/")
	b.typeInto(".search input", "ada.lovelace@example.com")
	b.submit(".search")
	if at := b.address(); !strings.Contains(at, "/invites/inq_") || strings.Contains(at, "lovelace") {
		t.Errorf("the search leads to %s", at)
	}
	text := b.text("main")
	for _, want := range []string{"parked", "What to do", "Accepted by inviteq.", "Put aside for a person to decide.", "a***@e***"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "lovelace") {
		t.Error("the page shows the address")
	}
	for _, l := range looks {
		b.as(l)
		b.shoot("invite-parked-" + l.name)
	}
	b.as(looks[0])
	b.submit("form[action$=reveal]")
	if got := b.text(".address"); got != "ada.lovelace@example.com" {
		t.Errorf("revealed: %s", got)
	}
	b.submit("form[action$=release]")
	if got := b.text(".said"); !strings.Contains(got, "1 invite queued again") {
		t.Errorf("released: %s", got)
	}
	s.await(tasks.Pending, 151)
	here := b.address()
	b.open(here + "?clerk#clerk")
	if got := b.text("#clerk"); !strings.Contains(got, "pending") || !strings.Contains(got, "this invite's") {
		t.Errorf("at Clerk: %s", got)
	}
	for _, l := range looks {
		b.as(l)
		b.shoot("invite-sent-" + l.name)
	}
	b.as(looks[0])

	b.open(s.server.URL + "/invites?state=pending")
	if total := b.figure("[data-figure=total]"); total != 151 {
		t.Errorf("the counts add up to %d, want 151", total)
	}
	for _, l := range looks {
		b.as(l)
		b.shoot("invites-" + l.name)
	}
	b.as(looks[0])
	b.do(chromedp.Click(chromedp.CSS("input[name=all]")))
	b.do(chromedp.Click(chromedp.CSS("button[value=revoke]")))
	eventually(t, func() error {
		if got := b.text("main"); !strings.Contains(got, "must be typed") || !strings.Contains(got, "151") {
			return fmt.Errorf("unconfirmed: %.300s", got)
		}
		return nil
	})
	o, err := s.ledger.Overview(t.Context(), ledger.Now)
	if err != nil || o.Revoking != 0 {
		t.Errorf("%d revokes without a confirmation, %v", o.Revoking, err)
	}

	b.open(s.server.URL + "/")
	b.submit("form[action='/lanes/import/pause']")
	if got := b.text(".said"); got != "The import lane is paused." {
		t.Errorf("paused: %s", got)
	}
	s.admit("wrong-list", people(500, 620)...)
	b.open(s.server.URL + "/imports/wrong-list")
	for _, l := range looks {
		b.as(l)
		b.shoot("import-acts-" + l.name)
	}
	b.as(looks[0])
	b.typeInto("form[action$=revoke] input", "120")
	b.submit("form[action$=revoke]")
	s.await(tasks.Canceled, 120)

	b.open(s.server.URL + "/audit")
	log := b.text("main")
	for _, want := range []string{"reveal", "release", "pause lane", "revoke import", "wrong-list"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %q:\n%s", want, log)
		}
	}
	for _, l := range looks {
		b.as(l)
		b.shoot("audit-" + l.name)
	}
	b.clean()
}

// typeInto puts a text into a field.
func (b *browser) typeInto(selector, text string) {
	b.t.Helper()
	ask(b, chromedp.Evaluate[bool](fmt.Sprintf(`(() => { document.querySelector(%q).value = %q; return true; })()`, selector, text)))
}

// submit sends a form as its button does, and waits for the page that comes.
func (b *browser) submit(selector string) {
	b.t.Helper()
	mark := time.Now().UnixNano()
	ask(b, chromedp.Evaluate[bool](fmt.Sprintf(`(() => { window.before = "%d"; document.querySelector(%q).requestSubmit(); return true; })()`, mark, selector)))
	b.arrives(mark)
}

func (b *browser) arrives(mark int64) {
	b.t.Helper()
	eventually(b.t, func() error {
		there, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`document.readyState === "complete" && window.before !== "%d"`, mark)))
		if err == nil && !there {
			err = fmt.Errorf("no new page has come")
		}
		return err
	})
}

func (b *browser) address() string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string]("location.href"))
}
