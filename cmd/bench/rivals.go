package bench

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

// Strategy is a way to deliver, played on a scenario.
type Strategy struct {
	Name string
	Run  func(*Scenario, Setup) Result
}

// Strategies are inviteq's and its rivals. All meet the same arrivals, limiter
// and latency; none of them knows the lanes but inviteq.
var Strategies = []Strategy{
	{"inviteq", Run},
	{"one by one, Retry-After", func(s *Scenario, u Setup) Result { return rival(s, u, &loop{action: policy.Single, most: 1}) }},
	{"asynq task per invite", func(s *Scenario, u Setup) Result { return rival(s, u, &perInvite{}) }},
	{"asynq groups, 60 s", func(s *Scenario, u Setup) Result { return rival(s, u, &groups{grace: 60000}) }},
	{"late batches, bulk only", func(s *Scenario, u Setup) Result {
		return rival(s, u, &loop{action: policy.Bulk, most: 10, pause: 100})
	}},
}

// contestant is a rival's decisions.
type contestant interface {
	arrive(g *game, now float64, a Arrival)
}

func rival(s *Scenario, setup Setup, c contestant) Result {
	g := newGame(s, setup)
	arrivals := s.Arrivals(g.setup.Seed)
	for _, a := range arrivals {
		g.events.at(epoch+ms(a.At), func(now float64) { c.arrive(g, now, a) })
	}
	return g.play(arrivals)
}

// call sends people and tells how it ended: retry is the Retry-After of a
// refusal, and negative if Clerk has taken them. Should Clerk not have one of several,
// it takes none: they are sent again one by one.
func (g *game) call(now float64, action policy.Action, people []Arrival, then func(now, retry float64)) {
	took := latency(g.random)
	g.events.at(now+took, func(later float64) {
		if retry, ok := g.clerk.of(action).admit(later); !ok {
			g.refused(later)
			then(later, retry)
			return
		}
		g.Calls++
		if slices.ContainsFunc(people, func(a Arrival) bool { return a.Blocked }) {
			if len(people) == 1 {
				g.Rejected++
			} else {
				for _, a := range people {
					g.alone(later, action, a)
				}
			}
			then(later, -1)
			return
		}
		for _, a := range people {
			g.Deliveries = append(g.Deliveries, Delivery{a, since(now)})
		}
		then(later, -1)
	})
}

// alone sends one person until Clerk has answered with something else than 429.
func (g *game) alone(now float64, action policy.Action, a Arrival) {
	g.call(now, action, []Arrival{a}, func(now, retry float64) {
		if retry >= 0 {
			g.events.at(now+retry, func(now float64) { g.alone(now, action, a) })
		}
	})
}

// loop sends the oldest, as many as a call of its kind takes, and after a 429 sleeps for
// as long as it is told.
type loop struct {
	action policy.Action
	most   int
	pause  float64 // before the first call, in ms: invites that arrive at the same time come along
	queue  []Arrival
	busy   bool
}

func (l *loop) arrive(g *game, now float64, a Arrival) {
	l.queue = append(l.queue, a)
	if !l.busy {
		l.busy = true
		g.events.at(now+l.pause, func(now float64) { l.send(g, now) })
	}
}

func (l *loop) send(g *game, now float64) {
	l.busy = len(l.queue) > 0
	if !l.busy {
		return
	}
	n := min(l.most, len(l.queue))
	g.call(now, l.action, l.queue[:n], func(now, retry float64) {
		if retry < 0 {
			l.queue = l.queue[n:]
			l.send(g, now)
			return
		}
		g.events.at(now+retry, func(now float64) { l.send(g, now) })
	})
}

// perInvite is a task each, ten at a time, with asynq's own delays (v0.26.0:
// n⁴ + 15 + rand(30)·(n+1) seconds) and its 25 retries; then it is archived and
// never sent.
type perInvite struct {
	ready []try
	busy  int
}

type try struct {
	people []Arrival
	n      int
}

const (
	asynqWorkers = 10
	asynqRetries = 25
)

// asynqDelay is asynq's DefaultRetryDelayFunc, in ms.
func asynqDelay(r *rand.Rand, n int) float64 {
	return 1000 * (math.Pow(float64(n), 4) + 15 + float64(r.IntN(30)*(n+1)))
}

func (p *perInvite) arrive(g *game, now float64, a Arrival) {
	p.ready = append(p.ready, try{people: []Arrival{a}})
	p.work(g, now, policy.Single)
}

func (p *perInvite) work(g *game, now float64, action policy.Action) {
	for p.busy < asynqWorkers && len(p.ready) > 0 {
		t := p.ready[0]
		p.ready = p.ready[1:]
		p.busy++
		g.call(now, action, t.people, func(now, retry float64) {
			p.busy--
			if retry >= 0 && t.n < asynqRetries {
				g.events.at(now+asynqDelay(g.random, t.n), func(now float64) {
					p.ready = append(p.ready, try{t.people, t.n + 1})
					p.work(g, now, action)
				})
			}
			p.work(g, now, action)
		})
	}
}

// groups are asynq's: a batch is made when the group has been quiet for the
// grace period, has ten members, or is ten grace periods old; it is sent by
// bulk, and retried as it is.
type groups struct {
	perInvite
	grace  float64
	group  []Arrival
	first  float64
	newest float64
}

func (p *groups) arrive(g *game, now float64, a Arrival) {
	if len(p.group) == 0 {
		p.first = now
	}
	p.group, p.newest = append(p.group, a), now
	if len(p.group) >= 10 {
		p.flush(g, now)
		return
	}
	g.events.at(now+p.grace, func(now float64) {
		if len(p.group) > 0 && (now-p.newest >= p.grace || now-p.first >= 10*p.grace) {
			p.flush(g, now)
		}
	})
}

func (p *groups) flush(g *game, now float64) {
	p.ready = append(p.ready, try{people: p.group})
	p.group = nil
	p.work(g, now, policy.Bulk)
}
