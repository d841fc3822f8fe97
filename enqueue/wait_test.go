package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// bent is a side in a synctest bubble: Redis is played by miniredis behind
// net.Pipe, because a socket would stop the bubble's clock.
func bent(t *testing.T) side {
	t.Helper()
	mini := miniredis.NewMiniRedis()
	t.Cleanup(mini.Close)
	rdb := redis.NewClient(&redis.Options{
		Addr:                     "127.0.0.1:6379",
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return mini.Dial() },
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	c, err := enqueue.New(enqueue.Config{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return side{Client: c, rdb: rdb, ledger: l}
}

func TestWaitSeesTheOutcomeSoon(t *testing.T) {
	for _, c := range []struct {
		after, late time.Duration
	}{
		{0, 0},
		{300 * time.Millisecond, 150 * time.Millisecond},
		{5 * time.Hour, time.Second},
	} {
		t.Run(c.after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := bent(t)
				r, err := s.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "ada@example.com")})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if c.after == 0 {
					s.drive(t, r.ID, tasks.Pending)
				} else {
					time.AfterFunc(c.after, func() { s.drive(t, r.ID, tasks.Pending) })
				}
				got, err := s.Wait(t.Context(), r.ID)
				if late := time.Since(start) - c.after; err != nil || got.State != tasks.Pending || late < 0 || late > c.late {
					t.Errorf("got %v after %v, %v; want pending within %v of %v", got.State, time.Since(start), err, c.late, c.after)
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bent(t)
		r, err := s.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "ada@example.com")})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := s.Wait(ctx, r.ID)
		if !errors.Is(err, context.DeadlineExceeded) || got.State != tasks.Queued || got.ID != r.ID {
			t.Errorf("got %+v, %v; want it queued, and the deadline", got, err)
		}
		if _, err := s.Wait(t.Context(), "nobody"); !errors.Is(err, enqueue.ErrNotFound) {
			t.Errorf("an id that is not known: got %v, want ErrNotFound", err)
		}
	})
}

func TestFollowYieldsEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bent(t)
		if _, err := s.BulkInvite(t.Context(), numbered(t, 3), enqueue.BulkOptions{ImportID: "spring"}); err != nil {
			t.Fatal(err)
		}
		for n, address := range []string{"p0@example.com", "p1@example.com", "p2@example.com"} {
			time.AfterFunc(time.Duration(n+1)*time.Hour, func() {
				if _, err := s.Revoke(t.Context(), address); err != nil {
					t.Error(err)
				}
			})
		}
		start := time.Now()
		var got []string
		for i, err := range s.Follow(t.Context(), "spring") {
			if err != nil {
				t.Fatal(err)
			}
			hours := time.Since(start).Round(time.Minute)
			got = append(got, fmt.Sprintf("%v: %d open, %d canceled", hours, i.Open, i.States[tasks.Canceled]))
		}
		want := []string{
			"0s: 3 open, 0 canceled", "1h0m0s: 2 open, 1 canceled", "2h0m0s: 1 open, 2 canceled", "3h0m0s: 0 open, 3 canceled",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestFollowGoesOnAfterAnErrorIfAsked(t *testing.T) {
	var f faults
	s := sideOver(t, f.client(t, -1))
	if _, err := s.BulkInvite(t.Context(), numbered(t, 1), enqueue.BulkOptions{ImportID: "spring"}); err != nil {
		t.Fatal(err)
	}
	f.set("", "inviteq:{")
	var seen []string
	for i, err := range s.Follow(t.Context(), "spring") {
		if err != nil {
			seen = append(seen, "error")
			f.set("", "")
			if _, err := s.Revoke(t.Context(), "p0@example.com"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		seen = append(seen, fmt.Sprint(i.Open))
	}
	if diff := cmp.Diff([]string{"error", "0"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFollowEnds(t *testing.T) {
	s := newSide(t)
	if _, err := s.BulkInvite(t.Context(), numbered(t, 1), enqueue.BulkOptions{ImportID: "spring"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs []error
	for _, err := range s.Follow(ctx, "spring") {
		errs = append(errs, err)
		cancel()
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], context.Canceled) {
		t.Errorf("with its context: got %v", errs)
	}
	errs = slices.Collect(func(yield func(error) bool) {
		for _, err := range s.Follow(t.Context(), "nothing") {
			if !yield(err) {
				return
			}
		}
	})
	if len(errs) != 1 || !errors.Is(errs[0], enqueue.ErrNotFound) {
		t.Errorf("an import that is not known: got %v, want ErrNotFound once", errs)
	}
}
