package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

// finding is a broken promise, and the invite that it is about, if any.
type finding struct {
	id, what string
	doubled  bool   // somebody was invited twice
	address  string // whom it is about, if it is about no invite
}

// oracle judges a simulation that has ended, by Clerk's own history and by the
// ledger. It knows nothing of how the worker works.
type oracle struct {
	s        *simulation
	records  map[string]ledger.Record
	made     map[string][]clerksim.Invitation // by our id, which every invite carries as metadata
	byClerk  map[string]clerksim.Invitation
	mails    map[string]int // by Clerk's id
	calls    []clerksim.Call
	past     []happening
	byID     map[string][]happening
	excused  map[string]int // exceptions that the README names, and this world has met
	findings []finding
}

func (o *oracle) complain(id, format string, args ...any) {
	o.findings = append(o.findings, finding{id: id, what: fmt.Sprintf(format, args...)})
}

// judge returns everything that is wrong.
func (s *simulation) judge() []finding {
	o := &oracle{
		s: s, records: map[string]ledger.Record{}, made: map[string][]clerksim.Invitation{},
		byClerk: map[string]clerksim.Invitation{}, mails: map[string]int{}, calls: s.sim.Calls(),
		past: s.history(), byID: map[string][]happening{}, excused: map[string]int{},
	}
	for _, h := range o.past {
		o.byID[h.id] = append(o.byID[h.id], h)
	}
	for _, inv := range s.sim.Invitations() {
		o.byClerk[inv.ID] = inv
		if id := inviteOf(inv); id != "" {
			o.made[id] = append(o.made[id], inv)
		}
	}
	for _, m := range s.sim.MailLog() {
		o.mails[m.InvitationID]++
	}
	for _, p := range s.problems {
		o.complain("", "%s", p)
	}
	for _, i := range s.invites {
		o.invite(i)
	}
	o.owners()
	o.wishes()
	o.clicks()
	o.standstill()
	o.limits()
	o.ledger()
	o.privacy()
	for _, g := range s.gates.found {
		o.complain("", "%s", g)
	}
	s.excused = o.excused
	return o.findings
}

// inviteOf returns the id of the invite for which a call of ours made an invitation;
// "" if somebody else made it.
func inviteOf(inv clerksim.Invitation) string {
	id, _ := strings.CutPrefix(inv.RedirectURL, inviteURL)
	if inv.Foreign {
		return ""
	}
	return id
}

// invite checks the promise to one invite: one outcome, one mail at the most,
// and an outcome that is true.
func (o *oracle) invite(i *simInvite) {
	made := o.made[i.ID]
	mails := 0
	for _, inv := range made {
		mails += o.mails[inv.ID]
	}
	if (mails > 1 || len(made) > 1) && !o.mayBeTwo(i) {
		o.findings = append(o.findings, finding{id: i.ID, what: fmt.Sprintf("%d invitations, %d mails", len(made), mails), doubled: true})
	}
	if !i.accepted {
		return // the world ended before its producer was told; it may be there or not
	}
	found, err := o.s.calm.Get(context.Background(), i.ID)
	if err == nil && len(found) == 0 && o.s.lost(i.told) {
		o.excused["Redis has forgotten an invite"]++
		return
	}
	if err != nil || len(found) == 0 {
		o.complain(i.ID, "was accepted and is not in the ledger: %v", err)
		return
	}
	r := found[0]
	o.records[i.ID] = r
	bad := func(format string, args ...any) {
		o.complain(i.ID, "is %s (%s, attempts %d, crashes %d, revoke wanted %t): %s", r.State, r.Reason, r.Attempts, r.Crashes, r.RevokeWanted, fmt.Sprintf(format, args...))
	}
	if r.State.Open() || r.RevokeWanted {
		bad("it never ended")
		return
	}
	if n := len(o.byID[i.ID]); n > 1000 {
		bad("it has changed %d times", n)
	}
	if n := o.chargeable(i); r.Attempts > n {
		bad("only %d calls may have cost an attempt", n)
	}
	o.end(i, r, made, bad)
}

