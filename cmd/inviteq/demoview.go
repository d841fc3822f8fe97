package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// demoView shows how the demo goes: a few lines that are drawn again on a
// terminal, and elsewhere a line every few seconds.
type demoView struct {
	p     *program
	stage *stage
	live  *live
	told  time.Time
}

// demoEvery is how often a line is written where none can be drawn again.
const demoEvery = 5 * time.Second

func newDemoView(p *program, s *stage) *demoView {
	p.console.note("An hour of Clerk's limits (100 single calls and 25 bulk calls of 10: at most 350 invitations) in %s.", show.Duration(s.hour))
	p.console.note("A list of 500 people is being imported, and eight people click \"invite\" meanwhile. Nobody is mailed.\n")
	return &demoView{p: p, stage: s, live: newLive(p.console)}
}

func (v *demoView) clear() { v.live.clear() }

func (v *demoView) show(ctx context.Context, sh demoShow) error {
	if v.live == nil && time.Since(v.told) < demoEvery && !sh.done() {
		return nil
	}
	v.told = time.Now()
	o, err := v.stage.conn.ledger.Overview(ctx, ledger.Now)
	if err != nil {
		return err
	}
	single, bulk := o.Quotas[ledger.Single], o.Quotas[ledger.Bulk]
	clicked, mean, _ := sh.waits()
	played := time.Duration(float64(time.Since(sh.began)) / float64(v.stage.hour) * float64(time.Hour))
	if v.live == nil {
		v.p.console.note("%s: %s; single %d/%d, bulk %d/%d; clicks: %s", clock(played), importLine(sh.list),
			single.Spent, single.Limit.Calls, bulk.Spent, bulk.Limit.Calls, clicks(clicked, mean))
		return nil
	}
	c := v.live.paint
	delivered, refused, _ := tally(sh.list.States)
	width := min(v.live.width()-1, 72)
	eta := "all settled"
	if !sh.list.ETA.IsZero() {
		left := float64(max(time.Until(sh.list.ETA), 0)) / float64(v.stage.hour)
		eta = "done in " + clock(time.Duration(left*float64(time.Hour)))
	}
	gauge := func(name string, q ledger.Quota) string {
		return fmt.Sprintf("%-7s %s %d of %d", name, bar(width-20, int64(q.Limit.Calls), c, part{int64(q.Spent), "▇", c.blue}), q.Spent, q.Limit.Calls)
	}
	v.live.draw(
		c.bold("simulated time "+clock(played))+"   "+eta,
		importBar(v.live.width(), c, sh.list),
		strings.Join([]string{
			c.green(fmt.Sprintf("%d delivered", delivered)), c.yellow(fmt.Sprintf("%d refused", refused)),
			c.blue(fmt.Sprintf("%d sending", sh.list.States[tasks.Sending])), fmt.Sprintf("%d waiting", sh.list.States[tasks.Queued]+sh.list.States[tasks.Unknown]),
		}, " · "),
		gauge("single", single),
		gauge("bulk", bulk),
		fmt.Sprintf("%-7s %s", "clicks", clicks(clicked, mean)),
	)
	return nil
}

// clicks says how the interactive invites fare beside the list.
func clicks(n int, mean time.Duration) string {
	if n == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%d of %d, delivered in %s on average", n, visitors, brief(mean))
}

// clock writes simulated time.
func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d h", int(d.Hours()), int(d.Minutes())%60)
}

// brief writes a short wait.
func brief(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return show.Duration(d)
}

// demoJSON is the end of the demo in --json. The keys are stable and always there.
type demoJSON struct {
	Rows            int                  `json:"rows"`
	Delivered       int64                `json:"delivered"`
	AlreadyInvited  int64                `json:"already_invited"`
	ExistingUsers   int64                `json:"existing_users"`
	OtherReasons    map[tasks.Reason]int `json:"other_reasons"` // refused by Clerk, failed or parked for another reason
	LeftOut         map[string]int       `json:"left_out"`      // rows that were not enqueued, by reason
	Open            int64                `json:"open"`          // not settled: 0, unless something is wrong
	Clicks          int                  `json:"clicks"`        // interactive invites, all delivered beside the list
	ClickMeanMS     int64                `json:"click_mean_ms"`
	ClickLongestMS  int64                `json:"click_longest_ms"`
	PerHour         int                  `json:"invitations_per_hour"` // in the first simulated hour
	Ceiling         int                  `json:"ceiling"`              // what Clerk's limits allow at most
	TooManyRequests int                  `json:"too_many_requests"`    // 429s met
	MostMails       int                  `json:"most_mails"`           // to one address
	Seconds         float64              `json:"seconds"`
}

