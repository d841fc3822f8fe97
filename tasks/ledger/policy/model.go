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

func (l Limit) quota() Quota {
	return Quota{Calls: float64(l.Calls), Window: l.Window, Span: l.Span, Log: &Calls{}}
}

// Config is what a model's turns are taken under.
type Config struct {
	Single, Bulk, Other Limit
	Size                int     // of a full bulk
	Reserve             int     // singles kept for interactive invites; -1: follow the demand
	TTL                 float64 // of a claim (ms)
}

// Calls is a Log in memory.
type Calls []float64

// Len is the number of calls.
func (c *Calls) Len() int { return len(*c) }

// At returns when the i-th counted.
func (c *Calls) At(i int) float64 { return (*c)[i] }

// After returns how many count later.
func (c *Calls) After(time float64) int {
	i, _ := slices.BinarySearch(*c, math.Nextafter(time, math.Inf(1)))
	return len(*c) - i
}

func (c *Calls) trim(until float64) { *c = slices.Delete(*c, 0, len(*c)-c.After(until)) }

func (c *Calls) add(at float64) {
	i, _ := slices.BinarySearch(*c, at)
	*c = slices.Insert(*c, i, at)
}

func (c *Calls) drop(at float64) bool {
	i, ok := slices.BinarySearch(*c, at)
	if ok {
		*c = slices.Delete(*c, i, i+1)
	}
	return ok
}

// Model is the state that turn.lua and settle.lua keep about quotas, without the
// invites: lanes are counts. It is for tests, the benchmark and the forecast.
type Model struct {
	Config
	SingleQ, BulkQ, OtherQ Quota
	Demand                 Demand
	Arrived                float64 // interactive arrivals since the last turn
	ArrivedAt              float64 // the newest of them
	Every, ToldAt          float64 // between them; the newest of the last turn
	Since, GroupTat        float64
	ImportTat              float64
	Waiting, OneByOne      [2]int // interactive, import
	refusals               int    // bulk calls in a row that were refused whoever was aboard
}

// NewModel returns an unused ledger.
func NewModel(c Config) *Model {
	return &Model{Config: c, SingleQ: c.Single.quota(), BulkQ: c.Bulk.quota(), OtherQ: c.Other.quota()}
}

// Clone copies the model, so that it can be run ahead.
func (m *Model) Clone() *Model {
	c := *m
	for _, q := range []*Quota{&c.SingleQ, &c.BulkQ, &c.OtherQ} {
		q.Log = new(slices.Clone(*q.log()))
	}
	return &c
}

// Claim is what a turn took.
type Claim struct {
	Action              Action  // Bulk or Single; else nothing was claimed
	Wake                float64 // without a claim: when to ask again; Never
	Interactive, Import int     // how many of each lane are aboard
	OneByOne            bool    // the one who is aboard goes one by one
	Deadline            float64
	Probe               bool
	Paced               float64 // by how much the import's own spacing was moved
}

func (q *Quota) log() *Calls { return q.Log.(*Calls) }

// Fill gives the model's quota its log.
func (q *Quota) Fill(calls []float64) { *q.log() = calls }

// window is the one in which the demand is counted.
func (m *Model) window() float64 {
	if m.Single.Window == 0 {
		return 3600000
	}
	return m.Single.Window
}

