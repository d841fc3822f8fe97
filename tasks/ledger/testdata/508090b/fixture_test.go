package worker

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/ledger"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// TestFixture writes a ledger with every word of this commit to FIXTURE. It belongs
// in the folder worker of commit 508090b, whose code it runs:
//
//	FIXTURE=ledger.txt go test ./worker -run TestFixture
//
// Each line of the fixture is one command, its words quoted as Go does; the
// prefix of the keys is left out.
func TestFixture(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	f := &fixture{stage: s, now: time.Now().Add(-6 * time.Hour), cfg: &Config{MaxAttempts: 1}}
	f.calls()
	f.looks()
	f.wishes()
	f.atClerk()
	f.open()
	f.pass()
	f.gates()
	f.dump()
}

type fixture struct {
	*stage
	now time.Time
	cfg *Config
	n   int
}

// give admits an invite under an id that says what becomes of it.
func (f *fixture) give(id string, change ...func(*tasks.Invite)) {
	f.t.Helper()
	f.n++
	f.now = f.now.Add(time.Minute)
	i := person(f.n)
	i.ID, i.ImportID, i.Lane = id, "imp_old", tasks.Import
	for _, c := range change {
		c(&i)
	}
	f.admitAt(f.now, i)
}

// claim takes the turn of the one invite that waits.
func (f *fixture) claim(id string) (ledger.Turn, ledger.Record) {
	f.t.Helper()
	f.now = f.now.Add(time.Second)
	turn, err := f.ledger.Turn(f.t.Context(), f.now, tasks.NewID("turn"))
	if err != nil || len(turn.Batch) != 1 || turn.Batch[0].Invite.ID != id {
		f.t.Fatalf("claimed %+v, %v; want %s alone", turn, err, id)
	}
	return turn, turn.Batch[0]
}

func (f *fixture) settle(turn ledger.Turn, members ...ledger.Settlement) {
	f.t.Helper()
	f.now = f.now.Add(time.Second)
	token := ledger.StampToken
	if turn.ID == "" {
		token = ledger.KeepToken // a reading
	}
	settled, err := f.ledger.Settle(f.t.Context(), f.now, turn, token, ledger.GateChange{}, members)
	if err != nil || len(settled) != len(members) {
		f.t.Fatalf("settled %d of %+v, %v", len(settled), members, err)
	}
}

// later keeps a queued invite from being claimed.
func (f *fixture) later(s ledger.Settlement) ledger.Settlement {
	if s.To == ledger.Queued {
		s.At = f.now.Add(1000 * time.Hour)
	}
	if s.To == ledger.Unknown {
		s.At = f.now.Add(2000 * time.Hour)
	}
	return s
}

// atClerkSince makes an invitation at the simulated Clerk, and returns its id.
func (f *fixture) atClerkSince(address string) string {
	f.t.Helper()
	inv, err := f.sim.CreateForeign(address)
	if err != nil {
		f.t.Fatal(err)
	}
	return inv.ID
}

// answered makes a call of the given answer.
func (f *fixture) answered(id string, err error, change ...func(*tasks.Invite)) {
	f.t.Helper()
	f.give(id, change...)
	turn, _ := f.claim(id)
	made := map[string]clerk.Invitation{}
	if err == nil && !strings.HasSuffix(id, "no_answer") {
		made[id] = clerk.Invitation{ID: f.atClerkSince(person(f.n).EmailAddress.Raw())}
	}
	v := judge(f.now, turn, turn.Batch, made, err, f.cfg, time.Hour)
	f.settle(turn, f.later(v.members[0]))
}

func kind(k clerk.Kind) error { return &clerk.Error{Kind: k, Status: 400} }

func ignore(i *tasks.Invite) { i.IgnoreExisting = true }

func (f *fixture) calls() {
	f.answered("pending", nil)
	f.answered("unknown-no_answer", nil)
	for id, k := range map[string]clerk.Kind{
		"queued-not_sent": clerk.KindNotSent, "queued-quota": clerk.KindQuota, "queued-overload": clerk.KindOverload,
		"queued-unauthorized": clerk.KindUnauthorized, "queued-edge_blocked": clerk.KindEdgeBlocked, "queued-redirected": clerk.KindRedirected,
		"parked-malformed": clerk.KindMalformed, "unknown-duplicate": clerk.KindDuplicate, "rejected-exists": clerk.KindExists,
		"rejected-blocked": clerk.KindBlocked, "failed-attempts": clerk.KindBusy, "unknown-unknown": clerk.KindUnknown,
	} {
		f.answered(id, kind(k))
	}
	f.answered("rejected-invalid_redirect_url", &clerk.Error{Kind: clerk.KindInvalid, Status: 422, Param: "redirect_url"})
	f.answered("rejected-invalid", &clerk.Error{Kind: clerk.KindInvalid, Status: 422, Param: "colour"})
	f.cfg = &Config{MaxAttempts: 12}
	f.answered("queued-busy", kind(clerk.KindBusy))
	f.answered("queued-refused", kind(clerk.KindRefused))
	for _, k := range []clerk.Kind{clerk.KindExists, clerk.KindDuplicate, clerk.KindBlocked, clerk.KindInvalid} {
		id := "queued-innocent-" + k.String()
		f.give(id)
		turn, r := f.claim(id)
		f.settle(turn, f.later(innocent(f.now, r, k.String())))
	}
	f.give("unknown-unconfirmed", ignore)
	turn, r := f.claim("unknown-unconfirmed")
	f.settle(turn, f.later(innocent(f.now, r, clerk.KindExists.String())))
}

