package worker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSimulation plays many small worlds in virtual time: the shipped workers
// between a Redis and a Clerk that both misbehave, while workers die and people
// interfere; then everything is well and all must end. The promises are checked
// over Clerk's own history. A failure names its seed:
//
//	make sim SEED=42
//
// INVITEQ_SIM_SEEDS is how many worlds are played (100) from INVITEQ_SIM_FROM (0)
// on, INVITEQ_SIM_HOURS how long each has faults (0.5; a world of days is that much
// longer), INVITEQ_SIM_KIND plays only worlds of some kinds (late,-long: plan.kinds),
// and INVITEQ_SIM_SEED plays one only, with its story and logs.
func TestSimulation(t *testing.T) {
	hours := setting(t, "INVITEQ_SIM_HOURS", 0.5)
	length := time.Duration(hours * float64(time.Hour))
	if s := os.Getenv("INVITEQ_SIM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal("INVITEQ_SIM_SEED must be a number")
		}
		simulate(t, seed, length, true, new(tally))
		return
	}
	var total tally
	t.Cleanup(func() { t.Log(total.String()) })
	from := uint64(setting(t, "INVITEQ_SIM_FROM", 0))
	for seed := range uint64(setting(t, "INVITEQ_SIM_SEEDS", 100)) {
		seed += from
		if !drawPlan(seed, length).is(os.Getenv("INVITEQ_SIM_KIND")) {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed, length, false, &total)
		})
	}
}

func setting(t *testing.T, name string, unset float64) float64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return unset
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 {
		t.Fatalf("%s must be a number that is not negative", name)
	}
	return n
}

// simulate plays one seed.
func simulate(t *testing.T, seed uint64, length time.Duration, aloud bool, total *tally) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := drawPlan(seed, length)
		s := newSimulation(t, p)
		s.run()
		findings := s.judge()
		if aloud {
			t.Log(p.String())
			t.Log("\n" + strings.Join(s.world.log, "\n"))
			t.Log("\n" + s.logs())
		}
		if len(findings) > 0 {
			t.Errorf("seed %d: %d promises are broken; to see it all: make sim SEED=%d HOURS=%g\n%s", seed, len(findings), seed, length.Hours(), p)
		}
		for n, f := range findings {
			if n == 5 {
				t.Errorf("and %d more", len(findings)-n)
				break
			}
			t.Error(s.story(f))
		}
		total.add(s)
		s.close()
	})
}

// tally counts what the simulations were made of.
type tally struct {
	mu      sync.Mutex
	worlds  int
	hours   time.Duration
	invites int
	mails   int
	calls   int
	faults  map[string]int
	kinds   map[string]float64 // virtual hours
	excused map[string]int
	waited  time.Duration
}

func (c *tally) add(s *simulation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults == nil {
		c.faults, c.kinds, c.excused = map[string]int{}, map[string]float64{}, map[string]int{}
	}
	for _, kind := range s.plan.kinds() {
		c.kinds[kind] += s.ended.Hours()
	}
	for why, n := range s.excused {
		c.excused[why] += n
	}
	c.waited = max(c.waited, s.waited)
	c.worlds++
	c.hours += s.ended
	for _, i := range s.invites {
		if i.accepted {
			c.invites++
		}
	}
	c.mails += s.sim.Stats().Mails
	for _, call := range s.sim.Calls() {
		c.calls++
		f := call.Fault
		switch {
		case f.Kind != "":
			c.faults["clerk: "+string(f.Kind)]++
		case f.Delay > 0 || f.Hold > 0:
			c.faults["clerk: slow"]++
		case f.Lag > 0:
			c.faults["clerk: lagging read"]++
		}
	}
	for name, n := range s.hurts.lost {
		c.faults[name] += n
	}
	for _, w := range s.workers {
		if w.killed {
			c.faults["worker killed"]++
		}
	}
	for _, line := range s.world.log {
		for _, what := range []string{"restarted", "Redis refuses", "Redis answers", "Clerk is down", "Clerk cannot", "a human acts", "another program", "Redis is back, without", "somebody else invites", "retries", "is paused"} {
			if strings.Contains(line, what) {
				c.faults[what]++
			}
		}
	}
}

func (c *tally) String() string {
	sum := 0
	for _, n := range c.faults {
		sum += n
	}
	hours := map[string]int{}
	for kind, h := range c.kinds {
		hours[kind] = int(h)
	}
	return fmt.Sprintf("%d worlds, %.0f virtual hours, %d invites, %d mails, %d calls, %d faults: %v\nhours by kind: %v\nexceptions that the README names: %v\nlongest click where a time is promised: %s",
		c.worlds, c.hours.Hours(), c.invites, c.mails, c.calls, sum, c.faults, hours, c.excused, c.waited)
}

// String says what kind of world it is.
func (p *plan) String() string {
	var rules []string
	for _, r := range p.clerk.Rules {
		rules = append(rules, fmt.Sprintf("%s:%s+%s %.1f%%", r.Op, r.Fault.Kind, (r.Fault.Delay+r.Fault.Hold+r.Fault.Lag).Round(time.Second), 100*r.Rate))
	}
	return fmt.Sprintf("%v, mark %q, Redis %s ahead, Clerk %s ahead\n%d workers with %d calls, asynq %t, resend %t, screening %t, %d attempts, %d invites, reserve %d\nClerk: %s\n  %s\nRedis: %s, drop %.3f, mute %.3f, late %.3f, stall %.3f",
		p.kinds(), p.mark, p.redisAhead, p.clerk.ClockOffset, p.processes, p.calls, p.asynq, p.resend, !p.noScreen, p.attempts, len(p.invites), p.reserve, p.clerk.Switches, strings.Join(rules, ", "),
		p.wiring.latency, p.wiring.drop, p.wiring.mute, p.wiring.late, p.wiring.stall)
}
