package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// simulation is a world in which a plan comes to pass.
type simulation struct {
	*world
	*plan
	errands  sync.WaitGroup // what producers and replaced workers still have to do
	problems []string       // found on the way, under the world's lock
	ended    time.Duration  // virtual time at which everything was settled

	naive func(*simInvite) // sends in place of workers and ledger, if set
}

// settleWithin is how long phase 2 may take: attempts may be an hour apart.
const settleWithin = 40 * time.Hour

// newSimulation must be called, like everything of it, inside a bubble.
func newSimulation(t testing.TB, p *plan) *simulation {
	t.Helper()
	w := newWorld(t, p.seed, p.clerk)
	w.tempo.deaf = !p.asynq
	if p.asynq {
		w.tempo.tasks, w.tempo.sweep = 5*time.Second, time.Minute
	}
	w.reserve = p.reserve
	w.change = append(w.change, func(c *Config) {
		c.Calls, c.MaxAttempts, c.ResendUnknown, c.NoScreening = p.calls, p.attempts, p.resend, p.noScreen
	})
	return &simulation{world: w, plan: p}
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
	s.mini.SetError("")
	s.sim.SetReachable(true)
	s.hurts.set(func(h *hurts) { h.drop, h.mute, h.late, h.stall, h.refuse = 0, 0, 0, 0, false })
	s.errands.Wait()
	for end := time.Now().Add(settleWithin); time.Now().Before(end) && !s.settled(); {
		time.Sleep(time.Minute)
		if calls := s.sim.Count(clerksim.OpCreate) + s.sim.Count(clerksim.OpBulkCreate); calls > 30*len(s.invites)+1000 {
			s.problem("%d calls for %d invites, and no end", calls, len(s.invites))
			break
		}
		if s.sim.MaxMails() > 20 {
			break // the oracle will say of whom
		}
	}
	time.Sleep(2 * time.Minute) // what is late arrives
	s.ended = time.Since(s.began)
}

// settled reports whether nothing is open any more.
func (s *simulation) settled() bool {
	o, err := s.calm.Overview(context.Background(), time.Now())
	if err != nil {
		s.problem("overview: %v", err)
		return true
	}
	for state, n := range o.States {
		if state.Open() && n > 0 {
			return false
		}
	}
	return s.redis.ZCard(context.Background(), "inviteq:{default}:revoke").Val() == 0
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
	s.insist(func(ctx context.Context) error {
		_, err := s.producer.Invite(ctx, i.Invite)
		if err == nil {
			s.mu.Lock()
			i.accepted = true
			s.mu.Unlock()
			s.nudge(len(i.ID))
		}
		return s.onlyRedis(err)
	})
}

func (s *simulation) importAll(id string, members []*simInvite) {
	if s.naive != nil {
		for _, i := range members {
			s.errands.Go(func() { s.naive(i) })
		}
		return
	}
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
				i.accepted = true
			}
			s.mu.Unlock()
			s.nudge(len(members))
		}
		return s.onlyRedis(err)
	})
}

func (s *simulation) revoke(target string) {
	s.mu.Lock()
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
			for _, r := range found {
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
