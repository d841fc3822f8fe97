package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
)

// furnish gives the worker something of everything to show: a settled import with
// rejections, one that runs, lone invites, and two days of deliveries.
func furnish(t *testing.T, s *stage) {
	t.Helper()
	s.sim.AddUser("person3@example.com")
	s.sim.AddUser("person17@example.com")
	s.admit("waitlist-may", people(0, 180)...)
	s.admit("", people(1000, 1004)...)
	s.await(tasks.Pending, 175)
	s.admit("partners-2026", people(2000, 3200)...)
	s.await(tasks.Pending, 240)
	s.pastDays(t)
}

// pastDays writes deliveries of the last two days into the counters, as settle.lua
// would have.
func (s *stage) pastDays(t *testing.T) {
	now := time.Now().UTC()
	prefix := "inviteq:{" + s.ledger.Instance() + "}:"
	for h := 1; h < 46; h++ {
		at := now.Add(-time.Duration(h) * time.Hour)
		n := int64(350 - 3*h%40)
		if hour := at.Hour(); hour < 6 {
			n = int64(12 + 5*hour)
		}
		if h > 30 {
			n = int64((h * 37) % 90)
		}
		key := fmt.Sprintf("%sday:%d", prefix, at.Unix()/86400)
		if err := s.redis.HIncrBy(t.Context(), key, fmt.Sprintf("%d:sending>pending", at.Hour()), n).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// agree compares the figures on the status page with those of the ledger, until
// they are the same: the page is a second or two behind.
func (s *stage) agree(b *browser) {
	s.t.Helper()
	eventually(s.t, func() error {
		shown := map[string]int64{
			"waiting": b.figure("[data-figure=waiting]"), "delivered": b.figure("[data-figure=delivered]"),
			"interactive": b.figure("[data-lane=interactive]"), "import": b.figure("[data-lane=import]"),
			"unknown": b.figure("[data-state=unknown]"),
		}
		for _, state := range outcomeOrder {
			shown[state.String()] = b.figure(".outcomes [data-state=" + state.String() + "]")
		}
		o, err := s.ledger.Overview(s.t.Context(), time.Now())
		if err != nil {
			return err
		}
		hours, err := s.ledger.Hours(s.t.Context(), time.Now(), 24)
		if err != nil {
			return err
		}
		want := map[string]int64{
			"interactive": o.Waiting[tasks.Interactive], "import": o.Waiting[tasks.Import],
			"waiting": o.Waiting[tasks.Interactive] + o.Waiting[tasks.Import],
		}
		for _, h := range hours {
			want["delivered"] += h.Delivered()
		}
		for _, state := range append([]tasks.State{tasks.Unknown}, outcomeOrder...) {
			want[state.String()] = o.States[state]
		}
		var errs []error
		for what, n := range want {
			if shown[what] != n {
				errs = append(errs, fmt.Errorf("the page shows %d %s, the ledger has %d", shown[what], what, n))
			}
		}
		return errors.Join(errs...)
	})
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
}

// click clicks. A live page may put another element in the place of the one that
// was found; then it is looked for again.
func (b *browser) click(selector string) {
	b.t.Helper()
	eventually(b.t, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
		defer cancel()
		_, err := chromedp.Run(ctx, chromedp.Click(chromedp.CSS(selector)))
		return err
	})
}

// slowClick presses the pointer on an element and releases it when the live page
// has had news to show. The times on it change every second.
func (b *browser) slowClick(selector, shown string) {
	b.t.Helper()
	for range 3 { // The page may move between the look at it and the press.
		at := ask(b, chromedp.Evaluate[[]float64](fmt.Sprintf(`(() => {
			const e = document.querySelector(%q), r = (e.scrollIntoView({ block: "center" }), e.getBoundingClientRect());
			return [r.x + r.width / 2, r.y + r.height / 2];
		})()`, selector)))
		mouse := input.DispatchMouseEventParams{X: at[0], Y: at[1], Button: input.MouseButtonLeft, ClickCount: 1, Type: input.DispatchMouseEventTypeMousePressed}
		call(b, input.DispatchMouseEvent, mouse)
		<-time.After(2500 * time.Millisecond)
		mouse.Type = input.DispatchMouseEventTypeMouseReleased
		call(b, input.DispatchMouseEvent, mouse)
		for range 50 {
			if got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText")); err == nil && strings.Contains(got, shown) {
				return
			}
			<-time.After(100 * time.Millisecond)
		}
	}
	b.shows(shown) // Says what is there instead.
}