// result asks the simulated Clerk, not the ledger, wherever it can be asked.
func (s *stage) result(sh demoShow) demoJSON {
	clicked, mean, longest := sh.waits()
	r := demoJSON{
		Rows: sh.rows, LeftOut: sh.faults, OtherReasons: map[tasks.Reason]int{}, Open: sh.list.Open, Clicks: clicked,
		ClickMeanMS: mean.Milliseconds(), ClickLongestMS: longest.Milliseconds(),
		Ceiling:         ledger.ClerkLimits.Single.Calls + ledger.ClerkLimits.Bulk.Calls*ledger.BulkSize,
		TooManyRequests: s.sim.CountStatus("", http.StatusTooManyRequests), MostMails: s.sim.MaxMails(),
		Seconds: time.Since(sh.began).Round(100 * time.Millisecond).Seconds(),
	}
	r.Delivered, _, _ = tally(sh.list.States)
	for reason, n := range sh.reasons {
		switch reason {
		case tasks.ReasonAlreadyInvited:
			r.AlreadyInvited += int64(n)
		case tasks.ReasonExistingUser:
			r.ExistingUsers += int64(n)
		default:
			r.OtherReasons[reason] += n
		}
	}
	for _, call := range s.sim.Calls() {
		if (call.Op == clerksim.OpCreate || call.Op == clerksim.OpBulkCreate) && call.Time.Sub(sh.began) < s.hour {
			r.PerHour += call.Created
		}
	}
	return r
}

// print writes the table at the end.
func (r demoJSON) print(p *program) error {
	c := p.console.onOut
	var t table
	t.header(fmt.Sprintf("the list, %s rows", show.Thousands(r.Rows)), "people", "")
	t.row(text("delivered").in(c.green), number(r.Delivered), text("one mail each"))
	t.row(text("already invited").in(c.yellow), number(r.AlreadyInvited), text("had a pending invitation: not mailed again"))
	t.row(text("existing users").in(c.yellow), number(r.ExistingUsers), text("have an account: refused by Clerk"))
	for _, reason := range slices.Sorted(maps.Keys(r.OtherReasons)) {
		t.row(text(string(reason)).in(c.red), number(int64(r.OtherReasons[reason])), text(reason.Entry().Means))
	}
	for _, reason := range slices.Sorted(maps.Keys(r.LeftOut)) {
		t.row(text(reason), number(int64(r.LeftOut[reason])), text("left out, never sent to Clerk"))
	}
	if err := t.print(p.console.out, c); err != nil {
		return err
	}
	fmt.Fprintln(p.console.out)
	var facts table
	facts.header("and", "")
	facts.row(text("invitations in the first simulated hour"), text(fmt.Sprintf("%d of at most %d (%.1f %%)", r.PerHour, r.Ceiling, 100*float64(r.PerHour)/float64(r.Ceiling))))
	facts.row(text("429s met"), text(fmt.Sprint(r.TooManyRequests)))
	facts.row(text("mails to one address, at most"), text(fmt.Sprint(r.MostMails)))
	facts.row(text("clicks while the list was waiting"), text(fmt.Sprintf("%d, delivered in %s on average, %s at most", r.Clicks,
		brief(time.Duration(r.ClickMeanMS)*time.Millisecond), brief(time.Duration(r.ClickLongestMS)*time.Millisecond))))
	facts.row(text("took"), text(show.Duration(time.Duration(r.Seconds*float64(time.Second)))))
	_, err := fmt.Fprintln(p.console.out, strings.Join(facts.lines(c)[1:], "\n"))
	return err
}
