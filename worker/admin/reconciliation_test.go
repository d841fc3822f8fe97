package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestAReconciliationIsAskedFor in a browser, wide and narrow: it runs, its report says row
// by row what it has found, the counts add up, and what others have made is adopted with
// its number typed.
func TestAReconciliationIsAskedFor(t *testing.T) {
	s := newStage(t, withSeat)
	s.admit("spring", people(0, 30)...)
	s.await(tasks.Pending, 30)
	for n := range 120 {
		if _, err := s.sim.CreateForeign(fmt.Sprintf("stranger%d@example.org", n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{"person3@example.com", "person4@example.com"} {
		if err := s.sim.Accept(address); err != nil {
			t.Fatal(err)
		}
	}
	b := newBrowser(t, s.server.URL)
	b.do(chromedp.Navigate("about:blank"))
	b.logIn("support", testToken)
	all := func(name string) {
		t.Helper()
		for _, l := range []look{looks[0], looks[3]} {
			b.as(l)
			b.shoot(name + "-" + l.name)
		}
		b.as(looks[0])
	}
	count := func(of string) int64 { return b.figure("[data-count=" + of + "]") }

	// While another one goes on, that of a person waits for it.
	release, held := func() {}, false
	eventually(t, func() (err error) {
		if release, held, err = s.ledger.Hold(t.Context(), "reconcile", time.Minute); err == nil && !held {
			err = fmt.Errorf("the worker's own pass goes on")
		}
		return err
	})
	b.as(looks[2])
	b.open(s.server.URL + "/reconciliation")
	b.submit("form[action$=full]")
	b.shows("A worker compares ledger and Clerk")
	b.shows("waits (another pass is going on)")
	if res, body := s.post("/reconciliation/recent", url.Values{}); res.StatusCode != http.StatusConflict || !strings.Contains(body, "under way") {
		t.Errorf("a second one: %s", res.Status)
	}
	release()
	eventually(t, func() error {
		if got := count("foreign"); got != 120 {
			return fmt.Errorf("%d are foreign", got)
		}
		return nil
	})
	b.shows("pending→accepted, as Clerk says")
	if scanned, same := b.figure("table [data-figure=scanned]"), count("same"); scanned != 150 || same != 28 {
		t.Errorf("%d scanned, %d the same", scanned, same)
	}
	rows := func() []string {
		return ask(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("[data-table=rows] tbody tr")].map((r) => r.innerText)`))
	}
	if got := rows(); len(got) != rowsAPage || !strings.HasPrefix(got[0], "settled\tp***@e***\tpending\taccepted\t") || !strings.Contains(got[0], "inq_") || !strings.HasPrefix(got[2], "foreign\ts***@e***\t–\tpending\t") {
		t.Errorf("%d rows: %q", len(got), got)
	}
	all("reconciliation")
	b.click("[data-table=counts] a[href*='of=foreign']")
	b.shows("Differences: foreign")
	for range 2 {
		b.click("a[rel=next]")
	}
	eventually(t, func() error {
		if n := len(rows()); n != 20 {
			return fmt.Errorf("the last page has %d rows", n)
		}
		return nil
	})

	eventually(t, func() error { // The report may be that of the worker's own pass.
		asked, err := s.inspector().GetTaskInfo(s.queues.Control, tasks.AskedPass)
		if err == nil && asked.State != asynq.TaskStateCompleted {
			err = fmt.Errorf("the pass that was asked for is %s", asked.State)
		}
		return err
	})

	// Their number must be typed; then they are in the ledger, and the rows say so.
	if res, body := s.post("/reconciliation/adopt", url.Values{"confirm": {"12"}}); res.StatusCode != http.StatusOK || !strings.Contains(body, "must be typed") {
		t.Errorf("unconfirmed: %s", res.Status)
	}
	b.as(looks[2])
	b.open(s.server.URL + "/reconciliation?kind=full")
	b.typeInto("form.adopt input", "120")
	b.do(chromedp.WaitVisible(chromedp.CSS(".live.on"))) // What is typed stays when the page becomes live.
	b.submit("form.adopt")
	eventually(t, func() error {
		if got := count("adopted"); got != 120 {
			return fmt.Errorf("the page says %d adopted", got)
		}
		return nil
	})
	o, err := s.ledger.Overview(t.Context(), ledger.Now)
	if err != nil || o.States[tasks.Pending] != 148 {
		t.Errorf("%d are pending, %v", o.States[tasks.Pending], err)
	}
	b.open(s.server.URL + "/reconciliation?of=foreign")
	b.shows("adopted since")
	all("reconciliation-adopted")
	b.click("[data-table=rows] a")
	b.shows("s***@e***")
	if strings.Contains(b.says(), "@example.") {
		t.Error("a page shows an address")
	}
	acts, err := access.NewStore(s.redis, ledger.KeyPrefix(s.ledger.Instance())).LastActs(t.Context(), 2)
	if err != nil || len(acts) != 2 || acts[0].What != "adopt" || acts[0].Count != 120 || acts[0].Who != "admin" || acts[1].What != "reconcile" {
		t.Errorf("the audit log has %+v, %v", acts, err)
	}
	if res, _ := s.post("/reconciliation/adopt", url.Values{}); res.StatusCode != http.StatusConflict {
		t.Errorf("to adopt once more: %s", res.Status)
	}
	b.clean()
}