// looks settles unknown invites by what a reading shows.
func (f *fixture) looks() {
	for _, c := range []struct {
		id     string
		answer clerk.Kind
		shown  []clerk.Invitation
		ignore bool
		crash  int
	}{
		{id: "pending-found", shown: []clerk.Invitation{{Status: clerk.Pending}}},
		{id: "accepted-found", shown: []clerk.Invitation{{Status: clerk.Accepted}}},
		{id: "queued-not_found"},
		{id: "rejected-already_invited", answer: clerk.KindDuplicate},
		{id: "parked-unknown_with_ignore_existing", ignore: true},
		{id: "parked-worker_died", crash: 3},
	} {
		f.give(c.id, func(i *tasks.Invite) { i.IgnoreExisting = c.ignore })
		turn, _ := f.claim(c.id)
		for range c.crash {
			f.now = f.now.Add(time.Minute)
			f.idle()
			if c.crash--; c.crash > 0 {
				f.settle(turn, ledger.Settlement{ID: c.id, Turn: turn.ID, To: ledger.Queued, Reason: "not_found"})
				turn, _ = f.claim(c.id)
			}
		}
		r := f.get(c.id)
		if r.State == ledger.Sending {
			v := judge(f.now, turn, turn.Batch, nil, &clerk.Error{Kind: c.answer}, f.cfg, time.Hour)
			f.settle(turn, v.members[0])
		}
		for n := range c.shown {
			c.shown[n].CreatedAt, c.shown[n].ID = f.now, f.atClerkSince(person(f.n).EmailAddress.Raw())
		}
		for r = f.get(c.id); r.State == ledger.Unknown; r = f.get(c.id) {
			s := look(f.now, r, c.shown, nil, f.cfg)
			if s.To != ledger.Unknown {
				s = f.later(s)
			}
			f.settle(ledger.Turn{}, s)
		}
	}
	f.give("unknown-existing_user")
	turn, _ := f.claim("unknown-existing_user")
	f.settle(turn, ledger.Settlement{ID: "unknown-existing_user", Turn: turn.ID, To: ledger.Queued, Reason: "not_found"})
	turn, r := f.claim("unknown-existing_user")
	f.settle(turn, f.later(refusal(f.now, r, clerk.KindExists, "", f.cfg)))
}

func (f *fixture) get(id string) ledger.Record {
	f.t.Helper()
	records, err := f.ledger.Get(f.t.Context(), id)
	if err != nil || len(records) != 1 {
		f.t.Fatalf("%s: %v, %v", id, records, err)
	}
	return records[0]
}

// idle takes a turn that finds nothing, so that claims run out.
func (f *fixture) idle() {
	f.t.Helper()
	if turn, err := f.ledger.Turn(f.t.Context(), f.now, tasks.NewID("turn")); err != nil || len(turn.Batch) > 0 {
		f.t.Fatalf("%+v, %v", turn, err)
	}
}

func (f *fixture) cancel(id string) {
	f.t.Helper()
	if _, err := f.ledger.Cancel(f.t.Context(), f.now, id); err != nil {
		f.t.Fatal(err)
	}
}

