package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
)

// TestSimulationCatchesANaiveSender lets a sender that repeats whatever did not
// succeed loose on the same worlds. If the oracle does not see what it does, the
// simulation proves nothing.
func TestSimulationCatchesANaiveSender(t *testing.T) {
	doubled := 0
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			p := drawPlan(seed, time.Hour/4)
			for _, i := range p.invites {
				i.IgnoreExisting = true // as in scripts that are tired of duplicate_record
			}
			s := newSimulation(t, p)
			defer s.close()
			s.naive = naiveSender(t, s)
			s.run()
			for _, f := range s.judge() {
				if f.doubled {
					doubled++
				}
			}
		})
	}
	t.Logf("the naive sender invited %d people twice or more", doubled)
	if doubled == 0 {
		t.Error("the oracle has not seen that a naive sender mails people twice")
	}
}

// naiveSender posts an invite until Clerk has answered yes or never.
func naiveSender(t *testing.T, s *simulation) func(*simInvite) {
	t.Helper()
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: clerksim.PipeURL, DialContext: s.sim.DialContext, Breaker: clerk.Breaker{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	s.closers = append(s.closers, c.Close)
	return func(i *simInvite) {
		for range 20 {
			_, err := c.Create(t.Context(), params(i.Invite, ""))
			if err == nil || asError(err).Kind.Permanent() {
				return
			}
			time.Sleep(min(max(asError(err).RetryAfter, 5*time.Second), time.Hour))
		}
	}
}

// TestShutdownSettlesWhatIsUnderWay ends a worker in the middle of its call.
func TestShutdownSettlesWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, clerksim.Config{Latency: clerksim.Latency{Median: 4 * time.Second}})
		defer w.close()
		s, err := w.start()
		if err != nil {
			t.Fatal(err)
		}
		i := person(1)
		i.ID = "slow"
		if _, err := w.producer.Invite(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		s.dispatcher.wake.nudge()
		time.Sleep(time.Second)
		if took := w.stop(s); took < 2*time.Second || took > shutdownWithin || s.err != nil {
			t.Errorf("shutdown took %s: %v", took, s.err)
		}
		r, err := w.calm.Get(t.Context(), i.ID)
		if err != nil || len(r) != 1 || r[0].State != tasks.Pending || w.sim.Count(clerksim.OpList) > 0 {
			t.Errorf("got %v (%v) after %d reads, want pending after none", r[0].State, err, w.sim.Count(clerksim.OpList))
		}
	})
}
