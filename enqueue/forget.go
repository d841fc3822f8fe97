package enqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Forgotten says what Client.Forget has done.
type Forgotten struct {
	Person   string   `json:"person"`   // The keyed hash by which logs know the person.
	Invites  []string `json:"invites"`  // The ids of the invites that were forgotten.
	Canceled int      `json:"canceled"` // Of those, how many had not been sent, and never will be.

	// Pending are Clerk's ids of invitations that were pending as far as the ledger
	// knew. They stand at Clerk until they run out, unless somebody deletes them there.
	Pending []string `json:"pending"`

	// Waiting is how many invites could not be forgotten yet, because a call of them may
	// still make an invitation at Clerk. They are taken back; Forget again after
	// WaitUntil, with a worker running meanwhile.
	Waiting   int        `json:"waiting"`
	WaitUntil *time.Time `json:"wait_until"` // null: nothing waits

	Revokes int `json:"revokes"` // Requests to revoke that named the address and were not done: they are dropped.
	Tasks   int `json:"tasks"`   // asynq tasks that were deleted.

	// Left are the places in Redis where the address still stands, without it. There are
	// none unless an invite waits, or another person's invite names this one.
	Left []string `json:"left"`
}

// Done reports whether nothing of the person is left in Redis.
func (f Forgotten) Done() bool { return f.Waiting == 0 && len(f.Left) == 0 }

// Forget removes a person from Redis: the invites for the address and everything that
// leads to them (see ledger.Forget), the asynq tasks that are about them or hold the
// address, finished and archived ones too, and what else names it. Then it searches
// everything of this instance in Redis for the address. Backups, the append-only file
// until its next rewrite and Redis' slow log are beyond its reach.
//
// Clerk is not asked: what stands there stays, and is not adopted again. It may be
// repeated, and has to be as long as Forgotten.Done is false. It needs the rights of the
// eraser in deployments/redis.acl.
func (c *Client) Forget(ctx context.Context, e tasks.Email) (f Forgotten, err error) {
	l, err := c.open(ctx)
	if err != nil {
		return f, fmt.Errorf("forget: %w", err)
	}
	f = Forgotten{Person: l.Person(e), Invites: []string{}, Pending: []string{}, Left: []string{}}
	// Whole invites in foreign tasks go first, so that nobody writes them into the ledger.
	if err := c.forgetTasks(ctx, &f, e); err != nil {
		return f, fmt.Errorf("forget: %w", err)
	}
	erased, dropped, err := l.Forget(ctx, ledger.Now, e)
	f.add(erased)
	f.Revokes = len(dropped)
	ids := slices.Clone(f.Invites)
	for _, r := range dropped {
		ids = append(ids, r.ID)
	}
	if err == nil && len(ids) > 0 {
		err = c.forgetByID(ctx, &f, ids)
	}
	if err == nil {
		err = c.forgetRest(ctx, l, &f, e)
	}
	if err != nil {
		return f, fmt.Errorf("forget: %w", err)
	}
	return f, nil
}

func (f *Forgotten) add(erased []ledger.Erased) {
	for _, one := range erased {
		if !one.ArrivesUntil.IsZero() {
			f.Waiting++
			if f.WaitUntil == nil || one.ArrivesUntil.After(*f.WaitUntil) {
				f.WaitUntil = tasks.TimeOrNull(utc(one.ArrivesUntil))
			}
			continue
		}
		f.Invites = append(f.Invites, one.ID)
		switch one.State {
		case tasks.Queued, tasks.Parked, tasks.Failed:
			f.Canceled++
		case tasks.Pending:
			f.Pending = append(f.Pending, one.InvitationID)
		default:
		}
	}
}

// taskMentions reports whether an address stands in a task, its id included.
func taskMentions(e tasks.Email, t *asynq.TaskInfo) bool {
	return slices.ContainsFunc([]string{t.ID, string(t.Payload), string(t.Result), t.LastErr, t.Type}, func(s string) bool { return ledger.Mentioned(e, s) })
}

