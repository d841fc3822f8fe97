package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
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

// TestRecordComesBeforeTask counts round trips, and sees that in each of the ways the
// ledger's script runs before asynq's.
func TestRecordComesBeforeTask(t *testing.T) {
	for _, c := range []struct {
		name   string
		invite tasks.Invite
		want   [][]string
	}{
		{"an id of ours", tasks.Invite{}, [][]string{{"inviteq:{default}:", "asynq:{interactive}:t:"}}},
		{"an id of the caller's", tasks.Invite{ID: "mine"}, [][]string{{"inviteq:{default}:", "asynq:{interactive}:t:"}}},
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

// TestInviteIsAcceptedWhenItsTaskIsNot takes away the right to asynq's keys: for the
// second of two round trips, or for the second half of one.
func TestInviteIsAcceptedWhenItsTaskIsNot(t *testing.T) {
	for _, warm := range []bool{false, true} {
		server := redistest.Start(t)
		admin := server.Client(t)
		rights := func(keys string) {
			t.Helper()
			if err := admin.Do(t.Context(), "acl", "setuser", "u", "reset", "on", "nopass", "&*", "+@all", keys).Err(); err != nil {
				t.Fatal(err)
			}
		}
		rights("~*")
		opts := server.Options().Simple()
		opts.Username, opts.Password = "u", "any"
		rdb := redis.NewClient(opts)
		t.Cleanup(func() { _ = rdb.Close() })
		s, err := enqueue.New(enqueue.Config{Redis: rdb})
		if err != nil {
			t.Fatal(err)
		}
		if warm {
			if _, err := s.Invite(t.Context(), tasks.Invite{EmailAddress: email(t, "warm@example.com")}); err != nil {
				t.Fatal(err)
			}
		}
		rights("~inviteq:*")
		invite := tasks.Invite{ID: "signup-4711", EmailAddress: email(t, "canary@example.com")}
		got, err := s.Invite(t.Context(), invite)
		if err != nil || got.TaskErr == nil || got.State != tasks.Queued || got.Existing {
			t.Fatalf("got %+v, %v; want it accepted, and the error in TaskErr", got, err)
		}
		if strings.Contains(got.TaskErr.Error(), "canary") {
			t.Errorf("the address is quoted: %v", got.TaskErr)
		}
		l, err := ledger.Open(t.Context(), admin, ledger.Config{})
		if err != nil {
			t.Fatal(err)
		}
		missing, err := l.Missing(t.Context(), time.Now().Add(2*time.Minute), 10)
		if err != nil || !slices.Contains(missing.Creates, invite.ID) {
			t.Errorf("the sweep finds %v, %v", missing.Creates, err)
		}

		// Calling again helps, too, and at once.
		rights("~*")
		again, err := s.Invite(t.Context(), invite)
		if err != nil || !again.Existing || again.TaskErr != nil {
			t.Errorf("again: got %+v, %v", again, err)
		}
		if task, err := asynq.NewInspectorFromRedisClient(admin).GetTaskInfo("interactive", invite.ID); err != nil || task.State != asynq.TaskStatePending {
			t.Errorf("got %+v, %v; want its task", task, err)
		}
	}
}

// TestTaskOfAKnownID repeats an invite under its own id. The task that goes along with
// the question stays only if the invite that has the id needs it.
func TestTaskOfAKnownID(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, l *ledger.Ledger) // after the first call
		change func(*tasks.Invite)
		tasks  int
	}{
		{"it waits", nil, nil, 1},
		{"it has ended", func(t *testing.T, l *ledger.Ledger) {
			if _, err := l.Cancel(t.Context(), ledger.Now, "mine"); err != nil {
				t.Fatal(err)
			}
		}, nil, 0},
		{"it is forgotten", func(t *testing.T, l *ledger.Ledger) {
			if _, err := l.Cancel(t.Context(), ledger.Now, "mine"); err != nil {
				t.Fatal(err)
			}
			if n, err := l.Trim(t.Context(), time.Now().Add(time.Hour), time.Minute, 10); n != 1 || err != nil {
				t.Fatalf("trimmed %d, %v", n, err)
			}
		}, nil, 0},
		{"it has other content", nil, func(i *tasks.Invite) { i.RedirectURL = "https://example.com/" }, 0},
		{"it is in the other lane", nil, func(i *tasks.Invite) { i.Lane = tasks.Import }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb, s := warmClient(t)
			l, err := ledger.Open(t.Context(), rdb, ledger.Config{})
			if err != nil {
				t.Fatal(err)
			}
			inspector := asynq.NewInspectorFromRedisClient(rdb)
			i := tasks.Invite{ID: "mine", EmailAddress: email(t, "ada@example.com")}
			if _, err := s.Invite(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			if err := inspector.DeleteTask("interactive", "mine"); err != nil { // as if nobody had left one
				t.Fatal(err)
			}
			if c.before != nil {
				c.before(t, l)
			}
			if c.change != nil {
				c.change(&i)
			}
			r, err := s.Invite(t.Context(), i)
			if conflict := errors.Is(err, enqueue.ErrConflict); conflict != (c.name == "it has other content") || !conflict && (err != nil || !r.Existing || r.TaskErr != nil) {
				t.Fatalf("got %+v, %v", r, err)
			}
			left := 0
			for _, queue := range []string{"interactive", "import"} {
				if _, err := inspector.GetTaskInfo(queue, "mine"); err == nil {
					left++
				} else if queue == "interactive" && c.tasks == 1 {
					t.Error("the task is not in the queue of its invite:", err)
				}
			}
			if left != c.tasks {
				t.Errorf("got %d tasks, want %d", left, c.tasks)
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
