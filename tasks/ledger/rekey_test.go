package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/seal"
)

// someKeys returns n keys, always the same.
func someKeys(t testing.TB, which ...byte) seal.Keys {
	t.Helper()
	var text []string
	for _, n := range which {
		key := make([]byte, seal.KeyLen)
		for i := range key {
			key[i] = byte(i) * n
		}
		key[0] = n
		text = append(text, base64.StdEncoding.EncodeToString(key))
	}
	keys, err := seal.ParseKeys(strings.Join(text, ","))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// inTheOpen lists where a text stands in an instance.
func inTheOpen(t testing.TB, l *Ledger, text string) (places []string) {
	t.Helper()
	keys, err := l.rdb.Keys(t.Context(), escapePattern(l.keys.prefix)+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		dump, err := l.rdb.Dump(t.Context(), key).Result() // Short strings are not compressed in it.
		if err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		all := []string{dump}
		switch l.rdb.Type(t.Context(), key).Val() {
		case "hash":
			all = append(all, fmt.Sprint(l.rdb.HGetAll(t.Context(), key).Val()))
		case "zset":
			all = append(all, fmt.Sprint(l.rdb.ZRange(t.Context(), key, 0, -1).Val()))
		case "list":
			all = append(all, fmt.Sprint(l.rdb.LRange(t.Context(), key, 0, -1).Val()))
		case "string":
			all = append(all, l.rdb.Get(t.Context(), key).Val())
		}
		if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) }) {
			places = append(places, key)
		}
	}
	return places
}

// furnished fills a ledger with what stands in any way for a person.
type furnished struct {
	twice   []string // ids of 40 invites for one address, the oldest first
	trimmed tasks.Invite
	erased  tasks.Invite
	wish    RevokeRequest
	turn    Turn // Its call is under way.
}

func furnish(t *testing.T, l *Ledger) furnished {
	t.Helper()
	var f furnished
	for range 40 {
		i := invite(t, "Twice@canary.example")
		i.PublicMetadata = []byte(`{"note":"canary"}`)
		admit(t, l, start, i)
		f.twice = append(f.twice, i.ID)
	}
	admit(t, l, start, invite(t, "$dead@canary.example"))
	f.trimmed, f.erased = invite(t, "trimmed@canary.example"), invite(t, "erased@canary.example")
	admit(t, l, start, f.trimmed)
	if _, err := l.Cancel(t.Context(), start, f.trimmed.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Trim(t.Context(), start.Add(400*24*time.Hour), time.Hour, 10, tasks.Canceled); err != nil {
		t.Fatal(err)
	}
	admit(t, l, start, f.erased)
	if _, _, err := l.Forget(t.Context(), start, f.erased.EmailAddress); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.wish, err = l.RequestRevoke(t.Context(), start, "wished@canary.example"); err != nil {
		t.Fatal(err)
	}
	f.turn = turn(t, l, start)
	return f
}

// check looks whether all of it is still found.
func (f furnished) check(t *testing.T, l *Ledger) {
	t.Helper()
	email, _ := tasks.ParseEmail("twice@canary.example")
	found, err := l.FindAddress(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range slices.Backward(found) {
		ids = append(ids, r.Invite.ID)
		if r.Invite.EmailAddress.Raw() != "Twice@canary.example" || string(r.Invite.PublicMetadata) != `{"note":"canary"}` {
			t.Errorf("got %v", r.Invite.JSON())
		}
	}
	if !slices.Equal(ids, f.twice) {
		t.Errorf("found %d of %d, or in another order", len(ids), len(f.twice))
	}
	email, _ = tasks.ParseEmail("$dead@canary.example")
	if found, err := l.FindAddress(t.Context(), email); len(found) != 1 || err != nil {
		t.Errorf("found %d, %v", len(found), err)
	}
	if got, err := l.RevokeRequest(t.Context(), f.wish.ID); got.Target != "wished@canary.example" || err != nil {
		t.Errorf("the wish is about another target, %v", err)
	}
	email, _ = tasks.ParseEmail("WISHED@canary.example")
	if got, err := l.RevokeRequestsFor(t.Context(), email); len(got) != 1 || err != nil {
		t.Errorf("%d wishes for the address, %v", len(got), err)
	}
	again, _, err := l.Admit(t.Context(), start, []tasks.Invite{f.trimmed})
	if err != nil || again[0] != Known {
		t.Errorf("the trimmed one again: got %v, %v", again, err)
	}
	if again, _, err = l.Admit(t.Context(), start, []tasks.Invite{f.erased}); err != nil || again[0] == Admitted {
		t.Errorf("the erased one again: got %v, %v", again, err)
	}
	taken, err := l.Adopt(t.Context(), start, Stranger{Invite: invite(t, "erased@canary.example"), InvitationID: "inv_e", State: tasks.Pending, CreatedAt: start.Add(-time.Hour)})
	if taken != 0 || err != nil {
		t.Errorf("adopted a person who was forgotten: %d, %v", taken, err)
	}
	// The person for whom a call is under way is still busy.
	busy, err := l.rdb.HGetAll(t.Context(), l.keys.of("busy")).Result()
	for _, r := range f.turn.Batch {
		if busy[l.Person(r.Invite.EmailAddress)] != r.Invite.ID || err != nil {
			t.Errorf("%s is under way, and busy says otherwise, %v", r.Invite.ID, err)
		}
	}
	audit := auditor{T: t}
	audit.audit(l)
}

// TestEncrypted plays the life of an encrypted ledger, from an open one through all kinds
// of rekeying.
func TestEncrypted(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	with := func(keys seal.Keys) (*Ledger, error) {
		return Open(t.Context(), rdb, Config{Limits: ClerkLimits, Reserve: AutoReserve, EncryptionKeys: keys})
	}
	must := func(keys seal.Keys) *Ledger {
		t.Helper()
		l, err := with(keys)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	rekey := func(anew bool, keys seal.Keys) Rekeyed {
		t.Helper()
		r, err := Rekey(t.Context(), rdb, Config{EncryptionKeys: keys}, anew, nil)
		if err != nil || r.Left != 0 {
			t.Fatalf("got %+v, %v", r, err)
		}
		return r
	}
	one, two, both := someKeys(t, 1), someKeys(t, 2), someKeys(t, 2, 1)

	open := must(nil)
	f := furnish(t, open)
	f.check(t, open)
	if _, err := with(one); !errors.Is(err, ErrNotEncrypted) {
		t.Fatalf("a key for an open ledger: got %v", err)
	}
	if r := rekey(false, one); r.Records != 41 || r.Was != "" || r.Key != one[0].ID() {
		t.Errorf("got %+v", r)
	}
	// A process of before has no key.
	if _, _, err := open.Admit(t.Context(), start, []tasks.Invite{invite(t, "late@canary.example")}); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), one[0].ID()) {
		t.Errorf("without a key: got %v", err)
	}
	if _, err := open.RequestRevoke(t.Context(), start, "late@canary.example"); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: got %v", err)
	}
	if _, err := with(two); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), two[0].ID()) {
		t.Errorf("with another key: got %v", err)
	}
	sealed := must(one)
	f.check(t, sealed)
	if sealed.currentSalt().keyID() != one[0].ID() || open.currentSalt().keyID() != "" {
		t.Errorf("encrypted with %q", sealed.currentSalt().keyID())
	}
	for _, canary := range []string{"canary", "Twice", "trimmed@", "wished@"} {
		if places := inTheOpen(t, sealed, canary); len(places) > 0 {
			t.Errorf("%q stands in %v", canary, places)
		}
	}

	// A new key, while a process lives that has both: it goes on.
	alive := must(both)
	if r := rekey(false, both); r.Records != 0 || r.Was != one[0].ID() || r.Key != two[0].ID() {
		t.Errorf("got %+v", r)
	}
	admit(t, alive, start, invite(t, "goes-on@canary.example"))
	f.check(t, alive)
	f.check(t, must(two))
	if _, err := with(one); !errors.Is(err, ErrNoKey) {
		t.Errorf("with the old key: got %v", err)
	}

	// Everything anew: the records are others, and whoever lives reads them.
	before, err := rdb.HGetAll(t.Context(), alive.keys.of("rec")).Result()
	if err != nil {
		t.Fatal(err)
	}
	if r := rekey(true, two); r.Records != 42 {
		t.Errorf("got %+v", r)
	}
	f.check(t, alive)
	f.check(t, must(two))
	for id, record := range rdb.HGetAll(t.Context(), alive.keys.of("rec")).Val() {
		if record == before[id] {
			t.Errorf("%s is as it was", id)
		}
	}
}

