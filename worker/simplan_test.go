package worker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// plan is a seed unfolded: everything that chance decides about a simulation
// before it begins. What goroutines do at the same virtual moment is not in it,
// so a replay meets the same world, but not always the same race.
type plan struct {
	seed      uint64
	length    time.Duration // of phase 1
	processes int
	asynq     bool
	reserve   int
	calls     int
	resend    bool
	noScreen  bool
	attempts  int

	clerk   clerksim.Config
	wiring  hurts // of phase 1
	events  []event
	invites []*simInvite
	users   map[string]bool // addresses that were users from the start
	blocked map[string]bool
	foreign bool          // another program eats the quota
	slow    time.Duration // the longest delay before a request is committed
}

// event is something that happens to the world at a moment of phase 1.
type event struct {
	at   time.Duration
	name string
	do   func(*simulation)
}

// simInvite is an invite of a plan, and what the oracle must know of it.
type simInvite struct {
	tasks.Invite
	at       time.Duration
	after    time.Duration // not before this; 0: at once
	within   time.Duration // too old after this; 0: never
	accepted bool          // the producer was told so
	asked    bool          // somebody wanted it back
	revoked  bool          // somebody wanted it back, and was told that it will be so
}

// The addresses are canaries: none may turn up where no address belongs.
const canary = "canary"

func drawPlan(seed uint64, length time.Duration) *plan {
	r := rand.New(rand.NewPCG(seed, 0x1e77e5))
	p := &plan{seed: seed, length: length, processes: 1 + r.IntN(4), asynq: seed%10 == 9, reserve: ledger.AutoReserve, calls: 1 + r.IntN(4)}
	p.resend = chance(r, 0.2)
	p.noScreen = chance(r, 0.4)
	p.attempts = pick(r, 12, 12, 3)
	if chance(r, 0.3) {
		p.reserve = r.IntN(30)
	}
	switches := clerksim.DrawSwitches(r)
	// What the worker does not survive yet: bulks that are too large for Clerk, and
	// lists that show an address in another form.
	switches.BulkMax = 10
	if switches.EchoAddress != clerksim.EchoAddressAsSent {
		switches.EchoAddress = clerksim.EchoAddressLower
	}
	p.clerk = clerksim.Config{
		Seed: seed, Switches: switches,
		Latency: clerksim.Latency{Median: 190 * time.Millisecond, P999: pick(r, 1800*time.Millisecond, 6*time.Second, 20*time.Second)},
	}
	p.people(r)
	p.wires(r)
	p.clerkFaults(r)
	p.processFaults(r)
	p.others(r)
	slices.SortStableFunc(p.events, func(a, b event) int { return int(a.at - b.at) })
	return p
}

func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// some returns a rate that is often nothing, mostly small and sometimes brutal.
func some(r *rand.Rand, most float64) float64 {
	switch r.IntN(4) {
	case 0, 1:
		return 0
	case 2:
		return most * r.Float64() / 8
	}
	return most * r.Float64()
}

func (p *plan) when(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(p.length))) }

func (p *plan) at(at time.Duration, do func(*simulation), name string, args ...any) {
	p.events = append(p.events, event{at, fmt.Sprintf(name, args...), do})
}

