package worker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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

	// What kind of world it is: every draw is made by itself, and they meet.
	long       bool // days, in which little happens
	gentle     bool // nothing fails: clicks must not wait
	lifted     bool // no limits, and many strangers are invited
	forgetful  bool // Redis goes back
	late       bool // calls arrive up to the bound late
	crowd      bool // forty invites for one address
	mark       string
	nameless   bool          // Redis does not tell who it is
	redisAhead time.Duration // its clock is so far ahead, in phase 1
	lurk       float64       // how many of our creates somebody else is quicker or slower than
	lie        float64       // how many bulks of two or more are refused and carried out, against all that is documented
	mimic      float64       // how much of what somebody else makes looks like ours
	repeats    float64       // how much of what Redis lost is asked for again
	wait       time.Duration // how long a click may wait; 0: nothing is promised

	clerk     clerksim.Config
	wiring    hurts // of phase 1
	events    []event
	invites   []*simInvite
	users     map[string]bool // addresses that were users from the start
	blocked   map[string]bool
	foreign   bool          // another program eats the quota
	fenceless bool          // many ask for ignore_existing: Clerk refuses no second one
	slow      time.Duration // the longest delay before a request is committed
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
	handed   time.Time     // when it was first asked for
	told     time.Time     // when the producer was told, last, that it is accepted
	accepted bool          // the producer was told so
	asked    bool          // somebody wanted it back
	revoked  bool          // somebody wanted it back, and was told that it will be so
}

// inviteURL begins the redirect URL of every invite, and its id ends it: Clerk shows
// it to nobody but the oracle.
const inviteURL = "https://app.example.com/i/"

// The addresses are canaries: none may turn up where no address belongs.
const canary = "canary"

func drawPlan(seed uint64, length time.Duration) *plan {
	r := rand.New(rand.NewPCG(seed, 0x1e77e5))
	p := &plan{
		users: map[string]bool{}, blocked: map[string]bool{},
		seed: seed, length: length, processes: 1 + r.IntN(4), asynq: seed%10 == 9, reserve: ledger.AutoReserve, calls: 1 + r.IntN(4),
	}
	p.kind(r)
	p.resend = chance(r, 0.2)
	p.noScreen = chance(r, 0.4)
	p.attempts = pick(r, 12, 12, 3)
	if chance(r, 0.3) && !p.gentle {
		p.reserve = r.IntN(30)
	}
	p.clerk = clerksim.Config{
		Seed: seed, Switches: clerksim.DrawSwitches(r),
		Latency: clerksim.Latency{Median: 190 * time.Millisecond, P999: pick(r, 1800*time.Millisecond, 6*time.Second, 20*time.Second)},
	}
	p.clocks(r)
	p.people(r)
	if !p.gentle {
		p.wires(r)
		p.clerkFaults(r)
		p.processFaults(r)
		p.others(r)
		p.strangers(r)
		p.goesBack(r)
	} else {
		p.promise()
	}
	slices.SortStableFunc(p.events, func(a, b event) int { return int(a.at - b.at) })
	return p
}

// kind draws what sets one world apart from another. A long one has as many faults
// as a short one, over days.
func (p *plan) kind(r *rand.Rand) {
	if p.long = p.seed%5 == 3; p.long {
		p.length *= longer
		p.processes = min(p.processes, 2)
	}
	p.gentle = p.seed%12 == 5
	p.forgetful = chance(r, 0.35)
	p.late = chance(r, 0.35)
	p.lifted = chance(r, 0.1) && !p.gentle && !p.long
	p.crowd = chance(r, 0.08)
	if chance(r, 0.35) {
		p.mark = "inviteq_id"
	}
	p.nameless = chance(r, 0.15)
	p.lurk, p.mimic = some(r, 0.2), pick(r, 0, 0.2, 0.7)
	p.lie = pick(r, 0, 0, 0, 0, 0.1)
	p.repeats = pick(r, 0, 0.5, 1)
}

// longer is by how much a world of days is longer than others.
const longer = 96