// shows waits until the page has the text. A page that is just being left answers
// with an error, which is waited for, too.
func (b *browser) shows(text string) {
	b.t.Helper()
	eventually(b.t, func() error {
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		if err == nil && !strings.Contains(got, text) {
			err = fmt.Errorf("the page does not show %q but\n%s", text, got)
		}
		return err
	})
}

// says reads the text of the whole page.
func (b *browser) says() string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string]("document.body.innerText"))
}

func TestStatusPageInABrowser(t *testing.T) {
	s := newStage(t)
	b := newBrowser(t, s.server.URL)
	furnish(t, s)

	b.open(s.server.URL + "/")
	b.do(chromedp.WaitVisible(chromedp.CSS(".live.on")))
	s.agree(b)
	b.shows("Nothing needs you.")
	for _, l := range looks {
		b.as(l)
		b.shoot("status-" + l.name)
	}

	// What changes comes without a reload, and an open table stays open.
	b.as(looks[0])
	b.click("#hours summary")
	ask(b, chromedp.Evaluate[bool]("window.stays = true"))
	before := b.figure("[data-figure=delivered]")
	s.admit("", people(4000, 4003)...)
	eventually(t, func() error {
		if got := b.figure("[data-figure=delivered]"); got < before+3 {
			return fmt.Errorf("the page shows %d delivered, want %d", got, before+3)
		}
		return nil
	})
	if !ask(b, chromedp.Evaluate[bool]("window.stays === true && document.querySelector('#hours').open")) {
		t.Error("the page was loaded anew, or its open table closed")
	}
	s.agree(b)
	b.clean()
}

func TestWhatNeedsAPersonIsOnTop(t *testing.T) {
	s := newStage(t)
	b := newBrowser(t, s.server.URL)
	s.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 400, Code: "request_body_invalid"}, 1)
	s.admit("", "ada@example.com")
	s.await(tasks.Parked, 1)
	if err := s.ledger.Pause(t.Context(), time.Now(), tasks.Import); err != nil {
		t.Fatal(err)
	}
	s.admit("spring", people(0, 30)...)

	b.open(s.server.URL + "/")
	b.shows("1 invite is parked: malformed request.")
	b.shows("The import lane has been paused for")
	b.shows("30 open, the import lane is paused") // and no ETA, which nobody knows
	b.shows("some wait until their lane is resumed")
	b.shows("inviteq resume --lane import --instance " + s.ledger.Instance())
	if got := b.text(".pill"); got != "Needs a look" {
		t.Errorf("the pill says %q", got)
	}

	// From now on Clerk refuses the key: that comes first, by itself.
	s.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.Unauthorized}, 1000)
	s.sim.Inject(clerksim.OpList, clerksim.Fault{Kind: clerksim.Unauthorized}, 1000)
	s.admit("", "bob@example.com")
	b.shows("Nothing can be sent.")
	if got := b.text(".pill"); got != "Not delivering" {
		t.Errorf("the pill says %q", got)
	}
	if first := b.text(".concerns li:first-child"); !strings.Contains(first, "CLERK_SECRET_KEY") {
		t.Errorf("the first concern is %q", first)
	}
	s.agree(b)
	for _, l := range []look{looks[0], looks[1], looks[2]} {
		b.as(l)
		b.shoot("concerns-" + l.name)
	}
	b.clean()
}

