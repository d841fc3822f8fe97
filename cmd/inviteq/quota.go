package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

type quotaCommand struct {
	instanceFlag
	jsonFlag
}

func (quotaCommand) Help() string {
	return `Shows how much of each of Clerk's limits is spent and when the next token is free, how many invites wait in each lane and when the next of them goes, how many go in each part of the coming hour, and when all of them will have been sent.

Examples:

  inviteq quota
  inviteq quota --json | jq .endpoints.bulk.left`
}

// Run reads the overview and prints it.
func (c *quotaCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	o, err := conn.ledger.Overview(ctx, ledger.Now)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(quotaOf(c.Instance, o))
	}
	return p.printQuota(o)
}

// quotaJSON is the overview in --json. The keys are stable and always there.
type quotaJSON struct {
	At        time.Time               `json:"at"`
	Instance  string                  `json:"instance"`
	Endpoints map[string]endpointJSON `json:"endpoints"`
	Waiting   map[string]int64        `json:"waiting"` // by lane
	Later     int64                   `json:"later"`   // queued, but not before a later time
	Shelved   int64                   `json:"shelved"` // queued, of imports that are paused or held
	Paused    map[string]time.Time    `json:"paused"`  // by lane, since when
	Closed    *gateJSON               `json:"closed"`  // everything is closed: Clerk, or the edge in front of it, refuses the workers
	Reserve   *int                    `json:"reserve"` // null: it follows the demand
	Demand    float64                 `json:"demand"`  // interactive invites in the last window
	States    map[string]int64        `json:"states"`
	DrainedAt *time.Time              `json:"drained_at"` // null: what waits cannot move
}

type endpointJSON struct {
	Limit  string    `json:"limit"`
	Spent  int       `json:"spent"`
	Left   *int      `json:"left"` // null: no limit
	NextAt time.Time `json:"next_at"`
	Gate   *gateJSON `json:"gate"` // null: open
}

type gateJSON struct {
	Until        time.Time       `json:"until"`
	Why          tasks.GateCause `json:"why"`
	CarefulUntil *time.Time      `json:"careful_until"`
	Most         *int            `json:"most"`       // null: as many as fit; else so many invites in a bulk call, 1: none is made
	MostUntil    *time.Time      `json:"most_until"` // null: as many as fit
}

func quotaOf(instance string, o ledger.Overview) quotaJSON {
	j := quotaJSON{
		At: o.At.UTC(), Instance: instance, Endpoints: map[string]endpointJSON{}, Waiting: map[string]int64{},
		Later: o.Later, Shelved: o.Shelved, Paused: map[string]time.Time{}, Closed: gateOf(o.Closed), Demand: o.Demand,
		States: map[string]int64{},
	}
	if at := o.Drain(); !at.IsZero() {
		j.DrainedAt = new(at.UTC())
	}
	if o.Reserve >= 0 {
		j.Reserve = &o.Reserve
	}
	for e, q := range o.Quotas {
		one := endpointJSON{Limit: q.Limit.String(), Spent: q.Spent, NextAt: q.NextAt.UTC(), Gate: gateOf(q.Gate)}
		if q.Limit.Calls > 0 {
			one.Left = new(q.Free())
		}
		j.Endpoints[string(e)] = one
	}
	for _, lane := range tasks.Lanes {
		j.Waiting[lane.String()] = o.Waiting[lane]
		if since, ok := o.Paused[lane]; ok {
			j.Paused[lane.String()] = since.UTC()
		}
	}
	for s, n := range o.States {
		j.States[s.String()] = n
	}
	return j
}

func gateOf(g ledger.Gate) *gateJSON {
	if !g.Closed() && g.CarefulUntil.IsZero() && g.Most == 0 {
		return nil
	}
	j := &gateJSON{Until: g.Until.UTC(), Why: g.Why}
	if !g.CarefulUntil.IsZero() {
		j.CarefulUntil = new(g.CarefulUntil.UTC())
	}
	if g.Most > 0 {
		j.Most, j.MostUntil = &g.Most, new(g.MostUntil.UTC())
	}
	return j
}

