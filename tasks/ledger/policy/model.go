package policy

import (
	"math"
	"slices"
)

// Limit is a quota: Calls in a Window, counted over a Span that is the window
// and a guard (ms). Calls 0 is no limit.
type Limit struct {
	Calls        int
	Window, Span float64
}

// Config is what a model's turns are taken under.
type Config struct {
	Single, Bulk, Other Limit
	Size                int     // of a full bulk
	Reserve             int     // singles kept for interactive invites; -1: follow the demand
	TTL                 float64 // of a claim (ms)
}

// Quota is one endpoint's log, soft bucket and gate.
type Quota struct {
	Limit
	Log       []float64 // when calls counted; those in flight count at their deadline
	Last, Tat float64   // the latest call; when the soft bucket will be full
	Until     float64   // gate: closed until; 0: open
	Probe     float64   // gate: deadline of the probe under way
	Careful   float64   // calls are spaced until then
}

// Model is the twin of the state that turn.lua and settle.lua keep about quotas,
// without the invites: lanes are counts. The zero Model with a Config is a
// ledger that has never been used.
type Model struct {
	Config
	SingleQ, BulkQ, OtherQ Quota
	Demand                 Demand
	Arrived                float64 // interactive arrivals since the last turn
	ArrivedAt              float64 // the newest of them
	ImportTat              float64
	Waiting                [2]int // interactive, import
}

// NewModel returns an unused ledger.
func NewModel(c Config) *Model {
	return &Model{Config: c, SingleQ: Quota{Limit: c.Single}, BulkQ: Quota{Limit: c.Bulk}, OtherQ: Quota{Limit: c.Other}}
}

// Clone copies the model, so that it can be run ahead.
func (m *Model) Clone() *Model {
	c := *m
	for _, q := range []*Quota{&c.SingleQ, &c.BulkQ, &c.OtherQ} {
		q.Log = slices.Clone(q.Log)
	}
	return &c
}

// Claim is what a turn took.
type Claim struct {
	Action              Action  // Bulk or Single; else nothing was claimed
	Wake                float64 // without a claim: when to ask again; Never
	Interactive, Import int     // how many of each lane are aboard
	Deadline            float64
	Probe               bool
	Paced               float64 // by how much the import's own spacing was moved
}

func (q *Quota) trim(now float64) {
	n, _ := slices.BinarySearch(q.Log, math.Nextafter(now-q.Span, math.Inf(1)))
	q.Log = slices.Delete(q.Log, 0, n)
}

// when returns the time at which n tokens are free.
func (q *Quota) when(now float64, n int) float64 {
	i := len(q.Log) - q.Calls + n - 1
	switch {
	case q.Calls == 0 || i < 0:
		return now
	case n > q.Calls:
		return Never
	}
	return q.Log[i] + q.Span
}

// interval is what the soft bucket gains a token in.
func (q *Quota) interval(now float64) float64 { return SoftInterval(q.Calls, q.Span, q.Careful > now) }

func (q *Quota) facts(now float64) Endpoint {
	e := Endpoint{Limit: q.Calls, HardAt: now, Last: q.Last}
	q.trim(now)
	if q.Calls > 0 {
		e.Interval = q.Span / float64(q.Calls)
		e.HardAt = q.when(now, 1)
		e.Free, e.NextAt = max(0, q.Calls-len(q.Log)), now
		if len(q.Log) > 0 {
			e.NextAt = q.Log[0] + q.Span
		}
	}
	e.SoftAt = q.Tat - (Depth(q.Calls)-1)*q.interval(now)
	if q.Until > 0 {
		e.HardAt = math.Max(e.HardAt, math.Max(q.Until, q.Probe))
	}
	if q.Careful > now {
		e.HardAt = math.Max(e.HardAt, e.SoftAt)
	}
	return e
}

// landed returns when one more call may be made, as far as those in flight are
// concerned.
func (q *Quota) landed(now, ttl float64) float64 {
	if q.Calls == 0 || float64(len(q.Log)) < Depth(q.Calls) {
		return now
	}
	fresh := now + ttl - AnswerTime // the deadline of a call that was made AnswerTime ago
	i, _ := slices.BinarySearch(q.Log, math.Nextafter(fresh, math.Inf(1)))
	flying, most := len(q.Log)-i, InFlight(q.Calls, q.Span)
	if flying < most {
		return now
	}
	return q.Log[len(q.Log)-most] - ttl + AnswerTime
}

// window is the one in which the demand is counted.
func (m *Model) window() float64 {
	if m.Single.Window == 0 {
		return 3600000
	}
	return m.Single.Window
}

