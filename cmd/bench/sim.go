package bench

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

// Setup says how a scenario is run.
type Setup struct {
	Seed    uint64
	Workers int                                             // Defaults to 1.
	Slots   int                                             // Calls that a worker has in flight at most. Defaults to 4.
	Limiter clerksim.Limiter                                // Defaults to the sliding log.
	Watch   func(now float64, m *policy.Model, sent [2]int) // Called after a worker has taken its turns, if set.
}

func (s Setup) withDefaults() Setup {
	if s.Workers == 0 {
		s.Workers = 1
	}
	if s.Slots == 0 {
		s.Slots = 4
	}
	if s.Limiter == "" {
		s.Limiter = clerksim.LimiterSliding
	}
	return s
}

// policyConfig is a scenario's configuration for the policy's model.
func policyConfig(s *Scenario) policy.Config {
	return ledger.Config{Limits: s.Quota(), Reserve: s.Reserve, Bulk: ledger.BulkSize, ClaimTTL: 25 * time.Second}.Policy()
}

// latency draws how long a call takes (ms), as seen at Clerk: 160 to 250 ms,
// sometimes up to two seconds.
func latency(r *rand.Rand) float64 {
	l := 160 * math.Exp(math.Abs(r.NormFloat64())*0.3)
	return math.Min(l, 2200)
}

// event is something that happens in the simulator.
type event struct {
	at  float64
	seq int
	do  func(now float64)
}

type events struct {
	heap []event
	seq  int
	now  float64
}