func (p *program) printQuota(o ledger.Overview) error {
	c := p.console.onOut
	var b strings.Builder
	for _, line := range p.endpoints(o).lines(c) {
		fmt.Fprintln(&b, line)
	}
	for _, e := range ledger.Endpoints {
		if g := o.Quotas[e].Gate; g.Closed() {
			fmt.Fprintf(&b, "%s: %s\n", g.Why, g.Why.Entry())
		} else if g.Smaller() {
			fmt.Fprintf(&b, "%s: %s\n", tasks.CauseBulkRefused, tasks.CauseBulkRefused.Entry())
		}
	}
	if o.Closed.Closed() {
		fmt.Fprintf(&b, "\n%s\n", c.red(fmt.Sprintf("Nothing is sent (%s), next try %s. %s", o.Closed.Why, show.In(o.At, o.Closed.Until), o.Closed.Why.Entry())))
	}
	fmt.Fprintln(&b)
	for _, line := range p.waiting(o).lines(c) {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintln(&b)
	drained := o.Drain()
	switch {
	case o.Waiting[tasks.Interactive]+o.Waiting[tasks.Import] == 0 && o.Shelved > 0:
		fmt.Fprintln(&b, "No invite waits for its turn, apart from those of stopped imports.")
	case o.Waiting[tasks.Interactive]+o.Waiting[tasks.Import] == 0:
		fmt.Fprintln(&b, "No invite is waiting.")
	case drained.IsZero():
		fmt.Fprintln(&b, "None of them can be sent now, so there is no time to give.")
	default:
		plan := o.Plan(planParts)
		fmt.Fprintf(&b, "The next hour  %s  %s in parts of 5 minutes.\n", bars(plan), show.Count(sum(plan), "invite"))
		what := "All of them"
		if len(o.Paused) > 0 || o.Shelved > 0 {
			what = "All that are not paused"
		}
		fmt.Fprintf(&b, "%s will have been sent %s (%s).\n", what, show.In(o.At, drained), show.Time(drained))
	}
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

const planParts = 12 // of the coming hour

// bars draws numbers as a row of bars, the highest of them full.
func bars(n []int) string {
	levels := []rune(" ▁▂▃▄▅▆▇█")
	most := max(1, slices.Max(n))
	var b strings.Builder
	for _, v := range n {
		b.WriteRune(levels[(v*(len(levels)-1)+most-1)/most])
	}
	return "│" + b.String() + "│"
}

func sum(n []int) (all int) {
	for _, v := range n {
		all += v
	}
	return all
}

// endpoints is what Clerk's limits have left.
func (p *program) endpoints(o ledger.Overview) table {
	names := map[ledger.Endpoint]string{
		ledger.Single: "single", ledger.Bulk: fmt.Sprintf("bulk (%d each)", o.BulkNow()), ledger.Other: "all calls",
	}
	var t table
	t.header("endpoint", "limit", "spent", "left", "next token", "gate")
	for _, e := range ledger.Endpoints {
		q := o.Quotas[e]
		left := text("–")
		if q.Limit.Calls > 0 {
			left = number(int64(q.Free()))
		}
		left.right = true
		t.row(text(names[e]), text(q.Limit.String()), number(int64(q.Spent)), left, text(show.In(o.At, q.NextAt)), p.gate(o.At, q.Gate))
	}
	return t
}

// waiting is how many invites wait in each lane, and why a lane does not move.
func (p *program) waiting(o ledger.Overview) table {
	var t table
	t.header("lane", "waiting", "next goes", "")
	for _, lane := range tasks.Lanes {
		note := text("")
		if since, ok := o.Paused[lane]; ok {
			note = text(fmt.Sprintf("paused %s; `inviteq resume --lane %s`", show.Ago(o.At, since), lane)).in(p.console.onOut.yellow)
		}
		next := text("–")
		if at := o.ETA(lane, 0); o.Waiting[lane] > 0 && !at.IsZero() {
			next = text(show.In(o.At, at))
		}
		t.row(text(lane.String()), number(o.Waiting[lane]), next, note)
	}
	if o.Later > 0 {
		t.row(text("later"), number(o.Later), text("–"), text("not before a later time"))
	}
	if o.Shelved > 0 {
		t.row(text("stopped"), number(o.Shelved), text("–"),
			text("of "+show.Count(o.Stopped, "import")+" paused or held; `inviteq imports`").in(p.console.onOut.yellow))
	}
	return t
}

func (p *program) gate(now time.Time, g ledger.Gate) cell {
	switch {
	case g.Closed() && g.Until.After(now):
		return text(fmt.Sprintf("closed for %s (%s)", show.Duration(g.Until.Sub(now)), g.Why)).in(p.console.onOut.red)
	case g.Closed():
		return text("one probe, then open").in(p.console.onOut.yellow)
	case g.Smaller():
		return text(fmt.Sprintf("at most %d at once for %s", g.Most, show.Duration(g.MostUntil.Sub(now)))).in(p.console.onOut.yellow)
	case !g.CarefulUntil.IsZero():
		return text("careful for " + show.Duration(g.CarefulUntil.Sub(now))).in(p.console.onOut.yellow)
	}
	return text("open").in(p.console.onOut.green)
}