// end checks that the outcome of an invite is true.
func (o *oracle) end(i *simInvite, r ledger.Record, made []clerksim.Invitation, bad func(string, ...any)) {
	address := o.s.sim.ByAddress(i.EmailAddress.Raw())
	others := slices.ContainsFunc(address, func(inv clerksim.Invitation) bool { return inviteOf(inv) != i.ID })
	was := func(status clerksim.Status) bool {
		return slices.ContainsFunc(address, func(inv clerksim.Invitation) bool {
			return inv.Status == status || inv.Status == clerksim.StatusDeleted
		})
	}
	wish := o.lastWish(i)
	again := slices.ContainsFunc(o.byID[i.ID], func(h happening) bool { // by a person, who knew better
		return h.reason == string(tasks.ReasonQueuedByHand) && h.at.After(wish)
	})
	wanted := i.revoked && !again && !o.s.lost(wish)
	switch r.State {
	case tasks.Pending, tasks.Accepted, tasks.Expired, tasks.Revoked:
		inv, exists := o.byClerk[r.InvitationID]
		is := map[tasks.State]clerksim.Status{
			tasks.Accepted: clerksim.StatusAccepted, tasks.Expired: clerksim.StatusExpired, tasks.Revoked: clerksim.StatusRevoked,
		}[r.State]
		switch {
		case !exists:
			bad("Clerk knows no such invitation")
		case len(made) == 1 && made[0].ID != r.InvitationID && !o.notToBeTold(i, inv):
			bad("but its own invitation is another one")
		case wanted && inv.Status == clerksim.StatusPending:
			bad("somebody was told that it will be revoked, and it is pending at Clerk")
		case is != "" && inv.Status != is && inv.Status != clerksim.StatusDeleted:
			bad("but it is %s at Clerk", inv.Status)
		}
	case tasks.Canceled:
		// A call may arrive after we have looked twice in vain.
		if !i.asked || len(made) > 0 && !o.unseen(i, r, made) {
			bad("%d invitations were made; revoked %t", len(made), i.revoked)
		}
	case tasks.Rejected:
		if len(made) > 0 && !o.unseen(i, r, made) {
			bad("but Clerk has made its invitation")
		}
		switch r.Reason {
		case tasks.ReasonAlreadyInvited:
			user := o.s.users[i.EmailAddress.Key()] && o.s.plan.clerk.Switches.BulkUser == clerksim.BulkUserDuplicate
			if !others && !user && !slices.ContainsFunc(made, o.unnoticed) && !o.foreignForm(i) {
				bad("nobody else has ever invited them")
			}
		case tasks.ReasonExistingUser:
			if !o.s.users[i.EmailAddress.Key()] && !was(clerksim.StatusAccepted) {
				bad("they are no user")
			}
		case tasks.ReasonBlocked:
			if !o.s.blocked[i.EmailAddress.Key()] {
				bad("they are not blocked")
			}
		default:
			bad("for no reason that this world has")
		}
	case tasks.Failed:
		if wanted {
			bad("somebody was told that it will be revoked")
		}
		if len(made) > 0 && !o.unseen(i, r, made) {
			bad("but Clerk has made its invitation")
		}
		if !(r.Reason == tasks.ReasonAttempts && r.Attempts >= o.s.attempts || r.Reason == tasks.ReasonTooOld && i.within > 0) {
			bad("for no reason that this world has")
		}
	case tasks.Parked:
		if wanted {
			bad("somebody was told that it will be revoked")
		}
		if !o.mayBeParked(i, r, others) {
			bad("for no reason that this world has")
		}
	}
}

// mayBeParked reports whether a person has to decide indeed.
func (o *oracle) mayBeParked(i *simInvite, r ledger.Record, others bool) bool {
	switch r.Reason {
	case tasks.ReasonMayHaveBeenSent:
		return i.IgnoreExisting && (!o.s.resend || len(o.s.losses) > 0 || others)
	case tasks.ReasonOwnerUnclear:
		return !i.IgnoreExisting && (others || len(o.s.losses) > 0)
	case tasks.ReasonWorkersDied:
		return r.Crashes >= 3
	default:
		return false
	}
}

// unseen reports whether none of an invite's invitations could be seen when the
// ledger last decided about it: it was made later, was deleted, or a list lagged.
func (o *oracle) unseen(i *simInvite, r ledger.Record, made []clerksim.Invitation) bool {
	decided := r.UpdatedAt.Add(-o.s.plan.redisAhead)
	for _, inv := range made {
		lag := 10*time.Second + o.s.plan.clerk.Switches.Lag
		if inv.Made.Before(decided.Add(-lag)) && inv.Status != clerksim.StatusDeleted && !o.unnoticed(inv) && !o.foreignForm(i) {
			return false
		}
	}
	return true
}

// foreignForm reports whether Clerk shows the address in a form in which it cannot
// be told from another one.
func (o *oracle) foreignForm(i *simInvite) bool {
	if o.s.plan.clerk.Switches.EchoAddress != clerksim.EchoAddressUndotted || o.s.mark != "" && ownership.CanCarry(i.Invite, o.s.mark) {
		return false
	}
	o.excused["Clerk shows the address in another form, and there is no mark"]++
	return true
}

