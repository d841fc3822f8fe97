package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// auditor collects what an audit finds.
type auditor struct {
	*testing.T
	older  bool // An earlier version has admitted some, and written them into no block.
	faults []string
}

func (t *auditor) Errorf(format string, args ...any) {
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

// audit fails the test if any index disagrees with the records, which it returns
// by id.
func audit(t *testing.T, l *Ledger) map[string]Record {
	t.Helper()
	return (&auditor{T: t}).fail(l)
}

// auditOlder is audit of a ledger in which an earlier version has admitted invites.
func auditOlder(t *testing.T, l *Ledger) map[string]Record {
	t.Helper()
	return (&auditor{T: t, older: true}).fail(l)
}

func (t *auditor) fail(l *Ledger) map[string]Record {
	t.Helper()
	records := t.audit(l)
	for _, f := range t.faults {
		t.Error(f)
	}
	return records
}

// audit compares every index with the records.
func (t *auditor) audit(l *Ledger) map[string]Record {
	t.Helper()
	ctx := t.Context()
	raw, err := l.rdb.HGetAll(ctx, l.keys.of("rec")).Result()
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]Record{}
	for id, s := range raw {
		r, err := parseRecord(id, s, l.currentSalt().secret)
		if err != nil {
			t.Fatalf("%v: %q", err, s)
		}
		records[id] = r
	}

	// Each record stands in the one index of its state, and nobody else does.
	homes := map[string]string{} // id → the index it was found in
	scores := map[string]float64{}
	indexes := []string{"wait0", "wait1", "solo0", "solo1", "later", "shelf"}
	names := slices.Clone(indexes)
	for _, s := range tasks.States[1:] {
		names = append(names, s.String())
	}
	for _, name := range names {
		key := l.keys.of("state") + name
		if slices.Contains(indexes, name) {
			key = l.keys.of(name)
		}
		for _, z := range t.members(l, key) {
			if at, twice := homes[z.id]; twice {
				t.Errorf("%s stands in %s and in %s", z.id, at, name)
			}
			homes[z.id], scores[z.id] = name, z.score
		}
	}
	t.auditOrder(l, records)
	wantBusy, mayBusy, wantRevoke, counts := map[string]string{}, map[string]string{}, map[string]bool{}, map[string]map[tasks.State]int64{}
	for id, r := range records {
		want := r.State.String()
		if r.State == tasks.Queued && r.RevokeWanted {
			t.Errorf("%s waits although it is to be revoked", id)
		}
		if r.State == tasks.Queued {
			want = "later" // by its time, or because its address was busy
			if homes[id] == "shelf" {
				want = "shelf"
				i, err := l.Import(ctx, r.Invite.ImportID)
				goesBack := l.rdb.HExists(ctx, l.keys.of("shelving"), r.Invite.ImportID).Val()
				if err != nil || i.stopped == 0 && !goesBack {
					t.Errorf("%s stands on the shelf, and its import is not stopped: %v", id, err)
				}
			} else if homes[id] != "later" {
				want = []string{"wait0", "wait1"}[r.Invite.Lane]
				if r.Solo {
					want = []string{"solo0", "solo1"}[r.Invite.Lane]
				}
				if scores[id] < 1 {
					t.Errorf("%s waits at %.0f, which is no place", id, scores[id])
				}
			}
		}
		if homes[id] != want {
			t.Errorf("%s is %s, but stands in %q", id, r.State, homes[id])
		}
		delete(homes, id)
		if r.State == tasks.Sending || r.State == tasks.Unknown {
			if other, twice := wantBusy[r.address]; twice {
				t.Errorf("%s and %s are under way for one address", id, other)
			}
			wantBusy[r.address] = id
		}
		if r.State == tasks.Queued && r.Doubt {
			mayBusy[id] = r.address // unless it was put back while another one was under way
		}
		if r.RevokeWanted && r.State != tasks.Sending && r.State != tasks.Unknown {
			wantRevoke[id] = true
		}
		if r.InvitationID != "" {
			if got, _ := l.rdb.HGet(ctx, l.keys.of("inv"), r.InvitationID).Result(); got != id {
				t.Errorf("Clerk's id of %s leads to %q", id, got)
			}
		}
		if i := r.Invite.ImportID; i != "" {
			if counts[i] == nil {
				counts[i] = map[tasks.State]int64{}
			}
			counts[i][r.State]++
		}
		if r.address != l.Person(r.Invite.EmailAddress) {
			t.Errorf("%s has the address key of somebody else", id)
		}
	}
	for id, at := range homes {
		t.Errorf("%s stands in %s and has no record", id, at)
	}
	busy, err := l.rdb.HGetAll(ctx, l.keys.of("busy")).Result()
	if err != nil {
		t.Fatal(err)
	}
	for id, address := range mayBusy {
		if _, other := wantBusy[address]; other {
			continue
		}
		// One that could not go soon itself may have lost its hold to another, which is
		// done with it.
		if holder, held := busy[address]; held && mayBusy[holder] != address {
			t.Errorf("%s is in doubt, and %s, which is not under way, holds its address", id, holder)
		}
		delete(busy, address)
		maps.DeleteFunc(mayBusy, func(other, a string) bool { return other != id && a == address })
	}
	if diff := cmp.Diff(wantBusy, busy); diff != "" {
		t.Errorf("busy addresses (-records +index):\n%s", diff)
	}
	gotRevoke := map[string]bool{}
	for _, z := range t.members(l, l.keys.of("revoke")) {
		gotRevoke[z.id] = true
	}
	if diff := cmp.Diff(wantRevoke, gotRevoke); diff != "" {
		t.Errorf("revokes (-records +index):\n%s", diff)
	}
	for id, want := range counts {
		got, err := l.Import(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.States); diff != "" {
			t.Errorf("import %s (-records +counts):\n%s", id, diff)
		}
		rows, err := l.rdb.LRange(ctx, l.keys.importIDs(id), 0, -1).Result()
		if err != nil || int64(len(rows)) != got.Total {
			t.Errorf("import %s has %d rows in its list and a total of %d, %v", id, len(rows), got.Total, err)
		}
	}
	t.auditAddresses(l, records)
	t.auditQuota(l, records)
	return records
}

