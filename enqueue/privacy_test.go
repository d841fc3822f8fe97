package enqueue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// TestAddressStandsInTheLedgerOnly does everything that a producer can do to a
// canary, and then reads all of Redis.
func TestAddressStandsInTheLedgerOnly(t *testing.T) {
	const canary = "canary-in-the-mine"
	address := func(n int) string { return fmt.Sprintf("%s-%d@example.com", canary, n) }
	s := newSide(t)
	ctx := t.Context()
	for n, to := range []tasks.State{tasks.Pending, tasks.Rejected, tasks.Parked} {
		r, err := s.Invite(ctx, tasks.Invite{EmailAddress: email(t, address(n))})
		if err != nil {
			t.Fatal(err)
		}
		s.drive(t, r.ID, to)
	}
	list := []tasks.Invite{{EmailAddress: email(t, address(3))}, {EmailAddress: email(t, address(4))}}
	if _, err := s.BulkInvite(ctx, listOf(list), enqueue.BulkOptions{}); err != nil {
		t.Fatal(err)
	}
	for n := range 6 { // The last one is not in the ledger.
		if _, err := s.Revoke(ctx, address(n)); err != nil {
			t.Fatal(err)
		}
	}
	var in []string
	for key, content := range everything(t, s.rdb) {
		if strings.Contains(key, canary) {
			t.Errorf("key %s names the address", key)
		}
		if strings.Contains(content, canary) {
			in = append(in, key)
		}
	}
	slices.Sort(in)
	prefix := "inviteq:{" + s.ledger.Instance() + "}:"
	if diff := cmp.Diff([]string{prefix + "rec", prefix + "revreq"}, in); diff != "" {
		t.Errorf("keys that hold the address (-want +got):\n%s", diff)
	}
}

// everything reads all keys of a server with their contents as text.
func everything(t *testing.T, rdb *redis.Client) map[string]string {
	t.Helper()
	ctx := t.Context()
	all := map[string]string{}
	keys := rdb.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var content any
		switch kind := rdb.Type(ctx, key).Val(); kind {
		case "string":
			content = rdb.Get(ctx, key).Val()
		case "hash":
			content = rdb.HGetAll(ctx, key).Val()
		case "list":
			content = rdb.LRange(ctx, key, 0, -1).Val()
		case "set":
			content = rdb.SMembers(ctx, key).Val()
		case "zset":
			content = rdb.ZRangeWithScores(ctx, key, 0, -1).Val()
		case "stream":
			content = rdb.XRange(ctx, key, "-", "+").Val()
		default:
			t.Errorf("key %s is a %s, which this test cannot read", key, kind)
		}
		all[key] = fmt.Sprint(content)
	}
	if err := keys.Err(); err != nil || len(all) == 0 {
		t.Fatalf("read %d keys, %v", len(all), err)
	}
	return all
}