// lastWish is when somebody was told last that an invite will be revoked.
func (o *oracle) lastWish(i *simInvite) time.Time {
	var last time.Time
	for _, w := range o.s.wishes {
		if w.meant(i) && w.told.After(last) {
			last = w.told
		}
	}
	return last
}

// chargeable counts what may have cost an invite an attempt: calls for its address
// that Clerk did not answer with "wait", and answers that did not arrive.
func (o *oracle) chargeable(i *simInvite) int {
	n := 0
	for _, c := range o.calls {
		if c.Op != clerksim.OpCreate && c.Op != clerksim.OpBulkCreate || !slices.Contains(c.Addresses, i.EmailAddress.Key()) {
			continue
		}
		if c.Status != 429 && c.Status != 401 && (c.Status != 403 || c.Code != "") {
			n++
		}
	}
	for _, h := range o.byID[i.ID] {
		if h.to == "unknown" && h.reason == string(tasks.ReasonNoClearAnswer) {
			n++
		}
	}
	return n
}

// limits checks that no endpoint has seen more than its limit in any window.
func (o *oracle) limits() {
	l := o.s.limits
	// What arrives later than its claim lasts may come closer to the next call.
	const claim = 12 * time.Second
	slow := 2*o.s.plan.clerk.Latency.P999 > claim
	var slack time.Duration
	if slow {
		slack = 2*o.s.plan.clerk.Latency.P999 - claim
	}
	for ep, limit := range map[clerksim.Endpoint]ledger.Limit{clerksim.Single: l.Single, clerksim.Bulk: l.Bulk, clerksim.Other: l.Other} {
		if limit.Calls == 0 {
			continue
		}
		window := limit.Window - min(slack, limit.Window*9/10)
		if judged, from := o.peak(ep, window, claim); judged > limit.Calls+o.forgotten(ep, from) {
			o.complain("", "%s saw %d calls in %s; its limit is %d in %s", ep, judged, window, limit.Calls, limit.Window)
		}
		contained := !slices.Contains([]clerksim.Limiter{clerksim.LimiterWeighted, clerksim.LimiterHalfBucket}, o.s.plan.clerk.Switches.Limiter)
		if n := o.s.sim.Count429(ep); n > 0 && contained && !o.s.foreign && o.s.slow+2*o.s.plan.clerk.Latency.P999 <= claim && len(o.s.losses) == 0 {
			o.complain("", "%s refused %d calls although nobody else spends its limit", ep, n)
		}
	}
}

// peak is the most calls to an endpoint that fell in any window, those apart that
// arrived when they had been given up, and when that window began.
func (o *oracle) peak(ep clerksim.Endpoint, window, claim time.Duration) (most int, from time.Time) {
	var times []time.Time
	first := 0
	for _, c := range o.calls {
		if ep != clerksim.Other && ep != c.Endpoint || !c.Admitted && !c.Throttled || c.Fault.Delay > claim {
			continue
		}
		times = append(times, c.Time)
		for !times[first].After(c.Time.Add(-window)) {
			first++
		}
		if n := len(times) - first; n > most {
			most, from = n, times[first]
		}
	}
	return most, from
}

// forgotten counts the calls of an endpoint that Redis has forgotten and that no
// invitation at Clerk tells of, or where nobody could notice that it has: the README
// promises nothing about them.
func (o *oracle) forgotten(ep clerksim.Endpoint, since time.Time) int {
	n := 0
	for _, c := range o.calls {
		if (ep == clerksim.Other || ep == c.Endpoint) && c.Time.After(since.Add(-time.Minute)) && o.s.lost(c.Time) &&
			(c.Created == 0 || ep == clerksim.Other || o.unnoticedAt(c.Time)) {
			n++
		}
	}
	if n > 0 {
		o.excused["Redis has forgotten calls that made nothing"] += n
	}
	return n
}