// people draws who is invited, when, and how.
func (p *plan) people(r *rand.Rand) {
	ignore, quiet, late := some(r, 0.5), some(r, 0.3), some(r, 0.3)
	next := 0
	address := func() tasks.Email {
		n := next
		if next > 0 && chance(r, 0.06) {
			n = r.IntN(next) // somebody who is invited twice
		} else {
			next++
		}
		s := fmt.Sprintf("%s.%d@Example.com", canary, n)
		if chance(r, 0.1) {
			s = fmt.Sprintf("Canary.%d@example.com", n) // the same person
		}
		e, err := tasks.ParseEmail(s)
		if err != nil {
			panic(err) // the format above is an address
		}
		return e
	}
	add := func(at time.Duration, lane tasks.Lane, importID string) *simInvite {
		i := &simInvite{at: at}
		i.ID = fmt.Sprintf("inq_%d_%d", p.seed, len(p.invites))
		i.EmailAddress, i.Lane, i.ImportID = address(), lane, importID
		i.PublicMetadata = []byte(`{"invite":"` + i.ID + `"}`)
		i.IgnoreExisting, i.NoNotify = chance(r, ignore), chance(r, quiet)
		if chance(r, late) {
			i.after = at + time.Duration(r.Int64N(int64(20*time.Minute)))
		}
		if chance(r, late/3) {
			i.within = at + 20*time.Minute + time.Duration(r.Int64N(int64(time.Hour)))
		}
		p.invites = append(p.invites, i)
		return i
	}
	for rate, t := pick(r, 10.0, 60, 150), time.Duration(0); ; {
		if t += time.Duration(r.ExpFloat64() * float64(time.Hour) / rate); t >= p.length {
			break
		}
		i := add(t, tasks.Interactive, "")
		p.at(t, func(s *simulation) { s.invite(i) }, "invite %s", i.ID)
		if chance(r, 0.05) {
			p.at(t+time.Duration(r.IntN(60_000))*time.Millisecond, func(s *simulation) { s.invite(i) }, "invite %s again", i.ID)
		}
	}
	for n := range r.IntN(4) {
		at, id := p.when(r), fmt.Sprintf("imp_%d", n)
		var members []*simInvite
		for range 5 + r.IntN(100) {
			members = append(members, add(at, tasks.Import, id))
		}
		p.at(at, func(s *simulation) { s.importAll(id, members) }, "import of %d", len(members))
	}
	for range int(some(r, 0.3) * float64(len(p.invites))) {
		i := p.invites[r.IntN(len(p.invites))]
		target, name := i.ID, "revoke %s"
		if chance(r, 0.3) { // and all others for the address, whoever has made them
			target, name = i.EmailAddress.Raw(), "revoke whatever the address has, for %s"
		}
		p.at(i.at+time.Duration(r.ExpFloat64()*float64(pick(r, 2*time.Second, time.Minute, 20*time.Minute))),
			func(s *simulation) { s.revoke(target) }, name, i.ID)
	}
}

// wires draws what happens between workers, producer and Redis.
func (p *plan) wires(r *rand.Rand) {
	p.wiring.latency = pick(r, 0, 5*time.Millisecond, 50*time.Millisecond)
	p.wiring.drop, p.wiring.mute = some(r, 0.05), some(r, 0.05)
	p.wiring.late, p.wiring.stall = some(r, 0.03), some(r, 0.03)
	for range r.IntN(3) {
		at, lasts := p.when(r), time.Duration(r.ExpFloat64()*float64(30*time.Second))
		if chance(r, 0.5) {
			p.at(at, func(s *simulation) { s.hurts.set(func(h *hurts) { h.refuse = true }) }, "Redis refuses connections for %s", lasts)
			p.at(at+lasts, func(s *simulation) { s.hurts.set(func(h *hurts) { h.refuse = false }) }, "Redis is back")
			continue
		}
		text := pick(r, "LOADING Redis is loading the dataset in memory", "OOM command not allowed when used memory > 'maxmemory'.",
			"NOPERM this user has no permissions", "READONLY You can't write against a read only replica.")
		p.at(at, func(s *simulation) { s.mini.SetError(text) }, "Redis answers %.7s for %s", text, lasts)
		p.at(at+lasts, func(s *simulation) { s.mini.SetError("") }, "Redis is back")
	}
}

