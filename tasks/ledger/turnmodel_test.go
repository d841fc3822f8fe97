package ledger

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

// pair is a ledger in Redis and the policy's model, to which the same happens.
type pair struct {
	t      *testing.T
	r      *rand.Rand
	l      *Ledger
	m      *policy.Model
	now    time.Time
	people int
	flying []claimed
	log    []string

	declines int // of 20 answers to bulk calls, so many say that Clerk takes none
}

type claimed struct {
	turn  Turn
	claim policy.Claim
}

func newPair(t *testing.T, seed uint64) *pair {
	r := rand.New(rand.NewPCG(seed, 5))
	pick := func(ls ...Limit) Limit { return ls[r.IntN(len(ls))] }
	hour := ClerkLimits
	cfg := Config{
		Limits: Limits{
			Single: pick(hour.Single, hour.Single, Limit{5, time.Minute}, Limit{1, time.Hour}, Limit{300, time.Second}, Limit{50, 10 * time.Second}, Limit{}),
			Bulk:   pick(hour.Bulk, hour.Bulk, Limit{2, time.Minute}, Limit{1, time.Hour}, Limit{100, time.Second}, Limit{}),
			Other:  pick(hour.Other, Limit{100, 10 * time.Second}, Limit{3, time.Second}, Limit{}),
		},
		Bulk: 1 + r.IntN(10), Reserve: []int{-1, -1, 0, 7, 500}[r.IntN(5)],
	}
	l := open(t, cfg)
	return &pair{t: t, r: r, l: l, now: start, m: policy.NewModel(l.cfg.Policy())}
}

func (p *pair) ms() float64 { return float64(p.now.UnixMilli()) }

func (p *pair) note(format string, args ...any) { p.log = append(p.log, fmt.Sprintf(format, args...)) }

func (p *pair) admit(lane tasks.Lane, n int) {
	p.note("admit %d %s", n, lane)
	for n > 0 {
		some := make([]tasks.Invite, min(n, 100))
		for i := range some {
			p.people++
			some[i] = invite(p.t, fmt.Sprintf("p%d@example.com", p.people))
			some[i].Lane = lane
		}
		admit(p.t, p.l, p.now, some...)
		p.m.Waiting[lane] += len(some)
		if lane == tasks.Interactive {
			p.m.Arrived += float64(len(some))
			p.m.ArrivedAt = p.ms()
		}
		n -= len(some)
	}
}

// expire forgets the claims that have run out; their members are unknown.
func (p *pair) expire() {
	left := p.flying[:0]
	for _, c := range p.flying {
		if c.turn.Deadline.After(p.now) {
			left = append(left, c)
		}
	}
	p.flying = left
}

func (p *pair) turn() {
	p.expire()
	got := turn(p.t, p.l, p.now)
	want := p.m.Turn(p.ms())
	var lanes [2]int
	for _, r := range got.Batch {
		lanes[r.Invite.Lane]++
	}
	p.note("%s: turn %s %v, wake %v %s; model %+v", p.now.Sub(start), got.Endpoint, lanes, got.Wake.Sub(start), got.Why, want)
	if string(got.Endpoint) != string(want.Action) || lanes != [2]int{want.Interactive, want.Import} || got.Probe != want.Probe {
		p.fail("they differ")
	}
	if want.Action != "" {
		p.flying = append(p.flying, claimed{got, want})
		return
	}
	wake := want.Wake
	for _, c := range p.flying {
		wake = math.Min(wake, float64(c.turn.Deadline.UnixMilli()))
	}
	if wake >= policy.Never && got.Wake.IsZero() {
		return
	}
	if got.Wake.UnixMilli() != int64(wake) {
		p.fail("they wake at different times")
	}
	if p.r.IntN(2) == 0 {
		p.now = time.UnixMilli(int64(math.Min(wake, p.ms()+3e7)))
	}
}

func (p *pair) settle() {
	p.expire()
	if len(p.flying) == 0 {
		return
	}
	i := p.r.IntN(len(p.flying))
	c := p.flying[i]
	p.flying = append(p.flying[:i:i], p.flying[i+1:]...)
	token, gate, to, answer, why := StampToken, GateChange{}, tasks.Pending, BulkUnjudged, tasks.Reason("")
	switch n := p.r.IntN(20); n {
	case 0:
		token, to, why = RefundToken, tasks.Queued, tasks.ReasonNotSent
		p.m.Refund(c.claim)
	case 1:
		until := p.now.Add(time.Duration(p.r.IntN(1000)) * time.Second)
		gate, to = GateChange{Endpoint: c.turn.Endpoint, Until: until, Surprise: true, Why: tasks.CauseQuota}, tasks.Queued
		why = tasks.ReasonQuota
		p.m.Refused(p.ms(), c.claim, float64(until.UnixMilli()))
	case 2:
		token, to, why = KeepToken, tasks.Unknown, tasks.ReasonNoClearAnswer
	default:
		if c.turn.Probe {
			gate = GateChange{Endpoint: c.turn.Endpoint, Open: true}
		}
		if c.turn.Endpoint == Bulk && n < 3+p.declines {
			answer, to, why = BulkRefused, tasks.Queued, tasks.ReasonBulkRefused
			p.m.Declined(p.ms(), c.claim)
			break
		}
		answer = BulkTaken
		if c.turn.Endpoint == Bulk {
			p.m.Taken()
		}
		p.m.Answered(p.ms(), c.claim)
	}
	p.note("%s: settle %s as %s, %q", p.now.Sub(start), c.turn.Endpoint, to, token)
	var members []Settlement
	for _, r := range c.turn.Batch {
		members = append(members, Settlement{ID: r.Invite.ID, Turn: r.Turn, To: to, Reason: why})
	}
	got, err := p.l.SettleTurn(p.t.Context(), p.now, c.turn, Ending{Token: token, Gate: gate, Bulk: answer, Members: members})
	if err != nil || len(got) != len(members) {
		p.fail(fmt.Sprintf("settled %d of %d, %v", len(got), len(members), err))
	}
}

func (p *pair) fail(what string) {
	p.t.Helper()
	p.t.Fatalf("%s, %+v\n%v", what, p.l.cfg, p.log[max(0, len(p.log)-12):])
}

// turn.lua and settle.lua do to Redis what the policy does to its model.
func TestTurnIsItsModel(t *testing.T) {
	smaller := 0
	for seed := range uint64(60) {
		p := newPair(t, seed)
		p.declines = []int{0, 2, 16}[seed%3]
		for range 120 {
			switch p.r.IntN(10) {
			case 0:
				p.admit(tasks.Interactive, 1+p.r.IntN(1+p.r.IntN(30)))
			case 1:
				p.admit(tasks.Import, 1+p.r.IntN(1+p.r.IntN(150)))
			case 2:
				p.now = p.now.Add(time.Duration(p.r.ExpFloat64()*float64([]int{10, 1000, 60000, 2e6}[p.r.IntN(4)])) * time.Millisecond)
			case 3, 4, 5:
				p.now = p.now.Add(time.Duration(1+p.r.IntN(200)) * time.Millisecond)
				p.settle()
			default:
				p.turn()
			}
			if p.m.BulkQ.MostUntil > p.ms() {
				smaller++
			}
		}
	}
	if smaller < 100 {
		t.Errorf("bulk calls were smaller in %d steps only", smaller)
	}
}
