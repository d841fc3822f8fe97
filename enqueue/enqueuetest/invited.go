package enqueuetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Invited returns the invites that were asked for and not taken back, in the order in
// which they were accepted, whether they are sent yet or not. It shows what the service
// has asked for: one that Clerk has refused is still among them after Deliver, and
// Client.Status says what became of it.
func Invited(t testing.TB, c *enqueue.Client) []tasks.Invite {
	t.Helper()
	records, err := kitOf(t, c).records()
	if err != nil {
		t.Fatalf("enqueuetest: %v", err)
	}
	var all []tasks.Invite
	for _, r := range records {
		if r.State != tasks.Canceled && r.State != tasks.Revoked && !r.RevokeWanted {
			all = append(all, r.Invite)
		}
	}
	return all
}

func (k *kit) records() (all []ledger.Record, err error) {
	ctx := context.Background()
	rdb := redis.NewClient(options(k.dial).Simple())
	defer rdb.Close()
	l, err := ledger.Open(ctx, rdb, ledger.Config{})
	if err != nil {
		return nil, err
	}
	for records, err := range l.EveryIn(ctx, 500, tasks.States...) {
		if err != nil {
			return nil, err
		}
		all = append(all, records...)
	}
	slices.SortFunc(all, func(a, b ledger.Record) int { return cmp.Compare(a.Position, b.Position) })
	return all, nil
}

// RequireInvited ends the test unless these people and no others are Invited, each as
// often as they are named, in any order. Addresses are compared as Clerk does, without
// regard to case.
func RequireInvited(t testing.TB, c *enqueue.Client, addresses ...string) {
	t.Helper()
	wanted, got := map[string]int{}, map[string]int{}
	for _, a := range addresses {
		wanted[tasks.EmailKey(a)]++
	}
	for _, i := range Invited(t, c) {
		got[i.EmailAddress.Key()]++
	}
	failed := false
	for _, a := range slices.Sorted(maps.Keys(merged(wanted, got))) {
		switch {
		case wanted[a] == got[a]:
			continue
		case wanted[a] == 0:
			t.Errorf("%s is invited and should not be", a)
		case got[a] == 0:
			t.Errorf("%s is not invited", a)
		default:
			t.Errorf("%s is invited %d times, not %d", a, got[a], wanted[a])
		}
		failed = true
	}
	if failed {
		t.FailNow()
	}
}

func merged(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// RequireNothing ends the test unless nobody is Invited.
func RequireNothing(t testing.TB, c *enqueue.Client) {
	t.Helper()
	RequireInvited(t, c)
}