// clerkFaults draws what Clerk, and the network to it, do wrong.
func (p *plan) clerkFaults(r *rand.Rand) {
	absurd := func() string {
		return pick(r, "0", "1", "7", "-5", "999999999", "99999999999999999999", "soon", "1.5", "Fri, 31 Dec 2100 23:59:59 GMT", "")
	}
	for _, f := range []clerksim.Fault{
		{Kind: clerksim.DropBefore}, {Kind: clerksim.DropAfter}, {Kind: clerksim.ErrorBefore, Status: pick(r, 500, 503, 504)},
		{Kind: clerksim.ErrorAfter, Status: pick(r, 500, 503, 504)}, {Kind: clerksim.GatewayBefore}, {Kind: clerksim.GatewayAfter},
		{Kind: clerksim.Overload, RetryAfter: absurd()}, {Kind: clerksim.Throttle, RetryAfter: absurd()}, {Kind: clerksim.Locked},
		{Kind: clerksim.Truncate}, {Kind: clerksim.Malformed}, {Kind: clerksim.Empty}, {Kind: clerksim.Short}, {Kind: clerksim.PartialBulk},
		{Kind: clerksim.Redirect}, {Kind: clerksim.EdgeBlock}, {Kind: clerksim.Unauthorized},
		{Delay: time.Duration(r.Int64N(int64(30 * time.Second)))}, {Hold: time.Duration(r.Int64N(int64(time.Minute)))},
		{Kind: clerksim.DropAfter, Delay: time.Duration(r.Int64N(int64(90 * time.Second)))},
		{Lag: time.Duration(r.Int64N(int64(10 * time.Second)))},
	} {
		rate := some(r, 0.12)
		if r.IntN(3) > 0 || rate == 0 {
			continue
		}
		p.slow = max(p.slow, f.Delay)
		rule := clerksim.Rule{Fault: f, Rate: rate, Until: p.length}
		if chance(r, 0.5) {
			rule.Op = pick(r, clerksim.OpCreate, clerksim.OpBulkCreate)
		}
		p.clerk.Rules = append(p.clerk.Rules, rule)
	}
	for range r.IntN(3) {
		at, lasts := p.when(r), time.Duration(r.ExpFloat64()*float64(10*time.Minute))
		f := pick(r, clerksim.Fault{}, clerksim.Fault{Kind: clerksim.GatewayBefore}, clerksim.Fault{Kind: clerksim.ErrorAfter},
			clerksim.Fault{Kind: clerksim.Unauthorized}, clerksim.Fault{Hold: time.Minute})
		lasts = min(lasts, p.length-at)
		p.at(at, func(s *simulation) { s.sim.Outage(lasts, f) }, "Clerk is down for %s (%s)", lasts.Round(time.Second), f.Kind)
	}
	for range r.IntN(2) {
		at, lasts := p.when(r), time.Duration(r.ExpFloat64()*float64(2*time.Minute))
		p.at(at, func(s *simulation) { s.sim.SetReachable(false) }, "Clerk cannot be reached for %s", lasts.Round(time.Second))
		p.at(at+lasts, func(s *simulation) { s.sim.SetReachable(true) }, "Clerk can be reached")
	}
}

// processFaults draws when workers die or are shut down.
func (p *plan) processFaults(r *rand.Rand) {
	for range int(some(r, 60) * p.length.Hours()) {
		n, awaits, back := r.IntN(8), 1+r.IntN(12), time.Duration(r.ExpFloat64()*float64(20*time.Second))
		p.at(p.when(r), func(s *simulation) { s.killSoon(n, awaits, back) }, "a worker dies at one of its next %d awaits", awaits)
	}
	for range int(some(r, 30) * p.length.Hours()) {
		n := r.IntN(8)
		p.at(p.when(r), func(s *simulation) { s.restart(n) }, "a worker is restarted")
	}
}

// others draws what other people do.
func (p *plan) others(r *rand.Rand) {
	p.users, p.blocked = map[string]bool{}, map[string]bool{}
	pickAddress := func() string { return fmt.Sprintf("%s.%d@example.com", canary, r.IntN(len(p.invites)+5)) }
	for range r.IntN(10) {
		a := pickAddress()
		p.users[a] = true
		p.at(-1, func(s *simulation) { s.sim.AddUser(a) }, "somebody is a user already")
	}
	for range r.IntN(8) {
		a := pickAddress()
		p.at(-1, func(s *simulation) { _, _ = s.sim.CreateForeign(a) }, "somebody is invited already")
	}
	for range r.IntN(4) {
		a := pickAddress()
		p.blocked[a] = true
		p.at(-1, func(s *simulation) { s.sim.BlockAddress(a) }, "somebody is blocked")
	}
	for range int(some(r, 40)) {
		a := pickAddress()
		do := pick(r, (*clerksim.Sim).RevokeInDashboard, (*clerksim.Sim).Accept)
		p.at(p.when(r), func(s *simulation) { _ = do(s.sim, a) }, "a human acts")
	}
	if chance(r, 0.25) {
		p.foreign = true
		for range 1 + r.IntN(8) {
			ep, n := pick(r, clerksim.Single, clerksim.Bulk), 1+r.IntN(40)
			p.at(p.when(r), func(s *simulation) { s.sim.SpendForeign(ep, n) }, "another program makes %d calls", n)
		}
	}
}
