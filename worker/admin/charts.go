package admin

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// chartsData is the page of what has happened over time.
type chartsData struct {
	frame
	Span   chartSpan
	Spans  []chartSpan
	Charts []chart
	Marks  []mark
	Labels []time.Time
	Slots  []slot // for the table: those in which anything happened
}

// chartSpan is how far back the charts look, in slots of so many hours.
type chartSpan struct {
	Name, Label, Slot string
	slots, hours      int
}

var chartSpans = []chartSpan{{"48h", "48 hours", "an hour", 48, 1}, {"30d", "30 days", "six hours", 120, 6}}

// slot is one step of the charts.
type slot struct {
	ledger.Hour
	P50, P99     time.Duration
	Single, Bulk float64 // the share of the quota that was spent, in percent
	X, W         float64
}

// Any reports whether there is something to say about it.
func (s slot) Any() bool {
	return s.Delivered()+s.Waiting+s.Refused() > 0 || s.Single+s.Bulk > 0 || len(s.Waits) > 0
}

// mark is something that explains what the charts show, at its place.
type mark struct {
	Kind string // deploy or gate
	At   time.Time
	Text string
	X, W float64
}

// chart is one of them: across in percent of its width, and downwards in pixels.
type chart struct {
	Title, Sum string
	Legend     []legend
	Bars       []chartBar
	Lines      []chartLine // of its grid; the topmost is its scale
	Hovers     []chartBar  // over the whole height, with what a slot has to say
	Marks      []mark
	Empty      bool
}

type legend struct{ Class, Text string }

type chartBar struct {
	Class      string
	X, Y, W, H float64
	Text       string
}

type chartLine struct {
	Y    float64
	Text string
}

const chartWidth, chartHeight = 100, 110

// chartsOf is GET /charts.
func (h *Handler) chartsOf(r *http.Request) (chartsData, error) {
	d := chartsData{Span: chartSpans[0], Spans: chartSpans}
	for _, s := range chartSpans {
		if s.Name == r.URL.Query().Get("span") {
			d.Span = s
		}
	}
	v, f, err := h.open(r, "Charts", "charts", "")
	if err != nil {
		return d, err
	}
	d.frame = f
	hours, err := h.cfg.Ledger.Hours(r.Context(), ledger.Now, d.Span.slots*d.Span.hours)
	if err != nil {
		return d, err
	}
	slots := slotsOf(hours, d.Span.hours, v.Overview)
	d.Marks = marksOf(hours, slots, d.Span.hours)
	d.Charts = []chart{deliveredChart(slots), waitingChart(slots), waitsChart(slots), quotaChart(slots), refusedChart(slots)}
	for n := range d.Charts {
		d.Charts[n].Marks = d.Marks
	}
	for n, s := range slots {
		if n%(len(slots)/4) == 0 {
			d.Labels = append(d.Labels, s.Start)
		}
		if s.Any() {
			d.Slots = append(d.Slots, s)
		}
	}
	return d, nil
}

// slotsOf puts so many hours each together.
func slotsOf(hours []ledger.Hour, each int, o ledger.Overview) []slot {
	var slots []slot
	for part := range slices.Chunk(hours, each) {
		s := slot{Hour: ledger.Hour{
			Start: part[0].Start, Moves: map[ledger.Move]int64{}, Spent: map[ledger.Endpoint]int64{}, Waits: ledger.Waits{},
			Closed: map[ledger.Endpoint]map[tasks.GateCause]int64{},
		}}
		for _, hour := range part {
			s.Waiting = max(s.Waiting, hour.Waiting)
			s.Waits.Merge(hour.Waits)
			for m, n := range hour.Moves {
				s.Moves[m] += n
			}
			for e, n := range hour.Spent {
				s.Spent[e] = max(s.Spent[e], n)
			}
			for e, causes := range hour.Closed {
				if s.Closed[e] == nil {
					s.Closed[e] = map[tasks.GateCause]int64{}
				}
				for cause, n := range causes {
					s.Closed[e][cause] += n
				}
			}
		}
		s.P50, s.P99 = s.Waits.Quantile(0.5), s.Waits.Quantile(0.99)
		s.Single, s.Bulk = share100(s.Spent[ledger.Single], o.Quotas[ledger.Single].Limit), share100(s.Spent[ledger.Bulk], o.Quotas[ledger.Bulk].Limit)
		slots = append(slots, s)
	}
	for n := range slots {
		slots[n].W = chartWidth / float64(len(slots))
		slots[n].X = float64(n) * slots[n].W
	}
	return slots
}

func share100(spent int64, limit ledger.Limit) float64 {
	if limit.Calls == 0 {
		return 0
	}
	return 100 * min(1, float64(spent)/float64(limit.Calls))
}