// wishes are what people do: revoke and retry.
func (f *fixture) wishes() {
	f.give("canceled-revoked")
	f.cancel("canceled-revoked")
	f.answered("canceled-doubt", kind(clerk.KindMalformed))
	f.cancel("canceled-doubt") // unknown: unconfirmed, and wanted no more

	w, err := New(f.t.Context(), Config{
		Redis: f.redis.Options(), Ledger: ledger.Config{Instance: f.instance}, Clerk: f.client(clerk.Breaker{}),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for id, do := range map[string]func(inv string) error{
		"revoked-revoked":             func(string) error { return nil },
		"accepted-too_late_to_revoke": f.sim.Accept,
		"revoked-not_found":           nil,
	} {
		inv := "inv_nowhere"
		if do != nil {
			one, err := f.sim.CreateForeign(id + "@example.com")
			if err != nil {
				f.t.Fatal(err)
			}
			if inv = one.ID; do(inv) != nil {
				f.t.Fatal("cannot do it")
			}
		}
		f.give(id)
		turn, _ := f.claim(id)
		f.settle(turn, ledger.Settlement{ID: id, Turn: turn.ID, To: ledger.Pending, InvitationID: inv})
		f.cancel(id)
		if err := w.revoke(f.t.Context(), f.get(id)); err != nil {
			f.t.Fatal(err)
		}
	}
}

// atClerk prepares what a comparison with the simulated Clerk will find.
func (f *fixture) atClerk() {
	record := func(id, address string, at func(inv string) error) {
		inv, err := f.sim.CreateForeign(address)
		if err != nil {
			f.t.Fatal(err)
		}
		if at != nil {
			if err := at(inv.ID); err != nil {
				f.t.Fatal(err)
			}
		}
		f.give(id, func(i *tasks.Invite) { i.EmailAddress = mustEmail(f.t, address) })
		turn, _ := f.claim(id)
		f.settle(turn, ledger.Settlement{ID: id, Turn: turn.ID, To: ledger.Pending, InvitationID: inv.ID})
	}
	record("accepted-seen_at_clerk", "seen@example.com", f.sim.Accept)
	record("revoked-seen_at_clerk", "seen2@example.com", f.sim.RevokeInDashboard)
	record("revoked-extra", "extra@example.com", nil)
	time.Sleep(10 * time.Millisecond)
	if _, err := f.sim.CreateForeign("extra@example.com"); err != nil {
		f.t.Fatal(err)
	}
	f.give("queued-missing_at_clerk")
	turn, _ := f.claim("queued-missing_at_clerk")
	f.settle(turn, ledger.Settlement{ID: "queued-missing_at_clerk", Turn: turn.ID, To: ledger.Pending, InvitationID: "inv_missing"})
}

func (f *fixture) pass() {
	pass := reconcile.Pass{Ledger: f.ledger, Clerk: f.client(clerk.Breaker{}), Full: true, Adopt: true, RevokeExtra: true, RequeueMissing: true}
	r, err := pass.Run(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Logf("%+v", r)
}

func mustEmail(t testing.TB, s string) tasks.Email {
	e, err := tasks.ParseEmail(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (f *fixture) gates() {
	for e, k := range map[ledger.Endpoint]clerk.Kind{ledger.Single: clerk.KindQuota, ledger.Bulk: clerk.KindOverload, ledger.All: clerk.KindEdgeBlocked} {
		if err := f.ledger.SetGate(f.t.Context(), time.Now(), ledger.GateChange{Endpoint: e, Until: time.Now().Add(100_000 * time.Hour), Why: k.String()}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// open leaves invites in the states that are not settled, and two that ended otherwise.
func (f *fixture) open() {
	f.give("failed-too_old", func(i *tasks.Invite) { i.Deadline = f.now.Add(time.Second) })
	f.now = f.now.Add(time.Minute)
	f.idle()
	f.give("unknown-claim_expired")
	f.claim("unknown-claim_expired")
	f.now = f.now.Add(time.Minute)
	f.idle()
	f.give("queued-by_hand")
	turn, r := f.claim("queued-by_hand")
	f.settle(turn, again(f.now, r, reasonBusy, &Config{MaxAttempts: 1}))
	f.give("sending")
	f.claim("sending")
	if _, err := f.ledger.Requeue(f.t.Context(), f.now, "by_hand", []ledger.State{ledger.Failed}, "queued-by_hand"); err != nil {
		f.t.Fatal(err)
	}
	f.give("queued")
}

func (f *fixture) dump() {
	f.t.Helper()
	ctx, prefix := context.Background(), "inviteq:{"+f.instance+"}:"
	keys, err := f.redis.Keys(ctx, prefix+"*").Result()
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Sort(keys)
	var b strings.Builder
	line := func(args ...string) {
		for n, arg := range args {
			args[n] = strconv.Quote(arg)
		}
		b.WriteString(strings.Join(args, " ") + "\n")
	}
	for _, key := range keys {
		name := strings.TrimPrefix(key, prefix)
		if strings.HasPrefix(name, "turn:") || strings.HasPrefix(name, "hold:") {
			continue
		}
		switch kind := f.redis.Type(ctx, key).Val(); kind {
		case "hash":
			h := f.redis.HGetAll(ctx, key).Val()
			fields := make([]string, 0, len(h))
			for field := range h {
				fields = append(fields, field)
			}
			slices.Sort(fields)
			for _, field := range fields {
				line("HSET", name, field, h[field])
			}
		case "zset":
			for _, z := range f.redis.ZRangeWithScores(ctx, key, 0, -1).Val() {
				line("ZADD", name, fmt.Sprintf("%.0f", z.Score), z.Member.(string))
			}
		case "list":
			line(append([]string{"RPUSH", name}, f.redis.LRange(ctx, key, 0, -1).Val()...)...)
		case "stream":
			for _, m := range f.redis.XRange(ctx, key, "-", "+").Val() {
				args := []string{"XADD", name, m.ID}
				for _, field := range []string{"id", "ver", "from", "to", "reason", "invitation_id", "import_id", "at"} {
					args = append(args, field, fmt.Sprint(m.Values[field]))
				}
				line(args...)
			}
		case "string":
			line("SET", name, f.redis.Get(ctx, key).Val())
		default:
			f.t.Errorf("%s is a %s", name, kind)
		}
	}
	if err := os.WriteFile(os.Getenv("FIXTURE"), []byte(b.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
}