// Turn takes a token and the invites to spend it on, as turn.lua does.
func (m *Model) Turn(now float64) Claim {
	window := m.window()
	m.Demand.Roll(now, window, m.Arrived)
	m.Arrived = 0
	demand, changes := m.Demand.At(now, window)
	s := State{
		Now: now, Size: m.Size, Interactive: m.Waiting[0], Import: m.Waiting[1], ArrivedAt: m.ArrivedAt, Demand: demand, Reserve: m.Reserve,
		Single: m.SingleQ.facts(now), Bulk: m.BulkQ.facts(now),
	}
	kept := Kept(m.Reserve, m.Single.Calls, demand)
	s.Single.SpareAt = m.SingleQ.when(now, kept+1)
	s.Single.ImportAt = m.ImportTat
	other := m.OtherQ.facts(now)
	action, at := Decide(&s)
	if action == Idle {
		return Claim{Wake: Never}
	}
	if action != Wait {
		if at = math.Max(other.HardAt, m.quota(action).landed(now, m.TTL)); at > now {
			action = Wait
		}
	}
	if action == Wait {
		if m.Waiting[1] > 0 {
			at = math.Min(at, changes)
		}
		return Claim{Wake: math.Max(math.Ceil(at), now+1)}
	}
	q, places := &m.SingleQ, 1
	if action == Bulk {
		q, places = &m.BulkQ, m.Size
	}
	c := Claim{Action: action, Deadline: now + m.TTL}
	c.Interactive = min(places, m.Waiting[0])
	if action == Bulk || m.Waiting[0] == 0 {
		c.Import = min(places-c.Interactive, m.Waiting[1])
	}
	m.Waiting[0] -= c.Interactive
	m.Waiting[1] -= c.Import
	if action == Single && c.Interactive == 0 && m.Single.Calls > 0 {
		c.Paced = Spacing(m.Single.Calls, m.Single.Span, demand, kept)
		m.ImportTat = math.Max(m.ImportTat, now) + c.Paced
	}
	q.Last, q.Tat = now, math.Max(q.Tat, now)+q.interval(now)
	q.add(c.Deadline)
	m.OtherQ.add(c.Deadline)
	for _, g := range []*Quota{q, &m.OtherQ} {
		if g.Until > 0 {
			c.Probe, g.Probe = true, c.Deadline
		}
	}
	return c
}

func (q *Quota) add(at float64) {
	i, _ := slices.BinarySearch(q.Log, at)
	q.Log = slices.Insert(q.Log, i, at)
}

func (q *Quota) drop(at float64) bool {
	i, ok := slices.BinarySearch(q.Log, at)
	if ok {
		q.Log = slices.Delete(q.Log, i, i+1)
	}
	return ok
}

// Quota returns that of "single", "bulk" or "other".
func (m *Model) Quota(endpoint string) *Quota {
	switch endpoint {
	case "bulk":
		return &m.BulkQ
	case "other":
		return &m.OtherQ
	}
	return &m.SingleQ
}

// DemandAt returns the interactive invites of the last window.
func (m *Model) DemandAt(now float64) float64 {
	d := m.Demand
	d.Roll(now, m.window(), m.Arrived)
	demand, _ := d.At(now, m.window())
	return demand
}

func (m *Model) quota(a Action) *Quota {
	if a == Bulk {
		return &m.BulkQ
	}
	return &m.SingleQ
}

// Answered stamps a claim's token: it counts from now on.
func (m *Model) Answered(now float64, c Claim) {
	for _, q := range []*Quota{m.quota(c.Action), &m.OtherQ} {
		if q.drop(c.Deadline) {
			q.add(now)
		}
		if c.Probe {
			q.Until, q.Probe = 0, 0
		}
	}
}

// Refund gives a claim's token back: nothing was sent.
func (m *Model) Refund(c Claim) {
	q := m.quota(c.Action)
	if q.drop(c.Deadline) {
		q.Tat -= q.interval(q.Last)
		m.ImportTat -= c.Paced
	}
	m.OtherQ.drop(c.Deadline)
	q.Probe, m.OtherQ.Probe = 0, 0
	m.Waiting[0] += c.Interactive
	m.Waiting[1] += c.Import
}

// Refused notes a 429 that came for a claim, which Clerk wants to be asked again
// after until. The members go back.
func (m *Model) Refused(now float64, c Claim, until float64) {
	q := m.quota(c.Action)
	if q.drop(c.Deadline) {
		q.add(now)
	}
	if m.OtherQ.drop(c.Deadline) {
		m.OtherQ.add(now)
	}
	m.Waiting[0] += c.Interactive
	m.Waiting[1] += c.Import
	q.Until, q.Probe = math.Max(q.Until, until), 0
	// Whatever counts calls so strictly counts those of the other endpoint, too.
	for _, e := range []*Quota{&m.SingleQ, &m.BulkQ} {
		e.beCareful(now)
	}
	q.surprise(now)
}

func (q *Quota) beCareful(now float64) {
	if q.Calls == 0 {
		return
	}
	q.Careful = now + Care(q.Window)
	q.Tat = math.Max(q.Tat, math.Max(q.Until, now)+(Depth(q.Calls)-1)*q.interval(now))
}

// surprise writes what Clerk has counted and we have not.
func (q *Quota) surprise(now float64) {
	q.trim(now)
	for range q.Calls - len(q.Log) {
		q.add(now)
	}
}