// marksOf finds deploys, where a version of the program comes that was not there before,
// and gates.
func marksOf(hours []ledger.Hour, slots []slot, each int) (all []mark) {
	var before map[string]bool
	for n, hour := range hours {
		s := slots[n/each]
		for _, version := range slices.Sorted(maps.Keys(hour.Versions)) {
			if before != nil && !before[version] {
				all = append(all, mark{"deploy", hour.Start, "version " + version, s.X, s.W})
			}
		}
		if len(hour.Versions) > 0 {
			before = hour.Versions
		}
	}
	for _, s := range slots {
		for _, e := range slices.Sorted(maps.Keys(s.Closed)) {
			for _, cause := range slices.Sorted(maps.Keys(s.Closed[e])) {
				all = append(all, mark{"gate", s.Start, fmt.Sprintf("gate over %s closed (%s) %s", endpointWord(e), words(cause), times(s.Closed[e][cause])), s.X, s.W})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b mark) int { return a.At.Compare(b.At) })
	return all
}

func endpointWord(e ledger.Endpoint) string {
	if e == ledger.Single || e == ledger.Bulk {
		return string(e) + " calls"
	}
	return "all calls"
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return show.Thousands(n) + " times"
}

// bars draws a number of each slot, and says which is the highest.
func (c *chart) bars(slots []slot, class string, of func(slot) int64, unit string) (most, sum int64) {
	for _, s := range slots {
		most, sum = max(most, of(s)), sum+of(s)
	}
	top := roundUp(max(most, 4))
	c.Lines = []chartLine{{0, show.Thousands(top)}, {chartHeight / 2, ""}}
	c.Empty = most == 0
	for _, s := range slots {
		c.bar(s, class, 0, 1, float64(of(s))/float64(top))
		c.hover(s, show.Thousands(of(s))+" "+unit)
	}
	return most, sum
}

// bar draws a bar of a height (0 to 1) into a part of a slot.
func (c *chart) bar(s slot, class string, from, to, height float64) {
	if height > 0 {
		height = max(1.5, chartHeight*height) // Little is not nothing.
		inner := 0.76 * s.W
		c.Bars = append(c.Bars, chartBar{Class: class, X: s.X + 0.12*s.W + from*inner, W: (to - from) * inner, Y: chartHeight - height, H: height})
	}
}

func (c *chart) hover(s slot, text string) {
	if s.Any() {
		c.Hovers = append(c.Hovers, chartBar{X: s.X, W: s.W, H: chartHeight, Text: s.Start.UTC().Format("Mon 2 Jan 15:04") + " UTC: " + text})
	}
}

func deliveredChart(slots []slot) chart {
	c := chart{Title: "Delivered"}
	_, sum := c.bars(slots, "s-pending", func(s slot) int64 { return s.Delivered() }, "delivered")
	c.Sum = show.Thousands(sum) + " together"
	return c
}

func waitingChart(slots []slot) chart {
	c := chart{Title: "Waiting"}
	most, _ := c.bars(slots, "s-sending", func(s slot) int64 { return s.Waiting }, "at most")
	c.Sum = show.Thousands(most) + " at most"
	return c
}

func refusedChart(slots []slot) chart {
	c := chart{Title: "Calls refused for quota (429)"}
	_, sum := c.bars(slots, "s-failed", func(s slot) int64 { return s.Refused() }, "refused")
	c.Sum = show.Thousands(sum) + " together"
	return c
}

// waitScale is logarithmic: a tenth of a second is its foot, and twelve hours at most its top.
func waitScale(d, top time.Duration) float64 {
	const foot = float64(100 * time.Millisecond)
	return max(0.02, min(1, math.Log(max(foot, float64(d))/foot)/math.Log(float64(top)/foot)))
}

// waitSteps are the lines of its grid.
var waitSteps = []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 12 * time.Hour}

func waitsChart(slots []slot) chart {
	c := chart{Title: "How long clicks waited", Legend: []legend{{"s-sending", "p99"}, {"s-pending", "p50"}}, Empty: true}
	all, longest := ledger.Waits{}, time.Duration(0)
	for _, s := range slots {
		all.Merge(s.Waits)
		longest = max(longest, s.P99)
	}
	top := waitSteps[len(waitSteps)-1]
	for _, step := range slices.Backward(waitSteps) {
		if step >= longest {
			top = step
		}
	}
	for _, step := range slices.Backward(waitSteps) {
		if step <= top {
			c.Lines = append(c.Lines, chartLine{chartHeight * (1 - waitScale(step, top)), strings.NewReplacer(" 0s", "", " 0m", "").Replace(show.Duration(step))})
		}
	}
	for _, s := range slots {
		if len(s.Waits) > 0 {
			c.Empty = false
			c.bar(s, "s-sending", 0, 1, waitScale(s.P99, top))
			c.bar(s, "s-pending", 0, 1, waitScale(s.P50, top))
		}
		c.hover(s, waited(s.P50, s.P99))
	}
	if c.Sum = waited(all.Quantile(0.5), all.Quantile(0.99)); c.Empty {
		c.Sum = "nobody has clicked"
	}
	return c
}

func waited(p50, p99 time.Duration) string { return "p50 " + short(p50) + ", p99 " + short(p99) }

// short writes a wait, of which the fractions of the first seconds count.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return show.Duration(d)
}

func quotaChart(slots []slot) chart {
	c := chart{
		Title: "Quota spent", Legend: []legend{{"s-accepted", "bulk"}, {"s-unknown", "single"}}, Empty: true,
		Lines: []chartLine{{0, "100 %"}, {chartHeight / 2, ""}},
	}
	var bulk, single float64
	for _, s := range slots {
		c.Empty = c.Empty && s.Single+s.Bulk == 0
		bulk, single = max(bulk, s.Bulk), max(single, s.Single)
		c.bar(s, "s-accepted", 0, 0.5, s.Bulk/100)
		c.bar(s, "s-unknown", 0.5, 1, s.Single/100)
		c.hover(s, fmt.Sprintf("bulk %.0f %%, single %.0f %% of the window", s.Bulk, s.Single))
	}
	c.Sum = fmt.Sprintf("the fullest window: bulk %.0f %%, single %.0f %%", bulk, single)
	return c
}

// Named is the chart in one sentence, for those who do not see it.
func (c chart) Named() string { return strings.TrimSuffix(c.Title, ".") + ": " + c.Sum }