func (e *events) Len() int { return len(e.heap) }
func (e *events) Less(i, j int) bool {
	a, b := e.heap[i], e.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
func (e *events) Swap(i, j int) { e.heap[i], e.heap[j] = e.heap[j], e.heap[i] }
func (e *events) Push(x any)    { e.heap = append(e.heap, x.(event)) }
func (e *events) Pop() any {
	last := e.heap[len(e.heap)-1]
	e.heap = e.heap[:len(e.heap)-1]
	return last
}

// at runs something at a time, in whole milliseconds as the clock has.
func (e *events) at(t float64, do func(now float64)) {
	e.seq++
	heap.Push(e, event{math.Max(math.Ceil(t), e.now), e.seq, do})
}

func (e *events) run(until float64, done func() bool) {
	for len(e.heap) > 0 && !done() {
		next := heap.Pop(e).(event)
		if next.at > until {
			return
		}
		e.now = next.at
		next.do(e.now)
	}
}

// clerk is the simulated other side: two limiters.
type clerkSide struct{ single, bulk *counter }

func newClerkSide(s *Scenario, kind clerksim.Limiter, r *rand.Rand) clerkSide {
	return clerkSide{newCounter(kind, s.Quota().Single, r), newCounter(kind, s.Quota().Bulk, r)}
}

func (c clerkSide) of(a policy.Action) *counter {
	if a == policy.Bulk {
		return c.bulk
	}
	return c.single
}

// game is what every strategy is played in.
type game struct {
	Result
	setup  Setup
	random *rand.Rand
	events events
	clerk  clerkSide
}

func newGame(s *Scenario, setup Setup) *game {
	setup = setup.withDefaults()
	r := rand.New(rand.NewPCG(setup.Seed, 1))
	return &game{
		Result: Result{Scenario: s}, setup: setup, random: r, clerk: newClerkSide(s, setup.Limiter, r), events: events{now: epoch},
	}
}

// play lets everything happen that is to happen.
func (g *game) play(arrivals []Arrival) Result {
	g.Arrived = len(arrivals)
	g.events.run(epoch+ms(g.Scenario.Length), func() bool {
		return g.Scenario.Drain && len(g.Deliveries)+g.Rejected == len(arrivals)
	})
	g.end(arrivals, since(g.events.now))
	return g.Result
}

func (g *game) refused(now float64) {
	g.Refused++
	g.RefusedAt = append(g.RefusedAt, since(now))
}

func since(now float64) time.Duration {
	return time.Duration((now - epoch) * float64(time.Millisecond))
}

// Run plays a scenario on the policy's model: dispatchers that take turns, sleep
// until they are told to, and are nudged by arrivals.
func Run(s *Scenario, setup Setup) Result {
	run := &run{game: newGame(s, setup), model: policy.NewModel(policyConfig(s))}
	run.workers = make([]worker, run.setup.Workers)
	arrivals := s.Arrivals(run.setup.Seed)
	for i := 0; i < len(arrivals); {
		j := i
		for j < len(arrivals) && arrivals[j].At == arrivals[i].At {
			j++
		}
		group := arrivals[i:j]
		run.events.at(epoch+ms(arrivals[i].At), func(now float64) { run.arrive(now, group) })
		i = j
	}
	return run.play(arrivals)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// epoch is when scenarios begin (Unix ms). Limiters that count in aligned windows
// have an offset of their own.
const epoch = 1_800_000_000_000

type worker struct {
	flying int
	timer  int // the latest; earlier ones are void
}

type run struct {
	*game
	model   *policy.Model
	workers []worker
	lanes   [2][]Arrival
	alone   [2][]Arrival // those of a lane that go one by one
	sent    [2]int       // claimed and not given back
}

func (r *run) arrive(now float64, group []Arrival) {
	for _, a := range group {
		r.lanes[a.Lane] = append(r.lanes[a.Lane], a)
		r.model.Waiting[a.Lane]++
		if a.Lane == tasks.Interactive {
			r.model.Arrived++
			r.model.ArrivedAt = now
		}
	}
	r.turns(now, r.random.IntN(len(r.workers)))
}

// turns lets a worker take turns until it must wait.
func (r *run) turns(now float64, w int) {
	k := &r.workers[w]
	for k.flying < r.setup.Slots {
		c := r.model.Turn(now)
		if c.Action == "" {
			k.timer++
			if mine := k.timer; c.Wake < policy.Never {
				r.events.at(math.Min(c.Wake, now+10000000), func(now float64) {
					if r.workers[w].timer == mine {
						r.turns(now, w)
					}
				})
			}
			break
		}
		k.flying++
		r.call(now, w, c)
	}
	if r.setup.Watch != nil {
		r.setup.Watch(now, r.model, r.sent)
	}
}

func take(from *[]Arrival, n int) []Arrival {
	taken := (*from)[:n:n]
	*from = (*from)[n:]
	return taken
}

func (r *run) call(now float64, w int, c policy.Claim) {
	lanes := &r.lanes
	if c.OneByOne {
		lanes = &r.alone
	}
	people, rows := take(&lanes[0], c.Interactive), take(&lanes[1], c.Import)
	all := slices.Concat(people, rows)
	r.sent[0] += c.Interactive
	r.sent[1] += c.Import
	took := latency(r.random)
	var retry float64
	var ok bool
	r.events.at(now+took*r.random.Float64(), func(now float64) { retry, ok = r.clerk.of(c.Action).admit(now) })
	r.events.at(now+took, func(later float64) {
		r.workers[w].flying--
		blocked := slices.ContainsFunc(all, func(a Arrival) bool { return a.Blocked })
		switch {
		case !ok:
			r.refused(later)
			r.model.Refused(later, c, later+retry)
			r.sent[0] -= c.Interactive
			r.sent[1] -= c.Import
			lanes[0], lanes[1] = slices.Concat(people, lanes[0]), slices.Concat(rows, lanes[1])
		case blocked && len(all) > 1: // Any of them may be the one: they go one by one from now on.
			r.Calls++
			r.model.Answered(later, c)
			r.sent[0] -= c.Interactive
			r.sent[1] -= c.Import
			for lane, some := range [2][]Arrival{people, rows} {
				r.alone[lane] = append(r.alone[lane], some...)
				r.model.OneByOne[lane] += len(some)
			}
		default:
			r.Calls++
			r.model.Answered(later, c)
			if blocked {
				r.Rejected++
				break
			}
			for _, a := range all {
				r.Deliveries = append(r.Deliveries, Delivery{a, since(now)})
			}
		}
		r.turns(later, w)
	})
}
