package ledger

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// TestBrowse compares every order with a plain sort of all records, which are in
// many states and indexes.
func TestBrowse(t *testing.T) {
	l := open(t, Config{})
	dice := rand.New(rand.NewPCG(1, 2))
	var all []Record
	var ids []string
	now := start
	for n := range 300 {
		now = now.Add(time.Duration(dice.IntN(3)) * time.Second) // several in a moment
		if n%5 == 0 {
			i := invite(t, fmt.Sprintf("s%d@example.com", dice.IntN(1_000_000)))
			if _, err := l.Adopt(t.Context(), now, Stranger{Invite: i, InvitationID: fmt.Sprintf("inv_%d", n), State: []tasks.State{tasks.Pending, tasks.Accepted, tasks.Expired}[n%3],
				CreatedAt: now.Add(-time.Duration(dice.IntN(100)) * time.Hour)}); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, i.ID)
			continue
		}
		i := invite(t, fmt.Sprintf("p%d@example.com", dice.IntN(1_000_000)))
		i.Lane, i.ExpiresInDays = tasks.Lane(n%2), dice.IntN(365)
		if n%7 == 0 {
			i.NotBefore = now.Add(time.Duration(dice.IntN(100)) * time.Hour)
		}
		admit(t, l, now, i)
		ids = append(ids, i.ID)
		if n%4 == 0 {
			if _, err := l.Cancel(t.Context(), now.Add(time.Duration(dice.IntN(3600))*time.Second), ids[dice.IntN(len(ids))]); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := l.Get(t.Context(), ids...)
	if err != nil || len(all) != 300 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for range 200 {
		b := Browsing{Order: Order(dice.IntN(3)), Descending: dice.IntN(3) > 0, Offset: dice.IntN(4) * dice.IntN(120), Limit: 1 + dice.IntN(60)}
		for _, s := range tasks.States {
			if dice.IntN(3) > 0 {
				b.States = append(b.States, s)
			}
		}
		want := slices.DeleteFunc(slices.Clone(all), func(r Record) bool { return !slices.Contains(b.States, r.State) })
		slices.SortFunc(want, func(x, y Record) int {
			c := x.CreatedAt.Compare(y.CreatedAt)
			switch b.Order {
			case ByAddress:
				c = strings.Compare(x.Invite.EmailAddress.Key(), y.Invite.EmailAddress.Key())
			case ByExpiry:
				c = x.ExpiresAt().Compare(y.ExpiresAt())
			case ByCreation:
			}
			c = cmp.Or(c, cmp.Compare(x.Position, y.Position))
			if b.Descending {
				return -c
			}
			return c
		})
		from := min(b.Offset, len(want))
		want = want[from:min(from+b.Limit, len(want))]
		got, err := l.Browse(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, func(x, y Record) bool { return x.Invite.ID == y.Invite.ID }) {
			t.Fatalf("%+v: got %d records, want %d, or another order", b, len(got), len(want))
		}
	}
}

// counting counts how many records are read.
type counting struct {
	redis.Hook
	records int
}

func (c *counting) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hmget" {
			c.records += len(cmd.Args()) - 2
		}
		return next(ctx, cmd)
	}
}
func (c *counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestNewestAreReadAlone: a first page costs no more because thousands of others
// wait, or have been sent.
func TestNewestAreReadAlone(t *testing.T) {
	l := open(t, Config{})
	for n := range 40 {
		var strangers []Stranger
		var invites []tasks.Invite
		for i := range 50 {
			at := start.Add(time.Duration(n) * time.Minute)
			strangers = append(strangers, Stranger{Invite: invite(t, fmt.Sprintf("s%d.%d@example.com", n, i)), InvitationID: fmt.Sprintf("inv_%d_%d", n, i), State: tasks.Pending, CreatedAt: at})
			one := invite(t, fmt.Sprintf("p%d.%d@example.com", n, i))
			one.Lane, one.ImportID = tasks.Import, "imp"
			invites = append(invites, one)
		}
		at := start.Add(time.Duration(n) * time.Minute)
		admit(t, l, at, invites...)
		if _, err := l.Adopt(t.Context(), at, strangers...); err != nil {
			t.Fatal(err)
		}
	}
	hook := &counting{}
	l.Redis().AddHook(hook)
	got, err := l.Browse(t.Context(), Browsing{States: tasks.States, Descending: true, Limit: 10})
	if err != nil || len(got) != 10 || !got[0].CreatedAt.Equal(start.Add(39*time.Minute)) {
		t.Fatalf("got %d, %v", len(got), err)
	}
	if hook.records > 800 { // a part of the lane, and of the list of rows
		t.Errorf("%d of 4000 records were read for a page of ten", hook.records)
	}
}