// kinds names what kind of world it is.
func (p *plan) kinds() []string {
	var names []string
	for name, is := range map[string]bool{
		"long": p.long, "gentle": p.gentle, "lifted": p.lifted, "forgetful": p.forgetful && !p.gentle, "late": p.late && !p.gentle, "crowd": p.crowd && !p.gentle,
		"mark": p.mark != "", "asynq": p.asynq, "nameless": p.nameless, "strangers": p.lurk > 0 && !p.gentle,
		"apart": p.redisAhead.Abs() > ledger.MaxOffset, "skewed": p.redisAhead != 0 || p.clerk.ClockOffset != 0, "fenceless": p.fenceless,
	} {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// is reports whether a world has all of the kinds, separated by commas, and none of
// those that begin with a minus.
func (p *plan) is(kinds string) bool {
	have := p.kinds()
	for kind := range strings.FieldsFuncSeq(kinds, func(r rune) bool { return r == ',' }) {
		name, not := strings.CutPrefix(kind, "-")
		if slices.Contains(have, name) == not {
			return false
		}
	}
	return true
}

// promise makes a world in which a click may be promised a time: nothing fails, and
// sixty people an hour click at the most, whatever lists there are. Then a click
// needs no more than a token, which a burst may have to wait for.
func (p *plan) promise() {
	p.clerk.Switches.BulkMax = clerksim.BulkMax
	p.clerk.Latency = clerksim.TypicalLatency
	p.lurk, p.lie = 0, 0
	p.wait = 15 * time.Second
}

// clocks draws how far Redis' clock and Clerk's are ahead of the one that all
// processes share: what meets the ledger and Clerk only through them cannot tell
// its own clock from theirs.
func (p *plan) clocks(r *rand.Rand) {
	if p.gentle || !chance(r, 0.35) {
		return
	}
	either := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(2*d))) - d }
	p.redisAhead = either(ledger.MaxOffset - 2*time.Second)
	p.clerk.ClockOffset = p.redisAhead + either(50*time.Second)
	if chance(r, 0.1) { // nothing is sent until somebody sets it right
		p.redisAhead = ledger.MaxOffset + 5*time.Second + either(4*time.Second)
		if chance(r, 0.5) {
			p.redisAhead = -p.redisAhead
		}
		p.clerk.ClockOffset = 0
	}
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
	ignore, quiet, late := pick(r, 0, some(r, 0.5), 0.6), some(r, 0.3), some(r, 0.3)
	p.fenceless = ignore > 0.1
	alike := pick(r, 0, 0.3) // how many have the same content
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
		i.ID = fmt.Sprintf("sim-%d-%d", p.seed, len(p.invites))
		i.EmailAddress, i.Lane, i.ImportID = address(), lane, importID
		i.RedirectURL = inviteURL + i.ID
		i.PublicMetadata = []byte(`{"invite":"` + i.ID + `"}`)
		if chance(r, alike) {
			i.PublicMetadata = []byte(pick(r, `{"plan":"pro","seats":30.0,"note":null}`, `{"n":12345678901234567890,"a":[1,null,{"b":1e2}]}`))
		}
		if chance(r, 0.1) {
			i.ExpiresInDays = 1 + r.IntN(3)
		}
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
	rate := pick(r, 10.0, 60, 150)
	switch {
	case p.long:
		rate = pick(r, 1.0, 2, 4)
	case p.gentle:
		rate = min(rate, 60)
	}
	for t := time.Duration(0); ; {
		if t += time.Duration(r.ExpFloat64() * float64(time.Hour) / rate); t >= p.length {
			break
		}
		i := add(t, tasks.Interactive, "")
		p.at(t, func(s *simulation) { s.invite(i) }, "invite %s", i.ID)
		if chance(r, 0.05) {
			p.at(t+time.Duration(r.IntN(60_000))*time.Millisecond, func(s *simulation) { s.invite(i) }, "invite %s again", i.ID)
		}
	}
	if p.crowd {
		p.oneAddress(r, add)
	}
	for n := range r.IntN(4) {
		at, id := p.when(r), fmt.Sprintf("imp_%d", n)
		var members []*simInvite
		for range 5 + r.IntN(100) {
			members = append(members, add(at, tasks.Import, id))
		}
		p.at(at, func(s *simulation) { s.importAll(id, members) }, "import of %d", len(members))
	}
	if p.gentle {
		return
	}
	for range int(some(r, 0.3) * float64(len(p.invites))) {
		i := p.invites[r.IntN(len(p.invites))]
		at := i.at + time.Duration(r.ExpFloat64()*float64(pick(r, 2*time.Second, time.Minute, 20*time.Minute)))
		if !chance(r, 0.4) {
			p.at(at, func(s *simulation) { s.revoke(i.ID) }, "revoke %s", i.ID)
			continue
		}
		// All for the address, whoever has made them; then it is invited anew.
		p.at(at, func(s *simulation) { s.revoke(i.EmailAddress.Raw()) }, "revoke whatever the address has, for %s", i.ID)
		if chance(r, 0.6) {
			p.anew(r, add, i, at+time.Duration(r.ExpFloat64()*float64(pick(r, time.Second, 10*time.Second, 5*time.Minute))))
		}
	}
}

