package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// simulation is a world in which a plan comes to pass.
type simulation struct {
	*world
	*plan
	errands  sync.WaitGroup // what producers and replaced workers still have to do
	problems []string       // found on the way, under the world's lock
	ended    time.Duration  // virtual time at which everything was settled

	naive func(*simInvite) // sends in place of workers and ledger, if set

	dice    *rand.Rand // under the world's lock
	over    atomic.Bool
	wishes  []*simWish // under the world's lock
	losses  []loss
	ids     map[string]*simInvite
	excused map[string]int
	waited  time.Duration // the longest that a click has waited, where that is promised
	saved   [][]any       // what Redis can be set back to
	savedAt time.Time
}

// simWish is a revoke that somebody asked for.
type simWish struct {
	target string
	begun  time.Time // when it was asked first
	told   time.Time // when the producer was told that it will be done; zero: never
}

// settleWithin is how long phase 2 may take: attempts may be an hour apart.
const settleWithin = 40 * time.Hour

// newSimulation must be called, like everything of it, inside a bubble.
func newSimulation(t testing.TB, p *plan) *simulation {
	t.Helper()
	s := &simulation{plan: p, dice: rand.New(rand.NewPCG(p.seed, 5))}
	cfg := p.clerk
	cfg.Fault = s.lurks
	if p.lifted {
		cfg.Limits = clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited, Other: clerksim.Unlimited}
	}
	w := newWorld(t, p.seed, cfg)
	s.world = w
	w.ahead.Store(int64(p.redisAhead))
	w.nameless.Store(p.nameless)
	if p.redisAhead != 0 { // calm has measured Redis' clock before
		var err error
		if w.calm, err = ledger.Open(t.Context(), w.redis, ledger.Config{EncryptionKeys: w.keys}); err != nil {
			t.Fatal(err)
		}
	}
	if p.mark != "" { // and every call has carried it for long
		if _, err := w.calm.PublishMark(t.Context(), w.redisTime().Add(-time.Hour), p.mark); err != nil {
			t.Fatal(err)
		}
	}
	w.tempo.deaf = !p.asynq
	if p.asynq {
		w.tempo.tasks, w.tempo.sweep = 5*time.Second, time.Minute
	}
	if p.long { // most of it would be polling
		w.tempo.beat, w.tempo.chores, w.tempo.idle, w.tempo.watch = time.Minute, 30*time.Second, 10*time.Minute, time.Hour
		w.tempo.tasks, w.tempo.due = time.Minute, time.Minute
	}
	w.reserve = p.reserve
	if p.lifted {
		w.limits.Single, w.limits.Bulk = ledger.Limit{}, ledger.Limit{}
	}
	w.change = append(w.change, func(c *Config) {
		c.Calls, c.MaxAttempts, c.ResendUnknown, c.NoScreening, c.Mark = p.calls, p.attempts, p.resend, p.noScreen, p.mark
		if !p.asynq {
			c.ReconcileEvery = -1 // Nobody would make the passes.
		}
	})
	return s
}

// run plays both phases and returns when everything is settled or should be.
func (s *simulation) run() {
	for _, i := range s.invites {
		if i.after > 0 {
			i.NotBefore = s.began.Add(i.after)
		}
		if i.within > 0 {
			i.Deadline = s.began.Add(i.within)
		}
	}
	// At the beginning all is well; events before the start shape the world.
	n := 0
	for ; n < len(s.events) && s.events[n].at < 0; n++ {
		s.events[n].do(s)
	}
	time.Sleep(5 * time.Minute) // what was there before us is old
	s.began = time.Now()
	for range s.plan.processes {
		if s.naive == nil {
			s.startAgain(0)
		}
	}
	s.hurts.set(func(h *hurts) {
		h.latency, h.drop, h.mute, h.late, h.stall = s.plan.wiring.latency, s.plan.wiring.drop, s.plan.wiring.mute, s.plan.wiring.late, s.plan.wiring.stall
	})
	for ; n < len(s.events); n++ {
		e := s.events[n]
		time.Sleep(time.Until(s.began.Add(e.at)))
		s.note("%s", e.name)
		e.do(s)
	}
	time.Sleep(time.Until(s.began.Add(s.length)))
	s.note("phase 2: no more faults")
	s.over.Store(true)
	s.refuse("")
	if s.plan.redisAhead.Abs() > ledger.MaxOffset {
		s.ahead.Store(0)
	}
	s.sim.SetReachable(true)
	s.hurts.set(func(h *hurts) { h.drop, h.mute, h.late, h.stall, h.refuse = 0, 0, 0, 0, false })
	s.errands.Wait()
	for end := time.Now().Add(settleWithin); time.Now().Before(end) && !s.settled(); {
		time.Sleep(time.Minute)
		if calls := s.sim.Count(clerksim.OpCreate) + s.sim.Count(clerksim.OpBulkCreate); calls > 30*len(s.invites)+1000 {
			s.problem("%d calls for %d invites, and no end", calls, len(s.invites))
			break
		}
		if s.sim.MaxMails() > 20 && !s.crowd {
			break // the oracle will say of whom
		}
	}
	time.Sleep(2 * time.Minute) // what is late arrives
	s.ended = time.Since(s.began)
}

// settled reports whether nothing is open any more.
func (s *simulation) settled() bool {
	o, err := s.calm.Overview(context.Background(), s.redisTime())
	if err != nil {
		s.problem("overview: %v", err)
		return true
	}
	for state, n := range o.States {
		if state.Open() && n > 0 {
			return false
		}
	}
	ctx := context.Background()
	return s.redis.ZCard(ctx, "inviteq:{default}:revoke").Val() == 0 && s.redis.ZCard(ctx, "inviteq:{default}:watch").Val() == 0
}