// forgetByID deletes the tasks of invites and of requests to revoke.
func (c *Client) forgetByID(ctx context.Context, f *Forgotten, ids []string) error {
	inspector := asynq.NewInspectorFromRedisClient(c.rdb)
	for _, id := range ids {
		for _, name := range []string{id, "revoke:" + id} {
			for _, queue := range c.queues.Names() {
				if err := ctx.Err(); err != nil {
					return err
				}
				err := inspector.DeleteTask(queue, name)
				switch {
				case err == nil:
					f.Tasks++
				case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
				case strings.Contains(err.Error(), "active"): // It ends by itself: it finds no record.
				default:
					return err
				}
			}
		}
	}
	return nil
}

// forgetTasks deletes the tasks that hold the address. What a chunk of a foreign
// producer asks for other people is written into the ledger first.
func (c *Client) forgetTasks(ctx context.Context, f *Forgotten, e tasks.Email) error {
	var meant []*asynq.TaskInfo
	for t, err := range c.allTasks(ctx) {
		if err != nil {
			return err
		}
		if taskMentions(e, t) && t.State != asynq.TaskStateActive {
			meant = append(meant, t)
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(c.rdb)
	for _, t := range meant {
		if err := c.keepOthers(ctx, t, e); err != nil {
			return err
		}
		if err := inspector.DeleteTask(t.Queue, t.ID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
			return err
		}
		f.Tasks++
	}
	return nil
}

// keepOthers accepts what a task that is about to be deleted asks for other people.
func (c *Client) keepOthers(ctx context.Context, t *asynq.TaskInfo, e tasks.Email) error {
	if t.Type != tasks.TypeBulkCreate || t.State == asynq.TaskStateCompleted || t.State == asynq.TaskStateArchived {
		return nil // It asks for nobody any more, or never did.
	}
	b, _ := tasks.ParseBulkCreate(t.Payload) // What cannot be read asks for nobody.
	others := func(yield func(tasks.Invite, error) bool) {
		for _, i := range b.Invites {
			if i.EmailAddress.Key() == e.Key() {
				continue
			}
			if i.ID == "" {
				i.ID = tasks.ImportInviteID(b.ImportID, i.EmailAddress) // as a worker names it
			}
			if !yield(i, nil) {
				return
			}
		}
	}
	if len(b.Invites) == 0 {
		return nil
	}
	_, err := c.BulkInvite(ctx, others, BulkOptions{ImportID: b.ImportID, KeepLanes: true})
	return err
}

// tasksAtOnce is how many tasks are read at a time.
const tasksAtOnce = 1000

// allTasks yields every task in the instance's queues.
func (c *Client) allTasks(ctx context.Context) iter.Seq2[*asynq.TaskInfo, error] {
	i := asynq.NewInspectorFromRedisClient(c.rdb)
	lists := []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		i.ListPendingTasks, i.ListScheduledTasks, i.ListRetryTasks, i.ListActiveTasks, i.ListArchivedTasks, i.ListCompletedTasks,
	}
	return func(yield func(*asynq.TaskInfo, error) bool) {
		for _, queue := range c.queues.Names() {
			for _, list := range lists {
				for page := 1; ; page++ {
					found, err := list(queue, asynq.PageSize(tasksAtOnce), asynq.Page(page))
					if errors.Is(err, asynq.ErrQueueNotFound) {
						break
					}
					if err = errors.Join(err, ctx.Err()); err != nil {
						yield(nil, err)
						return
					}
					for _, t := range found {
						if !yield(t, nil) {
							return
						}
					}
					if len(found) < tasksAtOnce {
						break
					}
				}
			}
		}
	}
}

// forgetRest searches Redis, sees to what it can see to, and says what is left.
func (c *Client) forgetRest(ctx context.Context, l *ledger.Ledger, f *Forgotten, e tasks.Email) error {
	found, err := l.Mentions(ctx, e)
	if err != nil || len(found) == 0 {
		return err
	}
	for _, m := range found {
		if err := l.ForgetMention(ctx, m, e); err != nil {
			return err
		}
	}
	found, err = l.Mentions(ctx, e)
	for _, m := range found {
		f.Left = append(f.Left, m.String())
	}
	return err
}