func TestImportPageInABrowser(t *testing.T) {
	s := newStage(t, withToken)
	b := newBrowser(t, s.server.URL)
	b.logIn("somebody", testToken)
	furnish(t, s)

	b.open(s.server.URL + "/")
	b.click(`a[href="/imports/partners-2026"]`)
	b.do(chromedp.WaitVisible(chromedp.CSS(".live.on")))
	eventually(t, func() error {
		i, err := s.ledger.Import(t.Context(), "partners-2026")
		if got, want := b.figure("[data-figure=settled]"), i.Total-i.Open(); err == nil && got != want {
			err = fmt.Errorf("the page shows %d settled, the ledger has %d", got, want)
		}
		if got := b.figure("[data-figure=total]"); err == nil && got != i.Total {
			err = fmt.Errorf("the page shows %d rows, the ledger has %d", got, i.Total)
		}
		return err
	})
	b.shows("the last row goes in")
	for _, l := range looks {
		b.as(l)
		b.shoot("import-" + l.name)
	}
	b.as(looks[0])
	b.click("a[rel=next]")
	b.shows("First")
	if got := b.text(".rows tbody tr:first-child td"); got != "51" {
		t.Errorf("the second page begins with row %s, want 51", got)
	}

	b.click("nav a[href='/imports']")
	b.shows("waitlist-may")
	b.shoot("imports-" + looks[0].name)
	b.click(`a[href="/imports/waitlist-may"]`)
	b.shows("every row is settled")
	b.slowClick(`.states a[href*="state=rejected"]`, "Rows: rejected")
	rows := ask(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".rows tbody tr")].map((r) => r.innerText)`))
	if len(rows) != 2 {
		t.Errorf("got %d rejected rows, want 2: %q", len(rows), rows)
	}
	for _, r := range rows {
		if !strings.Contains(r, "p***@e***") {
			t.Errorf("row %q", r)
		}
	}
	if strings.Contains(b.says(), "@example.com") {
		t.Error("an address is not masked")
	}
	b.shoot("import-rejected-" + looks[0].name)
	b.clean()
}

func TestMonitoringInABrowser(t *testing.T) {
	for _, actions := range []bool{false, true} {
		t.Run(fmt.Sprintf("actions=%t", actions), func(t *testing.T) {
			s := newStage(t, func(c *Config) { c.Actions = actions })
			b := newBrowser(t, s.server.URL)
			ids := s.admit("", people(0, 3)...)
			s.admit("spring", people(100, 400)...)
			s.await(tasks.Pending, 200)

			b.open(s.server.URL + "/")
			b.click(`nav a[href="/monitoring/"]`)
			b.shows(s.queues.Interactive)
			b.click(".inviteq a")
			b.shows("Backlog")
			b.click(`nav a[href="/monitoring/"]`)
			b.shows(s.queues.Interactive)
			if actions {
				b.shoot("monitoring-actions")
				b.clean()
				return
			}
			for _, l := range looks {
				b.as(l)
				b.shoot("monitoring-" + l.name)
				b.roomy(".MuiContainer-root")
			}
			b.as(looks[0])
			b.do(chromedp.Click(fmt.Sprintf(`//a[text()=%q]`, s.queues.Interactive)))
			b.shows("Completed")
			b.do(chromedp.Click(`//*[contains(text(), "completed")] | //*[contains(text(), "Completed")]`))
			b.open(s.server.URL + "/monitoring/queues/" + s.queues.Interactive + "?status=completed")
			b.shows("invite " + ids[0])
			b.shows("pending inv_")
			b.shoot("monitoring-queue")
			b.open(s.server.URL + "/monitoring/queues/" + s.queues.Interactive + "/tasks/" + ids[0])
			b.shows("invite " + ids[0])
			b.shows("pending inv_")
			b.shoot("monitoring-task")
			b.open(s.server.URL + "/monitoring/queues/" + s.queues.Import + "?status=retry")
			b.shows("rows 201 to 300 of import spring")
			b.shows("its turn comes then")
			b.shoot("monitoring-waiting")
			b.as(looks[2])
			b.shoot("monitoring-waiting-" + looks[2].name)
			b.open(s.server.URL + "/monitoring/queues/" + s.queues.Interactive + "/tasks/" + ids[0])
			b.shows("pending inv_")
			b.shoot("monitoring-task-" + looks[2].name)
			b.roomy(".MuiContainer-root")
			b.as(looks[0])
			for _, page := range []string{"servers", "schedulers", "redis", "settings"} {
				b.open(s.server.URL + "/monitoring/" + page)
				b.do(chromedp.WaitVisible(chromedp.CSS("header")))
				if strings.Contains(b.says(), "@example.com") {
					t.Errorf("%s shows an address", page)
				}
			}
			b.clean()
		})
	}
}