func (s *simulation) problem(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// insist repeats what a producer does until it succeeds, as its contract says.
func (s *simulation) insist(do func(context.Context) error) {
	s.errands.Go(func() {
		for {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			err := do(ctx)
			cancel()
			if err == nil {
				return
			}
			time.Sleep(3 * time.Second)
		}
	})
}

func (s *simulation) invite(i *simInvite) {
	if s.naive != nil {
		s.errands.Go(func() { s.naive(i) })
		return
	}
	s.hand(i)
	s.insist(func(ctx context.Context) error {
		_, err := s.producer.Invite(ctx, i.Invite)
		if err == nil {
			s.mu.Lock()
			i.accepted, i.told = true, time.Now()
			s.mu.Unlock()
			s.nudge(len(i.ID))
		}
		return s.onlyRedis(err)
	})
}

// hand notes when invites were asked for first.
func (s *simulation) hand(invites ...*simInvite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range invites {
		if i.handed.IsZero() {
			i.handed = time.Now()
		}
	}
}

func (s *simulation) importAll(id string, members []*simInvite) {
	if s.naive != nil {
		for _, i := range members {
			s.errands.Go(func() { s.naive(i) })
		}
		return
	}
	s.hand(members...)
	s.insist(func(ctx context.Context) error {
		var list iter.Seq2[tasks.Invite, error] = func(yield func(tasks.Invite, error) bool) {
			for _, i := range members {
				if !yield(i.Invite, nil) {
					return
				}
			}
		}
		_, err := s.producer.BulkInvite(ctx, list, enqueue.BulkOptions{ImportID: id})
		if err == nil {
			s.mu.Lock()
			for _, i := range members {
				i.accepted, i.told = true, time.Now()
			}
			s.mu.Unlock()
			s.nudge(len(members))
		}
		return s.onlyRedis(err)
	})
}

func (s *simulation) revoke(target string) {
	w := &simWish{target: target, begun: time.Now()}
	s.mu.Lock()
	s.wishes = append(s.wishes, w)
	for _, i := range s.invites {
		if i.ID == target || strings.EqualFold(i.EmailAddress.Raw(), target) {
			i.asked = true
		}
	}
	s.mu.Unlock()
	s.insist(func(ctx context.Context) error {
		found, err := s.producer.Revoke(ctx, target)
		if errors.Is(err, enqueue.ErrNotFound) {
			return nil
		}
		if err == nil {
			s.mu.Lock()
			w.told = time.Now()
			for _, r := range found {
				if r.RequestID != "" && !s.asynq && s.naive == nil {
					s.errands.Go(func() { s.carryOut(r.RequestID) })
				}
				if r.Verdict != enqueue.Canceled && r.Verdict != enqueue.RevokeAsked {
					continue
				}
				for _, i := range s.invites {
					i.revoked = i.revoked || i.ID == r.ID
				}
			}
			s.mu.Unlock()
		}
		return s.onlyRedis(err)
	})
}

// carryOut does a request as asynq's task would, where there is no asynq.
func (s *simulation) carryOut(request string) {
	for n := 0; ; n++ {
		if time.Since(s.began) > s.length+settleWithin {
			s.problem("the request %s never ended", request)
			return
		}
		if w := s.one(n); w != nil {
			done, _, err := w.handlers.revokes.target(context.Background(), tasks.Revoke{ID: request}, request)
			if err == nil && done {
				return
			}
		}
		time.Sleep(10 * time.Second)
	}
}

// onlyRedis passes errors on that go away, and complains about the others.
func (s *simulation) onlyRedis(err error) error {
	_, invalid := errors.AsType[*tasks.ValidationError](err)
	_, conflict := errors.AsType[*enqueue.ConflictError](err)
	if invalid || conflict {
		s.problem("a producer was told: %v", err)
		return nil
	}
	return err
}

// startAgain starts a worker, after a while, as often as it takes.
func (s *simulation) startAgain(after time.Duration) {
	s.errands.Go(func() {
		time.Sleep(after)
		for {
			w, err := s.start()
			if err == nil {
				s.note("%s starts", w.name)
				s.errands.Go(func() { s.mourn(w) })
				return
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// mourn replaces a worker that has ended by itself, as an orchestrator does.
func (s *simulation) mourn(w *simWorker) {
	// Phase 2 waits for errands, not for workers.
	select {
	case <-w.ended:
		if w.err != nil && !w.killed {
			s.note("%s ended by itself: %v", w.name, w.err)
			s.startAgain(5 * time.Second)
		}
	case <-time.After(time.Until(s.began.Add(s.length))):
	}
}

func (s *simulation) one(n int) *simWorker {
	live := s.alive()
	if len(live) == 0 {
		return nil
	}
	return live[n%len(live)]
}

func (s *simulation) killSoon(n, awaits int, back time.Duration) {
	w := s.one(n)
	if w == nil {
		return
	}
	w.wire.arm(awaits, func() {
		s.note("%s is killed", w.name)
		w.killed = true
		s.gone(w)
		w.cancel()
		s.startAgain(back)
	})
}

// shutdownWithin is the default of Config.ShutdownTimeout.
const shutdownWithin = 35 * time.Second

func (s *simulation) restart(n int) {
	w := s.one(n)
	if w == nil {
		return
	}
	s.errands.Go(func() {
		if d := s.stop(w); d > shutdownWithin && !w.killed {
			s.problem("%s took %s to shut down", w.name, d)
		}
		s.startAgain(0)
	})
}
