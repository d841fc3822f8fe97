package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
)

// remains lists every key of the instance, and every field or member that names
// one of the ids. What counts or logs without naming an invite is left out.
func remains(t *testing.T, l *Ledger, ids ...string) (keys, named []string) {
	t.Helper()
	ctx := t.Context()
	aside := []string{"totals", "day:", "pace", "meta", "events", "log:", "gate", "turn:"}
	for scan := l.rdb.Scan(ctx, 0, l.keys.prefix+"*", 100).Iterator(); scan.Next(ctx); {
		key := scan.Val()
		name := strings.TrimPrefix(key, l.keys.prefix)
		if slices.ContainsFunc(aside, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		keys = append(keys, name)
		var content string
		switch kind := l.rdb.Type(ctx, key).Val(); kind {
		case "hash":
			content = fmt.Sprint(l.rdb.HGetAll(ctx, key).Val())
		case "zset":
			content = fmt.Sprint(l.rdb.ZRange(ctx, key, 0, -1).Val())
		case "list":
			content = fmt.Sprint(l.rdb.LRange(ctx, key, 0, -1).Val())
		case "string":
			content = l.rdb.Get(ctx, key).Val()
		default:
			t.Errorf("%s is a %s", key, kind)
		}
		for _, id := range ids {
			if strings.Contains(name+" "+content, id) {
				named = append(named, name+" "+id)
			}
		}
	}
	slices.Sort(keys)
	slices.Sort(named)
	return slices.Compact(keys), named
}

// TestNothingRemainsButTombstones settles invites in every way that is final and
// forgets them: of each nothing remains but its tombstone.
func TestNothingRemainsButTombstones(t *testing.T) {
	l := open(t, Config{})
	ctx := t.Context()
	var ids, want []string
	for n := range 60 { // over many buckets of the address index
		i := invite(t, fmt.Sprintf("p%d@example.com", n))
		i.ID = fmt.Sprintf("id-%02d", n)
		if n%2 == 0 {
			i.ImportID = "spring"
		}
		admit(t, l, start, i)
		ids = append(ids, i.ID)
		want = append(want, "tomb:"+i.ID)
	}
	for n := 0; ; {
		tn := turn(t, l, start)
		if len(tn.Batch) == 0 {
			break
		}
		var out []Settlement
		for _, r := range tn.Batch {
			s := Settlement{ID: r.Invite.ID, Turn: r.Turn, To: tasks.Rejected, Reason: tasks.ReasonExistingUser}
			if n++; n%3 > 0 {
				s.To, s.Reason, s.InvitationID = tasks.Pending, "", "inv_"+r.Invite.ID
			}
			out = append(out, s)
		}
		if _, err := l.SettleTurn(ctx, start, tn, Ending{Token: StampToken, Members: out}); err != nil {
			t.Fatal(err)
		}
	}
	// Some had a wish to be revoked on the way, and the pending ones end in all three ways.
	for n, id := range ids {
		if n%5 == 0 {
			if _, err := l.Cancel(ctx, start, id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Observe(ctx, start, Observation{ID: id, From: tasks.Pending, To: []tasks.State{tasks.Accepted, tasks.Expired, tasks.Revoked}[n%3], Reason: "seen_at_clerk"}); err != nil {
			t.Fatal(err)
		}
	}
	for id, r := range audit(t, l) {
		if !slices.Contains(Settled, r.State) {
			t.Fatalf("%s is %s", id, r.State)
		}
	}
	if n, err := l.Trim(ctx, start.Add(time.Hour), time.Hour, 1000); n != len(ids) || err != nil {
		t.Fatalf("trimmed %d, %v", n, err)
	}
	keys, named := remains(t, l, ids...)
	// The hint of the import's chunks stays until its task has been seen; it names no invite.
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "untasked" })
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	for _, s := range named {
		if !strings.HasPrefix(s, "tomb:") {
			t.Errorf("still named: %s", s)
		}
	}
	if n, err := l.rdb.PTTL(ctx, l.keys.of("tomb")+ids[0]).Result(); n <= 0 || n > time.Hour || err != nil {
		t.Errorf("the tombstone ends in %s, %v", n, err)
	}
}

// TestTrimLeavesTheOthers forgets one of several invites for an address, one
// member of an import, and nothing that is not old enough.
func TestTrimLeavesTheOthers(t *testing.T) {
	l := open(t, Config{})
	ctx := t.Context()
	old, young, other := invite(t, "ada@example.com"), invite(t, "ada@example.com"), invite(t, "ada@example.com")
	old.ImportID, young.ImportID, other.ImportID = "spring", "spring", "spring"
	admit(t, l, start, old, young, other)
	for i, id := range []string{old.ID, young.ID} {
		if _, err := l.Cancel(ctx, start.Add(time.Duration(i)*time.Hour), id); err != nil {
			t.Fatal(err)
		}
	}
	for _, tombstone := range []time.Duration{0, time.Minute} { // The second time there is nothing left to do.
		n, err := l.Trim(ctx, start.Add(time.Minute), tombstone, 10)
		if err != nil || (n == 1) != (tombstone == 0) {
			t.Fatalf("trimmed %d, %v", n, err)
		}
	}
	found, err := l.FindAddress(ctx, old.EmailAddress)
	if err != nil || len(found) != 2 || found[0].Invite.ID != other.ID || found[1].Invite.ID != young.ID {
		t.Errorf("found %v, %v", found, err)
	}
	person := l.Person(old.EmailAddress)
	index, err := l.rdb.HGet(ctx, l.keys.of("addr")+addressBucket(person), person).Result()
	if want := young.ID + " " + other.ID; index != want || err != nil {
		t.Errorf("the index says %q, want %q (%v)", index, want, err)
	}
	page, err := l.ListImport(ctx, "spring", "", 10)
	if err != nil || len(page.Records) != 2 {
		t.Errorf("the import lists %d, %v", len(page.Records), err)
	}
	_, named := remains(t, l, old.ID)
	// Its place in the import's list, by which tasks name the members, stays as long as the import.
	if diff := cmp.Diff([]string{"ids:spring " + old.ID}, named); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
}