// ledger checks that indexes, counts and records say the same.
func (o *oracle) ledger() {
	ctx := context.Background()
	view, err := o.s.calm.Overview(ctx, o.s.redisTime())
	if err != nil {
		o.complain("", "overview: %v", err)
		return
	}
	states := map[tasks.State]int64{}
	all, err := o.s.calm.Get(ctx, o.s.redis.HKeys(ctx, "inviteq:{default}:rec").Val()...)
	if err != nil {
		o.complain("", "records: %v", err)
	}
	for _, r := range all {
		states[r.State]++
	}
	for _, s := range tasks.States {
		if states[s] != view.States[s] {
			o.complain("", "%d records are %s, the index has %d", states[s], s, view.States[s])
		}
	}
	if busy := o.s.redis.HGetAll(ctx, "inviteq:{default}:busy").Val(); len(busy) > 0 && states[tasks.Unknown]+states[tasks.Sending] == 0 {
		for _, id := range busy {
			o.complain(id, "its address is held although nothing is under way")
		}
	}
	imports := map[string]map[tasks.State]int64{}
	for _, r := range o.records {
		if id := r.Invite.ImportID; id != "" {
			if imports[id] == nil {
				imports[id] = map[tasks.State]int64{}
			}
			imports[id][r.State]++
		}
	}
	for id, want := range imports {
		got, err := o.s.calm.Import(ctx, id)
		if err != nil || fmt.Sprint(got.States) != fmt.Sprint(want) {
			o.complain("", "import %s counts %v (%v), its records are %v", id, got.States, err, want)
		}
	}
}

// privacy looks for the canary where no address belongs.
func (o *oracle) privacy() {
	for line := range strings.Lines(o.s.logs()) {
		if strings.Contains(strings.ToLower(line), canary) || strings.Contains(line, "ticket") {
			o.complain("", "a log line holds an address or a ticket: %s", line)
			break
		}
	}
	ctx := context.Background()
	keys := o.s.redis.Scan(ctx, 0, "*", 10_000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		if key == "inviteq:{default}:rec" || key == "inviteq:{default}:revreq" {
			continue
		}
		if text := strings.ToLower(key + dump(ctx, o.s.redis, key)); strings.Contains(text, canary) || strings.Contains(text, "ticket") {
			o.complain("", "the Redis key %s holds an address or a ticket", key)
		}
	}
}

// dump returns everything that a key holds.
func dump(ctx context.Context, rdb *redis.Client, key string) string {
	switch rdb.Type(ctx, key).Val() {
	case "string":
		return rdb.Get(ctx, key).Val()
	case "hash":
		return fmt.Sprint(rdb.HGetAll(ctx, key).Val())
	case "list":
		return fmt.Sprint(rdb.LRange(ctx, key, 0, -1).Val())
	case "set":
		return fmt.Sprint(rdb.SMembers(ctx, key).Val())
	case "zset":
		return fmt.Sprint(rdb.ZRange(ctx, key, 0, -1).Val())
	case "stream":
		return fmt.Sprint(rdb.XRange(ctx, key, "-", "+").Val())
	}
	return ""
}

// story tells what happened around a finding: to its invite, or at the end.
func (s *simulation) story(f finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", f.id, f.what)
	address := f.address
	if f.id == "" && address == "" {
		return b.String()
	}
	for _, i := range s.invites {
		if i.ID == f.id {
			address = i.EmailAddress.Key()
			fmt.Fprintf(&b, "  %s handed in at %s, ignore_existing %t, quiet %t\n", i.Lane, i.at, i.IgnoreExisting, i.NoNotify)
		}
	}
	type moment struct {
		at   time.Time
		what string
	}
	var all []moment
	for _, c := range s.sim.Calls() {
		if slices.Contains(c.Addresses, address) {
			all = append(all, moment{c.Time, fmt.Sprintf("Clerk: %s of %d → %d %s, created %d, fault %+v", c.Op, len(c.Addresses), c.Status, c.Code, c.Created, c.Fault)})
		}
	}
	for _, inv := range s.sim.ByAddress(address) {
		all = append(all, moment{inv.Made, fmt.Sprintf("Clerk: made %s for %q (foreign %t), now %s since %s by Clerk's clock", inv.ID, inviteOf(inv), inv.Foreign, inv.Status, inv.UpdatedAt.Sub(s.began))})
	}
	for _, h := range s.history() {
		i := s.inviteBy(h.id)
		if h.id == f.id || f.id == "" && i != nil && i.EmailAddress.Key() == address {
			all = append(all, moment{h.at, fmt.Sprintf("ledger: "+h.id+": %s → %s (%s) %s", h.from, h.to, h.reason, h.invitation)})
		}
	}
	for _, n := range s.log {
		if strings.HasSuffix(n, " "+f.id) || strings.Contains(n, "phase 2") || strings.Contains(n, "Redis dies") || strings.Contains(n, "Redis is back,") {
			d, _ := time.ParseDuration(strings.Fields(n)[0])
			all = append(all, moment{s.began.Add(d), "world: " + strings.TrimSpace(n[12:])})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	for _, m := range all {
		fmt.Fprintf(&b, "  %12s  %s\n", m.at.Sub(s.began).Round(time.Millisecond), m.what)
	}
	return b.String()
}