// TestRekeyWaitsForWorkers: it does nothing while one runs, and nobody comes in while it
// runs itself.
func TestRekeyWaitsForWorkers(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	l, err := Open(t.Context(), rdb, Config{Limits: ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	f := furnish(t, l)
	if _, err := l.Announce(t.Context(), Now, Fellow{Name: "host-1"}); err != nil {
		t.Fatal(err)
	}
	keys := someKeys(t, 1)
	if _, err := Rekey(t.Context(), rdb, Config{EncryptionKeys: keys}, false, nil); !errors.Is(err, ErrWorkersRun) || !strings.Contains(err.Error(), "host-1") {
		t.Fatalf("beside a worker: got %v", err)
	}
	f.check(t, l)
	if err := rdb.Del(t.Context(), l.keys.of("workers")).Err(); err != nil {
		t.Fatal(err)
	}

	// It is stopped in its middle.
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Rekey(ctx, rdb, Config{EncryptionKeys: keys}, false, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, _, err := l.Admit(t.Context(), start, []tasks.Invite{invite(t, "late@canary.example")}); !errors.Is(err, ErrRekeying) {
		t.Errorf("meanwhile: got %v", err)
	}
	if _, err := Open(t.Context(), rdb, Config{EncryptionKeys: keys}); !errors.Is(err, ErrRekeying) {
		t.Errorf("meanwhile: got %v", err)
	}
	if _, err := Rekey(t.Context(), rdb, Config{EncryptionKeys: keys}, false, nil); err != nil {
		t.Fatal(err)
	}
	sealed, err := Open(t.Context(), rdb, Config{EncryptionKeys: keys, Limits: ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	f.check(t, sealed)
	if places := inTheOpen(t, sealed, "canary"); len(places) > 0 {
		t.Errorf("it stands in %v", places)
	}
}

// TestKeyForAnEmptyLedger: whoever came first may have had no key, as long as nothing was
// admitted.
func TestKeyForAnEmptyLedger(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	early, err := Open(t.Context(), rdb, Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), rdb, Config{EncryptionKeys: someKeys(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	admit(t, l, start, invite(t, "ada@canary.example"))
	if _, _, err := early.Admit(t.Context(), start, []tasks.Invite{invite(t, "bob@canary.example")}); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v", err)
	}
	// Everything is lost, and comes back with the process that lives.
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	admit(t, l, start, invite(t, "eve@canary.example"))
	if places := inTheOpen(t, l, "canary"); len(places) > 0 {
		t.Errorf("it stands in %v", places)
	}
	if raw := rdb.HGet(t.Context(), l.keys.of("meta"), "salt").Val(); !bytes.Equal([]byte(raw), []byte(l.currentSalt().stands)) {
		t.Error("another salt stands in Redis")
	}
}
