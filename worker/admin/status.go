package admin

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// statusData is the status page.
type statusData struct {
	frame
	view
	Readable  bool // The ledger could be read.
	Concerns  []concern
	Endpoints []endpointView
	Lanes     []laneView
	Waiting   int64
	Sending   int64
	Unknown   int64
	Drain     time.Time
	Held      bool          // Invites wait in a lane that is paused, so there is no telling when.
	Eldest    ledger.Record // The oldest waiting invite; without an id if none waits.
	ThisHour  int64
	LastHours int64 // Delivered in the last 24 hours.
	Plot      plot
	Outcomes  []outcomeView
	Passes    []reconcile.Report
}

// Now says which of the two it is.
func (d statusData) Now() time.Time { return d.view.Now }

type endpointView struct {
	ledger.Quota
	Name, Call string
	Used       float64 // thousandths
	Left       int
	Limited    bool
	Gate       string
	GateClass  string
	Why        tasks.Entry // Why the gate is closed.
}

type laneView struct {
	Lane    tasks.Lane
	Waiting int64
	Oldest  ledger.Record
	Drain   time.Time // zero when none waits
	Paused  time.Time
}

type outcomeView struct {
	State   tasks.State
	Count   int64
	W       float64 // of the bar, in thousandths
	Reasons []reasonView
}

type reasonView struct {
	Reason tasks.Reason
	Count  int64
}

// status reads and prepares the page. With an error there is a page nevertheless.
func (h *Handler) status(r *http.Request) (statusData, error) {
	v, err := h.view(r.Context())
	d := statusData{view: v, Readable: err == nil, Concerns: h.concerns(v, err)}
	d.frame = h.frame(r, "Status", "status", "/events", v, d.Concerns)
	if err != nil {
		return d, err
	}
	o := v.Overview
	for _, e := range ledger.Endpoints {
		d.Endpoints = append(d.Endpoints, endpointOf(o, e, v.Now))
	}
	for _, lane := range tasks.Lanes {
		n := o.Waiting[lane]
		l := laneView{Lane: lane, Waiting: n, Oldest: v.Oldest[lane], Paused: o.Paused[lane]}
		if n > 0 {
			l.Drain = o.ETA(lane, n-1)
			d.Held = d.Held || !l.Paused.IsZero()
		}
		if first := l.Oldest; first.Invite.ID != "" && (d.Eldest.Invite.ID == "" || first.CreatedAt.Before(d.Eldest.CreatedAt)) {
			d.Eldest = first
		}
		d.Waiting += n
		d.Lanes = append(d.Lanes, l)
	}
	d.Sending, d.Unknown = o.States[tasks.Sending], o.States[tasks.Unknown]
	d.Drain = o.Drain()
	for k, hour := range v.Hours {
		if k >= len(v.Hours)-24 {
			d.LastHours += hour.Delivered()
		}
		d.ThisHour = hour.Delivered()
	}
	d.Plot = plotOf(v.Hours, ceiling(o))
	d.Outcomes = outcomesOf(o, v.Totals)
	for _, pass := range reconcile.Kinds {
		if report, ok := v.Reports[pass]; ok {
			d.Passes = append(d.Passes, report)
		}
	}
	return d, nil
}

func endpointOf(o ledger.Overview, e ledger.Endpoint, now time.Time) endpointView {
	q := o.Quotas[e]
	v := endpointView{Quota: q, Limited: q.Limit.Calls > 0, Gate: "open", GateClass: "good"}
	switch e {
	case ledger.Single:
		v.Name, v.Call = "Single", "POST /invitations"
	case ledger.Bulk:
		v.Name, v.Call = fmt.Sprintf("Bulk, %d at once", o.BulkNow()), "POST /invitations/bulk"
	default:
		v.Name, v.Call = "All calls", "reads and revokes too"
	}
	if v.Limited {
		v.Left = q.Free()
		v.Used = 1000 * min(1, float64(q.Spent)/float64(q.Limit.Calls))
	}
	switch g := q.Gate; {
	case g.Closed() && g.Until.After(now):
		v.Gate, v.GateClass, v.Why = "closed for "+show.Duration(g.Until.Sub(now))+" ("+words(g.Why)+")", "bad", g.Why.Entry()
	case g.Closed():
		v.Gate, v.GateClass = "one probe, then open", "warn"
	case g.Smaller():
		v.Gate, v.GateClass, v.Why = fmt.Sprintf("%d of %d at once, for %s", o.BulkNow(), o.Bulk, show.Duration(g.MostUntil.Sub(now))), "warn", tasks.CauseBulkRefused.Entry()
	case !g.CarefulUntil.IsZero():
		v.Gate, v.GateClass = "careful for "+show.Duration(g.CarefulUntil.Sub(now)), "warn"
	}
	return v
}

