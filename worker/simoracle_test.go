package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// finding is a broken promise, and the invite that it is about, if any.
type finding struct {
	id, what string
	doubled  bool // somebody was invited twice
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
	o.limits()
	o.ledger()
	o.privacy()
	for _, g := range s.gates.found {
		o.complain("", "%s", g)
	}
	return o.findings
}

// inviteOf reads the invite's id out of the metadata that it went with.
func inviteOf(inv clerksim.Invitation) string {
	var m struct{ Invite string }
	if json.Unmarshal(inv.PublicMetadata, &m) != nil {
		return ""
	}
	return m.Invite
}

// invite checks the promise to one invite: one outcome, one mail at the most,
// and an outcome that is true.
func (o *oracle) invite(i *simInvite) {
	made := o.made[i.ID]
	mails := 0
	for _, inv := range made {
		mails += o.mails[inv.ID]
	}
	if mails > 1 || len(made) > 1 {
		o.findings = append(o.findings, finding{i.ID, fmt.Sprintf("%d invitations, %d mails", len(made), mails), true})
	}
	if !i.accepted {
		return // the world ended before its producer was told; it may be there or not
	}
	found, err := o.s.calm.Get(context.Background(), i.ID)
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
	if n := o.chargeable(i); r.Attempts > n {
		bad("only %d calls may have cost an attempt", n)
	}
	address := o.s.sim.ByAddress(i.EmailAddress.Raw())
	switch r.State {
	case tasks.Pending, tasks.Accepted, tasks.Expired, tasks.Revoked:
		inv, exists := o.byClerk[r.InvitationID]
		owner := inviteOf(inv)
		switch {
		case !exists:
			bad("Clerk knows no such invitation")
		case len(made) == 1 && made[0].ID != r.InvitationID:
			bad("but its own invitation is another one")
		case owner != "" && owner != i.ID:
			bad("but the invitation is that of %s", owner)
		case i.revoked && inv.Status == clerksim.StatusPending:
			bad("somebody was told that it will be revoked, and it is pending at Clerk")
		case r.State == tasks.Revoked && inv.Status != clerksim.StatusRevoked:
			bad("but it is %s at Clerk", inv.Status)
		}
	case tasks.Canceled:
		// A call may arrive after we have looked twice in vain.
		looked := r.UpdatedAt.Add(-5*time.Second - o.s.plan.clerk.Switches.Lag)
		if !i.asked || len(made) > 0 && made[0].CreatedAt.Before(looked) {
			bad("%d invitations were made; revoked %t", len(made), i.revoked)
		}
	case tasks.Rejected:
		if len(made) > 0 {
			bad("but Clerk has made its invitation")
		}
		known := slices.ContainsFunc(address, func(inv clerksim.Invitation) bool { return inviteOf(inv) != i.ID })
		accepted := slices.ContainsFunc(address, func(inv clerksim.Invitation) bool { return inv.Status == clerksim.StatusAccepted })
		switch r.Reason {
		case tasks.ReasonAlreadyInvited:
			user := o.s.users[i.EmailAddress.Key()] && o.s.plan.clerk.Switches.BulkUser == clerksim.BulkUserDuplicate
			if !known && !user {
				bad("nobody else has ever invited them")
			}
		case tasks.ReasonExistingUser:
			if !o.s.users[i.EmailAddress.Key()] && !accepted {
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
		if i.revoked {
			bad("somebody was told that it will be revoked")
		}
		// A call may have been committed after we had looked twice in vain.
		if len(made) > 0 && made[0].CreatedAt.Before(r.UpdatedAt.Add(-10*time.Second-o.s.slow)) {
			bad("but Clerk has made its invitation")
		}
		if !(r.Reason == tasks.ReasonAttempts && r.Attempts >= o.s.attempts || r.Reason == tasks.ReasonTooOld && i.within > 0) {
			bad("for no reason that this world has")
		}
	case tasks.Parked:
		if i.revoked {
			bad("somebody was told that it will be revoked")
		}
		if !(r.Reason == tasks.ReasonMayHaveBeenSent && i.IgnoreExisting && !o.s.resend || r.Reason == tasks.ReasonWorkersDied && r.Crashes >= 3) {
			bad("for no reason that this world has")
		}
	}
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
	for _, m := range o.s.redis.XRange(context.Background(), "inviteq:{default}:events", "-", "+").Val() {
		if m.Values["id"] == i.ID && m.Values["to"] == "unknown" && m.Values["reason"] == string(tasks.ReasonNoClearAnswer) {
			n++
		}
	}
	return n
}

// limits checks that no endpoint has seen more than its limit in any window.
func (o *oracle) limits() {
	l := o.s.limits
	// What arrives later than its claim lasts may come closer to the next call.
	slack := max(0, o.s.slow+2*o.s.plan.clerk.Latency.P999-12*time.Second)
	for ep, limit := range map[clerksim.Endpoint]ledger.Limit{clerksim.Single: l.Single, clerksim.Bulk: l.Bulk, clerksim.Other: l.Other} {
		window := limit.Window - min(slack, limit.Window*9/10)
		if _, judged := o.s.sim.Peak(ep, window); judged > limit.Calls {
			o.complain("", "%s saw %d calls in %s; its limit is %d in %s", ep, judged, window, limit.Calls, limit.Window)
		}
		contained := !slices.Contains([]clerksim.Limiter{clerksim.LimiterWeighted, clerksim.LimiterHalfBucket}, o.s.plan.clerk.Switches.Limiter)
		if n := o.s.sim.Count429(ep); n > 0 && contained && !o.s.foreign && slack == 0 {
			o.complain("", "%s refused %d calls although nobody else spends its limit", ep, n)
		}
	}
}

// ledger checks that indexes, counts and records say the same.
func (o *oracle) ledger() {
	ctx := context.Background()
	view, err := o.s.calm.Overview(ctx, time.Now())
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
	if f.id == "" {
		return b.String()
	}
	address := ""
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
		all = append(all, moment{inv.CreatedAt, fmt.Sprintf("Clerk: made %s for %q, now %s since %s", inv.ID, inviteOf(inv), inv.Status, inv.UpdatedAt.Sub(s.began))})
	}
	for _, m := range s.redis.XRange(context.Background(), "inviteq:{default}:events", "-", "+").Val() {
		if m.Values["id"] == f.id {
			var at int64
			_, _ = fmt.Sscan(fmt.Sprint(m.Values["at"]), &at)
			all = append(all, moment{time.UnixMilli(at), fmt.Sprintf("ledger: %v → %v (%v) %v", m.Values["from"], m.Values["to"], m.Values["reason"], m.Values["invitation_id"])})
		}
	}
	for _, n := range s.log {
		if strings.HasSuffix(n, " "+f.id) || strings.Contains(n, "phase 2") {
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