// auditOrder checks that each invite stands in the block of its position, or among the
// adopted, and nobody else does.
func (t *auditor) auditOrder(l *Ledger, records map[string]Record) {
	t.Helper()
	stands := map[string]int64{}
	for _, z := range t.members(l, l.keys.of("adopted")) {
		stands[z.id] = records[z.id].Position
	}
	blocks, err := l.rdb.Keys(t.Context(), l.keys.of("born")+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range blocks {
		for _, z := range t.members(l, key) {
			if want := fmt.Sprint(l.keys.of("born"), int64(z.score)/blockSize); stands[z.id] > 0 || want != key {
				t.Errorf("%s stands in %s at %.0f, and elsewhere", z.id, key, z.score)
			}
			stands[z.id] = int64(z.score)
		}
	}
	for id, r := range records {
		if at, there := stands[id]; at != r.Position && (there || !t.older) {
			t.Errorf("%s has position %d, and stands at %d in the order", id, r.Position, stands[id])
		}
		delete(stands, id)
	}
	for id := range stands {
		t.Errorf("%s stands in the order and has no record", id)
	}
}

// auditAddresses checks that each invite is found by its address, the newest
// first.
func (t *auditor) auditAddresses(l *Ledger, records map[string]Record) {
	t.Helper()
	byAddress := map[tasks.Email][]Record{}
	for _, r := range records {
		byAddress[r.Invite.EmailAddress] = append(byAddress[r.Invite.EmailAddress], r)
	}
	for e, want := range byAddress {
		slices.SortFunc(want, func(a, b Record) int { return int(b.Position - a.Position) })
		got, err := l.FindAddress(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		ids := func(rs []Record) (s []string) {
			for _, r := range rs {
				s = append(s, r.Invite.ID)
			}
			return s
		}
		if diff := cmp.Diff(ids(want[:min(32, len(want))]), ids(got)); diff != "" {
			t.Errorf("invites for one address (-records +index):\n%s", diff)
		}
	}
}

// auditQuota checks that no claim is without its token, and that no window holds
// more calls than its limit.
func (t *auditor) auditQuota(l *Ledger, records map[string]Record) {
	t.Helper()
	logs := map[string]float64{}
	for _, e := range []Endpoint{Single, Bulk} {
		log := t.members(l, l.keys.of(string(e)))
		for _, z := range log {
			logs[z.id] = z.score
		}
		lim := l.cfg.Limits.Single
		if e == Bulk {
			lim = l.cfg.Limits.Bulk
		}
		for i := 0; lim.Calls > 0 && i+lim.Calls < len(log); i++ {
			// What is unseen is written at once, beside what has been seen.
			if strings.HasPrefix(log[i].id, "unseen:") || strings.HasPrefix(log[i+lim.Calls].id, "unseen:") {
				continue
			}
			if gap := log[i+lim.Calls].score - log[i].score; gap < float64(lim.Window.Milliseconds()) {
				t.Errorf("%s: %d calls within %.0f ms", e, lim.Calls+1, gap)
			}
		}
	}
	for id, r := range records {
		if r.State == tasks.Sending && logs[r.Turn] == 0 {
			t.Errorf("%s is claimed by a turn without a token", id)
		}
	}
}

type scoredMember struct {
	id    string
	score float64
}

func (t *auditor) members(l *Ledger, key string) (ms []scoredMember) {
	t.Helper()
	zs, err := l.rdb.ZRangeWithScores(t.Context(), key, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range zs {
		id, _ := z.Member.(string)
		id = id[strings.LastIndexByte(id, '\t')+1:] // of the shelf
		ms = append(ms, scoredMember{id, z.Score})
	}
	return ms
}

// An audit that finds nothing is worth something only if it finds what is there.
func TestAuditFindsEveryFault(t *testing.T) {
	faults := map[string]func(l *Ledger, id string, pipe redis.Pipeliner){
		"not in its lane": func(l *Ledger, id string, p redis.Pipeliner) { p.ZRem(t.Context(), l.keys.of("wait1"), id) },
		"in two indexes": func(l *Ledger, id string, p redis.Pipeliner) {
			p.ZAdd(t.Context(), l.keys.of("later"), redis.Z{Member: id})
		},
		"a stranger": func(l *Ledger, _ string, p redis.Pipeliner) {
			p.ZAdd(t.Context(), l.keys.state(tasks.Sending), redis.Z{Member: "nobody"})
		},
		"busy for ever": func(l *Ledger, id string, p redis.Pipeliner) { p.HSet(t.Context(), l.keys.of("busy"), "x", id) },
		"a wrong count": func(l *Ledger, _ string, p redis.Pipeliner) {
			p.HIncrBy(t.Context(), l.keys.importInfo("imp"), "n:queued", 1)
		},
		"a lost revoke": func(l *Ledger, id string, p redis.Pipeliner) {
			p.ZAdd(t.Context(), l.keys.of("revoke"), redis.Z{Member: id})
		},
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		l := open(t, Config{})
		i := importOf(t, l, start, 3)[1]
		audit(t, l)
		if t.Failed() {
			t.Fatal("the audit finds a fault where there is none")
		}
		pipe := l.rdb.Pipeline()
		faults[name](l, i.ID, pipe)
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := &auditor{T: t}
		a.audit(l)
		if len(a.faults) == 0 {
			t.Errorf("%s: the audit saw nothing", name)
		}
	}
}