// anew invites somebody again who was invited before.
func (p *plan) anew(r *rand.Rand, add func(time.Duration, tasks.Lane, string) *simInvite, before *simInvite, at time.Duration) {
	i := add(at, tasks.Interactive, "")
	i.EmailAddress, i.within = before.EmailAddress, 0
	if chance(r, 0.3) {
		i.PublicMetadata = before.PublicMetadata
	}
	p.at(at, func(s *simulation) { s.invite(i) }, "invite %s", i.ID)
}

// oneAddress draws forty invites for one address, a revoke of them all, and one that
// comes later.
func (p *plan) oneAddress(r *rand.Rand, add func(time.Duration, tasks.Lane, string) *simInvite) {
	at := time.Duration(r.Int64N(int64(p.length / 2)))
	first := add(at, tasks.Interactive, "")
	for n := range 40 {
		p.anew(r, add, first, at+time.Duration(n*r.IntN(20))*time.Second)
	}
	over := at + time.Duration(40*r.IntN(20))*time.Second
	p.at(over, func(s *simulation) { s.revoke(first.EmailAddress.Raw()) }, "revoke the forty of one address")
	p.anew(r, add, first, over+time.Duration(r.IntN(60_000))*time.Millisecond)
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
		p.at(at, func(s *simulation) { s.refuse(text) }, "Redis answers %.7s for %s", text, lasts)
		p.at(at+lasts, func(s *simulation) { s.refuse("") }, "Redis is back")
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
		{Delay: time.Duration(r.Int64N(int64(30 * time.Second)))}, {Kind: clerksim.Huge}, {Hold: time.Duration(r.Int64N(int64(time.Minute)))},
		{Kind: clerksim.DropAfter, Delay: time.Duration(r.Int64N(int64(90 * time.Second)))},
		{Lag: time.Duration(r.Int64N(int64(10 * time.Second)))},
	} {
		rate := some(r, 0.12)
		if r.IntN(3) > 0 || rate == 0 {
			continue
		}
		if f.Kind == clerksim.Huge && p.clerk.Switches.BulkPartial {
			continue // A 403 of which nothing can be read is the edge's; this one would have taken effect.
		}
		p.slow = max(p.slow, f.Delay)
		rule := clerksim.Rule{Fault: f, Rate: rate, Until: p.length}
		if chance(r, 0.5) {
			rule.Op = pick(r, clerksim.OpCreate, clerksim.OpBulkCreate)
		}
		p.clerk.Rules = append(p.clerk.Rules, rule)
	}
	if p.late {
		for range 1 + r.IntN(3) {
			delay := time.Duration(r.Int64N(int64(ledger.ArrivalBound)))
			p.slow = max(p.slow, delay)
			p.clerk.Rules = append(p.clerk.Rules, clerksim.Rule{
				Op: pick(r, clerksim.OpCreate, clerksim.OpBulkCreate), Fault: clerksim.Fault{Delay: delay}, Rate: 0.02 + 0.2*r.Float64(), Until: p.length,
			})
		}
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
	hours := p.length.Hours()
	if p.long {
		hours = min(hours, 1) * 2
	}
	for range int(some(r, 60) * hours) {
		n, awaits, back := r.IntN(8), 1+r.IntN(12), time.Duration(r.ExpFloat64()*float64(20*time.Second))
		p.at(p.when(r), func(s *simulation) { s.killSoon(n, awaits, back) }, "a worker dies at one of its next %d awaits", awaits)
	}
	for range int(some(r, 30) * hours) {
		n := r.IntN(8)
		p.at(p.when(r), func(s *simulation) { s.restart(n) }, "a worker is restarted")
	}
}

// others draws what other people do.
func (p *plan) others(r *rand.Rand) {
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
		do := pick(r, (*clerksim.Sim).RevokeInDashboard, (*clerksim.Sim).Accept, deleteInDashboard)
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

func deleteInDashboard(sim *clerksim.Sim, address string) error {
	for _, inv := range sim.ByAddress(address) {
		_ = sim.Delete(inv.ID) // what is gone already
	}
	return nil
}
