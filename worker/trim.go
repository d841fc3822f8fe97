package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	trimAtOnce = 200
	trimPause  = 50 * time.Millisecond // between two batches, so that others have their turn at Redis

	warnAhead = 30 * 24 * time.Hour // how long before it is forgotten a warning says so of what waits for a person
	warnEvery = 24 * time.Hour

	tasksEvery = time.Hour // to look through the tasks costs more than to forget invites
)

// trim forgets invites and tasks whose retention has passed. Every worker trims; to
// forget twice is no harm. It needs nobody but Redis.
type trim struct {
	ledger     *ledger.Ledger
	inspector  *asynq.Inspector
	queues     tasks.Queues
	log        zerolog.Logger
	tempo      *tempo
	retention  time.Duration // Of what is settled, and of archived and foreign tasks. Negative: nothing is forgotten.
	stuck      time.Duration // Of what failed or is parked. Negative: nothing of that is forgotten.
	tombstones time.Duration

	warned  time.Time
	through time.Time // when the tasks were looked through
}

func (t *trim) run(ctx context.Context) {
	for {
		gone, err := t.forget(ctx, ledger.Settled, t.retention)
		t.tell(ctx, gone, err, "forgot settled invites whose retention has passed")
		gone, err = t.forget(ctx, ledger.Stuck, t.stuck)
		t.tell(ctx, gone, err, "forgot failed and parked invites that nobody saw to in their retention")
		t.tell(ctx, 0, t.warn(ctx), "")
		if now := time.Now(); now.Sub(t.through) >= tasksEvery {
			gone, err = t.forgetTasks(ctx)
			t.tell(ctx, gone, err, "deleted archived and foreign tasks whose retention has passed")
			t.through = now
		}
		nudges(nil).sleep(ctx, t.tempo.trim)
		if ctx.Err() != nil {
			return
		}
	}
}

func (t *trim) tell(ctx context.Context, n int, err error, what string) {
	switch {
	case err != nil && ctx.Err() == nil:
		t.log.Warn().Err(err).Msg("trim")
	case n > 0:
		t.log.Info().Int("number", n).Msg(what)
	}
}

// forget returns how many invites it has forgotten: all that are due, unless there
// is an error.
func (t *trim) forget(ctx context.Context, states []tasks.State, retention time.Duration) (gone int, _ error) {
	if retention < 0 {
		return 0, nil
	}
	for {
		n, err := t.ledger.Trim(ctx, time.Now().Add(-retention), t.tombstones, trimAtOnce, states...)
		gone += n
		if err != nil || n < trimAtOnce {
			return gone, err
		}
		nudges(nil).sleep(ctx, trimPause)
	}
}

// warn says how many invites will be forgotten soon although a person should see to
// them.
func (t *trim) warn(ctx context.Context) error {
	now := time.Now()
	if t.stuck < 0 || now.Sub(t.warned) < warnEvery {
		return nil
	}
	n, err := t.ledger.Unchanged(ctx, ledger.Stuck, now.Add(warnAhead-t.stuck))
	if err != nil {
		return err
	}
	t.warned = now
	if n > 0 {
		t.log.Warn().Int64("invites", n).Msg("failed and parked invites will be forgotten within thirty days: queue them again (inviteq retry), or take them back (inviteq revoke)")
	}
	return nil
}

// forgetTasks deletes archived tasks that are older than the retention, and what the
// producers of finished tasks wanted to keep for longer: it may hold addresses.
func (t *trim) forgetTasks(ctx context.Context) (gone int, _ error) {
	if t.retention < 0 {
		return 0, nil
	}
	due := time.Now().Add(-t.retention)
	there, err := t.inspector.Queues()
	if err != nil {
		return 0, err
	}
	for _, queue := range t.queues.Names() {
		if !slices.Contains(there, queue) {
			continue // Nobody has put a task into it yet.
		}
		info, err := t.inspector.GetQueueInfo(queue)
		if err != nil {
			return gone, err
		}
		// The oldest archived task comes first; of the finished ones, that which is kept longest comes last.
		n, err := t.forgetOld(ctx, queue, t.inspector.ListArchivedTasks, 1, func(a *asynq.TaskInfo) bool { return a.LastFailedAt.Before(due) })
		gone += n
		if err != nil {
			return gone, err
		}
		last := (info.Completed + trimAtOnce - 1) / trimAtOnce
		n, err = t.forgetOld(ctx, queue, t.inspector.ListCompletedTasks, max(last, 1), func(a *asynq.TaskInfo) bool { return a.CompletedAt.Before(due) })
		gone += n
		if err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// forgetOld deletes the old tasks of a page, again and again while all of them are old.
func (t *trim) forgetOld(ctx context.Context, queue string, list func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error), page int, old func(*asynq.TaskInfo) bool) (gone int, _ error) {
	for {
		found, err := list(queue, asynq.PageSize(trimAtOnce), asynq.Page(page))
		if err != nil {
			return gone, err
		}
		n := 0
		for _, a := range found {
			if !old(a) {
				continue
			}
			if err := t.inspector.DeleteTask(queue, a.ID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
				return gone, err
			}
			n++
		}
		gone += n
		if n < len(found) || n == 0 || ctx.Err() != nil {
			return gone, ctx.Err()
		}
		page = max(page-1, 1)
		nudges(nil).sleep(ctx, trimPause)
	}
}