// ceiling is how many invites an hour the limits allow; 0 if they are not known.
func ceiling(o ledger.Overview) float64 {
	single, bulk := o.Quotas[ledger.Single].Limit, o.Quotas[ledger.Bulk].Limit
	if single.Calls == 0 || bulk.Calls == 0 {
		return 0
	}
	return float64(single.Calls)/single.Window.Hours() + float64(bulk.Calls*o.Bulk)/bulk.Window.Hours()
}

// outcomeOrder is the order in which outcomes are listed.
var outcomeOrder = []tasks.State{
	tasks.Pending, tasks.Accepted, tasks.Expired, tasks.Revoked, tasks.Canceled, tasks.Rejected, tasks.Failed, tasks.Parked,
}

func outcomesOf(o ledger.Overview, t ledger.Totals) []outcomeView {
	var most int64 = 1
	for _, s := range outcomeOrder {
		most = max(most, o.States[s])
	}
	var all []outcomeView
	for _, s := range outcomeOrder {
		v := outcomeView{State: s, Count: o.States[s], W: 1000 * float64(o.States[s]) / float64(most)}
		for key, n := range t.Outcomes {
			if key.State == s && (s == tasks.Rejected || s == tasks.Failed || s == tasks.Parked) && key.Reason != "" {
				v.Reasons = append(v.Reasons, reasonView{key.Reason, n})
			}
		}
		slices.SortFunc(v.Reasons, func(a, b reasonView) int { return int(b.Count - a.Count) })
		all = append(all, v)
	}
	return all
}

// plot is the deliveries by the hour, in units of its viewBox: a thousand wide and
// two hundred high.
type plot struct {
	Bars    []barView
	Top     int64   // what the height stands for
	Ceiling float64 // y of the ceiling; negative when it is out of sight
	Most    int64   // the ceiling itself
	Labels  []time.Time
}

type barView struct {
	X, Y, W, H float64
	Start      time.Time
	Count      int64
	Now        bool // The hour is not over.
}

const plotHeight = 200

func plotOf(hours []ledger.Hour, ceiling float64) plot {
	p := plot{Ceiling: -1, Most: int64(ceiling)}
	var most int64
	for _, h := range hours {
		most = max(most, h.Delivered())
	}
	p.Top = roundUp(max(most, 4))
	if ceiling > 0 && ceiling <= 2.5*float64(p.Top) {
		p.Top = roundUp(max(p.Top, int64(math.Ceil(ceiling))))
		p.Ceiling = plotHeight * (1 - ceiling/float64(p.Top))
	}
	step := 1000 / float64(max(1, len(hours)))
	for i, h := range hours {
		n := h.Delivered()
		height := plotHeight * float64(n) / float64(p.Top)
		p.Bars = append(p.Bars, barView{
			X: float64(i)*step + step*0.12, W: step * 0.76, Y: plotHeight - height, H: height,
			Start: h.Start, Count: n, Now: i == len(hours)-1,
		})
		if i%12 == 0 {
			p.Labels = append(p.Labels, h.Start)
		}
	}
	return p
}

// roundUp returns the next number that reads well: 1, 2, 4, 5 or 8 and zeros.
func roundUp(n int64) int64 {
	for unit := int64(1); ; unit *= 10 {
		for _, k := range []int64{1, 2, 4, 5, 8} {
			if k*unit >= n {
				return k * unit
			}
		}
	}
}
