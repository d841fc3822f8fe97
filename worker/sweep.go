package worker

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
)

const sweepAtOnce = 200

// sweep gives a task to every record that lacks one: its producer died between
// writing the record and enqueueing the task, or Redis lost the task. Every
// worker sweeps; a task that is there already is no harm.
func (w *Worker) sweep(ctx context.Context) error {
	tick := time.NewTicker(w.tempo.sweep)
	defer tick.Stop()
	for {
		n, err := w.retask(ctx)
		w.cfg.Observe.swept(n)
		switch {
		case err != nil && ctx.Err() == nil:
			w.log.Warn().Err(err).Msg("sweep")
		case n > 0:
			w.log.Info().Int("tasks", n).Msg("sweep gave tasks to records that had none")
		}
		if n == sweepAtOnce {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *Worker) retask(ctx context.Context) (int, error) {
	m, err := w.ledger.Missing(ctx, time.Now(), sweepAtOnce)
	if err != nil {
		return 0, err
	}
	given := 0
	add := func(typ string, payload []byte, queue, id string) error {
		_, err := w.client.EnqueueContext(ctx, asynq.NewTask(typ, payload), tasks.Options(queue, id)...)
		if err == nil {
			given++
		}
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil // It has one, which nobody has run yet.
		}
		return err
	}
	records, err := w.ledger.Get(ctx, m.Creates...)
	if err != nil {
		return 0, err
	}
	for _, r := range records {
		if !r.State.Open() {
			continue
		}
		if err := add(tasks.TypeCreate, tasks.Create{ID: r.Invite.ID}.Encode(), w.queues.Of(r.Invite.Lane), r.Invite.ID); err != nil {
			return given, err
		}
	}
	for _, c := range m.Chunks {
		if err := add(tasks.TypeBulkCreate, c.Encode(), w.queues.Import, c.TaskID()); err != nil {
			return given, err
		}
	}
	for _, id := range m.Revokes {
		if err := add(tasks.TypeRevoke, tasks.Revoke{ID: id}.Encode(), w.queues.Control, id); err != nil {
			return given, err
		}
	}
	return given, w.ledger.Retasked(ctx, time.Now(), m)
}
