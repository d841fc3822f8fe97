package enqueue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// trips is a hook that writes down what goes to Redis together.
type trips struct {
	mu  sync.Mutex
	all [][]string // the first key of each script in a round trip
}

func (h *trips) note(cmds ...redis.Cmder) {
	var keys []string
	for _, c := range cmds {
		if args := c.Args(); c.Name() == "evalsha" || c.Name() == "eval" {
			key, _ := args[3].(string)
			keys = append(keys, key)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, keys)
}

func (h *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error { h.note(c); return next(ctx, c) }
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, c []redis.Cmder) error { h.note(c...); return next(ctx, c) }
}

// warmClient has a Redis of its own, which knows the scripts already.
func warmClient(t *testing.T) (*redis.Client, *enqueue.Client) {
	t.Helper()
	rdb := redistest.Start(t).Client(t)
	c, err := enqueue.New(enqueue.Config{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "warm@example.com")}); err != nil {
		t.Fatal(err)
	}
	return rdb, c
}

// TestRecordComesBeforeTask counts round trips, and sees that in each of the two
// ways the ledger's script runs before asynq's.
func TestRecordComesBeforeTask(t *testing.T) {
	for _, c := range []struct {
		name   string
		invite tasks.Invite
		want   [][]string
	}{
		{"an id of ours", tasks.Invite{}, [][]string{{"inviteq:{default}:", "asynq:{interactive}:t:"}}},
		{"an id of the caller's", tasks.Invite{ID: "mine"}, [][]string{{"inviteq:{default}:"}, {"asynq:{interactive}:t:"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb, s := warmClient(t)
			var seen trips
			rdb.AddHook(&seen)
			c.invite.EmailAddress = email(t, "ada@example.com")
			r, err := s.Invite(t.Context(), c.invite)
			if err != nil || r.TaskErr != nil {
				t.Fatal(err, r.TaskErr)
			}
			last := len(c.want) - 1
			c.want[last][len(c.want[last])-1] += r.ID
			if diff := cmp.Diff(c.want, seen.all); diff != "" {
				t.Errorf("round trips (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOneTripThatRedisRefuses changes Redis between two invites in ways that the
// client cannot know of: the next invite is accepted all the same, once.
func TestOneTripThatRedisRefuses(t *testing.T) {
	for _, change := range [][]any{{"SCRIPT", "FLUSH"}, {"FLUSHALL"}} {
		t.Run(fmt.Sprint(change), func(t *testing.T) {
			rdb, s := warmClient(t)
			if err := rdb.Do(t.Context(), change...).Err(); err != nil {
				t.Fatal(err)
			}
			if change[0] == "FLUSHALL" { // and another process has brought a salt of its own
				other, err := enqueue.New(enqueue.Config{Redis: rdb})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := other.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "warm@example.com")}); err != nil {
					t.Fatal(err)
				}
			}
			r, err := s.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "ada@example.com")})
			if err != nil || r.TaskErr != nil {
				t.Fatal(err, r.TaskErr)
			}
			queued, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks("interactive")
			if err != nil || len(queued) != 2 {
				t.Errorf("got %d tasks, %v; want 2 with the first", len(queued), err)
			}
			if found, err := s.Status(t.Context(), "ada@example.com"); err != nil || len(found) != 1 || found[0].ID != r.ID {
				t.Errorf("got %v, %v; want the one invite", found, err)
			}
		})
	}
}

// TestOneTripWithoutItsRecord keeps the record from being written: that is an
// error, whatever has become of the task.
func TestOneTripWithoutItsRecord(t *testing.T) {
	rdb, s := warmClient(t)
	if err := rdb.Set(t.Context(), "inviteq:{default}:rec", "not a hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "ada@example.com")}); err == nil || r.ID == "" {
		t.Errorf("got %+v, %v; want an error and the id", r, err)
	}
}
