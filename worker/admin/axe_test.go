package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/inviteq/inviteq/clerk/clerksim/javascript"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
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
	found := ask(b, chromedp.Evaluate[[]string](axe+`;
		axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations
			.filter((v) => v.impact === "serious" || v.impact === "critical")
			.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 150)).join(" | ")))`,
		chromedp.EvalAwaitPromise))
	for _, what := range found {
		b.t.Errorf("%s: %s", name, what)
	}
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
			s := newStage(t, withSeat, withLists(nil))
			b := newBrowser(t, s.server.URL)
			b.do(chromedp.Navigate("about:blank"))
			b.logIn("support", testToken)
			paths := []string{"/", "/invites", "/invites?state=pending", "/imports", "/charts", "/audit", "/sign-in", "/nothing"}
			if size > 0 {
				id := s.admit("", "ada@example.com")[0]
				if err := access.NewStore(s.redis, ledger.KeyPrefix(s.ledger.Instance())).Note(t.Context(), access.Act{Who: "admin", Via: access.ViaPage, What: "reveal", About: id}); err != nil {
					t.Fatal(err)
				}
				s.admit("spring", people(0, size-1)...)
				s.await(tasks.Pending, 3)
				pastMonth(t, s.ledger)
				paths = append(paths, "/invites/"+id, "/imports/spring", "/imports/spring?state=pending", "/charts?span=30d")
			}
			for n, path := range paths {
				name := "every-" + fmt.Sprint(size) + strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(path)
				if id := strings.LastIndex(name, "inq_"); id > 0 {
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
