package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/inviteq/inviteq/clerk/clerksim/javascript"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/webhook"
)

// axe-core (https://github.com/dequelabs/axe-core, MPL-2.0) looks for what keeps people with
// a screen reader, a keyboard or weak eyes out of a page. It is fetched for the tests, and
// stays in the checkout's .cache, which git ignores.
const (
	axeVersion  = "4.11.0"
	axeChecksum = "e9e5863c33a874f09bc01acd9234b7e3c871479f5eef8802fa582544465e6d01" // SHA-256 of axe.min.js
)

// axeSource reads it. Without npm or a registry the test is skipped, unless
// INVITEQ_TEST_JS=1 demands it.
func axeSource(t *testing.T) string {
	t.Helper()
	path := filepath.Join(javascript.Install(t, "axe-core", axeVersion), "node_modules", "axe-core", "axe.min.js")
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(source); hex.EncodeToString(sum[:]) != axeChecksum {
		t.Fatalf("%s is not the axe-core that was pinned: remove it", path)
	}
	return string(source)
}

// accessible fails for what axe-core calls serious or critical on the page.
func (b *browser) accessible(axe, name string) {
	b.t.Helper()
	part := "document" // Of asynqmon's page only the frame is ours.
	if strings.Contains(b.address(), monitoringPath) {
		part = `"nav.inviteq"`
	}
	found := ask(b, chromedp.Evaluate[[]string](axe+`;
		axe.run(`+part+`, { resultTypes: ["violations"] }).then((r) => r.violations
			.filter((v) => v.impact === "serious" || v.impact === "critical")
			.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 150)).join(" | ")))`,
		chromedp.EvalAwaitPromise))
	for _, what := range found {
		b.t.Errorf("%s: %s", name, what)
	}
}

// bring uploads a list, and returns where its page is.
func (s *stage) bring(list string) string {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("list", "team.csv")
	if err == nil {
		_, err = file.Write([]byte(list))
	}
	if err := errors.Join(err, form.Close()); err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.server.URL+"/uploads", &body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Content-Type", form.FormDataContentType())
	res, answer := s.do(r)
	if res.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("the list was not taken: %s: %s", res.Status, answer)
	}
	return res.Header.Get("Location")
}

// reconciled lets a worker find what somebody else has made.
func (s *stage) reconciled(address string) {
	s.t.Helper()
	if _, err := s.sim.CreateForeign(address); err != nil {
		s.t.Fatal(err)
	}
	if res, body := s.post("/reconciliation/full", nil); res.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("%s: %s", res.Status, body)
	}
	eventually(s.t, func() error {
		if !strings.Contains(s.page("/reconciliation?kind=full"), "foreign") {
			return errors.New("the worker has found nothing")
		}
		return nil
	})
}

// TestEveryPage: with no invites, with three, and, where INVITEQ_TEST_PAGES=all asks for it
// (make pages), with 50,000: wide and narrow, light and dark, axe-core finds nothing
// serious, no page scrolls sideways, the console is quiet, and nothing comes from elsewhere.
func TestEveryPage(t *testing.T) {
	axe := axeSource(t)
	sizes, all := []int{3}, os.Getenv("INVITEQ_TEST_PAGES") == "all"
	if all {
		sizes = []int{0, 3, 50_000}
	}
	for _, size := range sizes {
		t.Run(fmt.Sprintf("invites=%d", size), func(t *testing.T) {
			receiver := httptest.NewServer(http.NotFoundHandler())
			defer receiver.Close()
			hook, err := webhook.New(webhook.Config{URL: receiver.URL, AllowPrivate: true, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456="}})
			if err != nil {
				t.Fatal(err)
			}
			s := newStageWith(t, hook, withSeat, withLists(nil), func(c *Config) { c.Webhook = hook })
			b := newBrowser(t, s.server.URL)
			b.do(chromedp.Navigate("about:blank"))
			b.logIn("support", testToken)
			paths := []string{"/", "/invites", "/invites?state=pending", "/imports", "/charts", "/audit", "/sign-in", "/nothing", "/reconciliation", "/webhooks", "/monitoring/"}
			if size > 0 {
				id := s.admit("", "ada@example.com")[0]
				if err := access.NewStore(s.redis, ledger.KeyPrefix(s.ledger.Instance())).Note(t.Context(), access.Act{Who: "admin", Via: access.ViaPage, What: "reveal", About: id}); err != nil {
					t.Fatal(err)
				}
				s.admit("spring", people(0, size-1)...)
				s.await(tasks.Pending, 3)
				pastMonth(t, s.ledger)
				paths = append(paths, "/invites/"+id, "/imports/spring", "/imports/spring?state=pending", "/charts?span=30d", s.bring("Name,Kontakt,Notiz\nAda,ada@example.org,x\nBad,none,y\n"), s.bring("Name,Kunde\nAda,1\n"), "/webhooks?state=failing")
				s.reconciled("stranger@example.org")
			}
			for n, path := range paths {
				name := "every-" + fmt.Sprint(size) + strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(path)
				if id := max(strings.LastIndex(name, "inq_"), strings.LastIndex(name, "up_")); id > 0 {
					name = name[:id] + "one"
				}
				as := looks
				if !all { // one look at each page: wide and light, or narrow and dark
					as = []look{looks[3*(n%2)]}
				}
				for _, l := range as {
					b.as(l)
					b.open(s.server.URL + path)
					b.shoot(name + "-" + l.name)
					b.accessible(axe, name+"-"+l.name)
				}
				if strings.Contains(b.says(), "@example.com") {
					t.Errorf("%s shows an address", path)
				}
			}
			b.mu.Lock()
			var bad []string
			for _, line := range b.console {
				if !strings.Contains(line, "/nothing") { // its answer is 404, and Chromium notes that
					bad = append(bad, line)
				}
			}
			b.console = bad
			b.mu.Unlock()
			b.clean()
		})
	}
}