// Turn takes a token and the invites to spend it on, as turn.lua does.
func (m *Model) Turn(now float64) Claim {
	for _, q := range []*Quota{&m.SingleQ, &m.BulkQ, &m.OtherQ} {
		q.log().trim(now - q.Span)
	}
	m.Demand.Roll(now, m.window(), m.Arrived)
	if m.Arrived > 0 {
		m.Every, m.ToldAt = (m.ArrivedAt-m.ToldAt)/m.Arrived, m.ArrivedAt
	}
	m.Arrived = 0
	bulk := m.BulkQ // Fit closes it for this turn only.
	size := int(bulk.Fit(now, float64(m.Size)))
	s := NewState(now, size, float64(m.Reserve), m.TTL, &m.SingleQ, &bulk, &m.OtherQ, &m.Demand, m.window())
	s.People, s.PeopleOne, s.Rows, s.RowsOne = m.Waiting[0], m.OneByOne[0], m.Waiting[1], m.OneByOne[1]
	s.ArrivedAt, s.Every, s.GroupTat, s.ImportAt = m.ArrivedAt, m.Every, m.GroupTat, m.ImportTat
	if s.People+s.PeopleOne == 0 {
		m.Since = 0
	} else if m.Since == 0 {
		m.Since = now
	}
	s.Since = m.Since
	action, at := Decide(s)
	if action == Idle || action == Wait {
		return Claim{Wake: at}
	}
	c := Claim{Action: action, Deadline: now + m.TTL}
	q := &m.SingleQ
	if action == Bulk {
		q = &m.BulkQ
		c.Interactive = min(size, m.Waiting[0])
		c.Import = min(size-c.Interactive, m.Waiting[1])
		if c.Interactive > 0 {
			m.GroupTat = math.Max(m.GroupTat, now) + s.Gap
		}
	} else {
		lane := 0
		if s.People+s.PeopleOne == 0 {
			lane = 1
			c.Paced = s.Outlook.Spacing(m.SingleQ.Calls, m.Single.Span, s.Kept)
			m.ImportTat = math.Max(m.ImportTat, now) + c.Paced
		}
		c.OneByOne = m.OneByOne[lane] > 0
		c.Interactive, c.Import = 1-lane, lane
	}
	m.put(c, -1)
	if c.Interactive > 0 {
		if m.Waiting[0]+m.OneByOne[0] == 0 {
			m.Since = 0
		} else if action == Bulk {
			m.Since = now
		}
	}
	q.Pay(now)
	q.log().add(c.Deadline)
	m.OtherQ.log().add(c.Deadline)
	for _, g := range []*Quota{q, &m.OtherQ} {
		if g.Until > 0 {
			c.Probe, g.Probe = true, c.Deadline
		}
	}
	return c
}

// put takes a claim's members out of the lanes, or puts them back.
func (m *Model) put(c Claim, sign int) {
	lanes := &m.Waiting
	if c.OneByOne {
		lanes = &m.OneByOne
	}
	lanes[0] += sign * c.Interactive
	lanes[1] += sign * c.Import
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
	return d.Outlook(m.window()).People
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
		if q.log().drop(c.Deadline) {
			q.log().add(now)
		}
		if c.Probe {
			q.Until, q.Probe = 0, 0
		}
	}
}

// Refund gives a claim's token back: nothing was sent.
func (m *Model) Refund(c Claim) {
	q := m.quota(c.Action)
	if q.log().drop(c.Deadline) {
		q.Tat -= q.Gains(q.Last)
		m.ImportTat -= c.Paced
	}
	m.OtherQ.log().drop(c.Deadline)
	q.Probe, m.OtherQ.Probe = 0, 0
	m.put(c, 1)
}

// Declined notes that Clerk refused a bulk call and no member was to blame, as
// judge_bulk does (libgate.lua). The members go back.
func (m *Model) Declined(now float64, c Claim) {
	m.Answered(now, c)
	m.Waiting[0] += c.Interactive
	m.Waiting[1] += c.Import
	if m.refusals++; m.refusals < BulkRefusals {
		return
	}
	m.refusals = 0
	m.BulkQ.Most, m.BulkQ.MostUntil = float64((c.Interactive+c.Import)/2), now+SmallerFor
}

// Taken notes that Clerk took a bulk call.
func (m *Model) Taken() { m.refusals = 0 }

// Refused notes a 429 that came for a claim, which Clerk wants to be asked again
// after until. The members go back.
func (m *Model) Refused(now float64, c Claim, until float64) {
	q := m.quota(c.Action)
	for _, log := range []*Calls{q.log(), m.OtherQ.log()} {
		if log.drop(c.Deadline) {
			log.add(now)
		}
	}
	m.put(c, 1)
	q.Until, q.Probe = math.Max(q.Until, until), 0
	// Whatever counts calls so strictly counts those of the other endpoint, too.
	for _, e := range []*Quota{&m.SingleQ, &m.BulkQ} {
		if e.Calls > 0 {
			e.BeCareful(now)
		}
	}
	// What Clerk has counted and we have not.
	q.log().trim(now - q.Span)
	for range int(q.Calls) - q.Log.Len() {
		q.log().add(now)
	}
}
