package worker

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	sweepAtOnce = 200
	tellWaiting = 5 * time.Minute // between two lines about who waits, and how long somebody must have waited for one
)

// sweep gives a task to every record that lacks one: its producer died between
// writing the record and enqueueing the task, or Redis lost the task. Every
// worker sweeps; a task that is there already is no harm. It also tells how long
// the oldest invite has waited for its turn, and puts back what a ledger needs
// beside its records, should somebody have emptied Redis.
type sweep struct {
	ledger  *ledger.Ledger
	client  *asynq.Client
	queues  tasks.Queues
	observe *Observer
	log     zerolog.Logger
	tempo   *tempo
}

func (s *sweep) run(ctx context.Context) {
	tick := time.NewTicker(s.tempo.sweep)
	defer tick.Stop()
	var told time.Time
	for {
		n, err := s.retask(ctx)
		if err == nil {
			err = s.ledger.Restore(ctx)
		}
		if err == nil {
			_, err = s.ledger.Reindex(ctx)
		}
		if now := s.ledger.Time(); err == nil && now.Sub(told) >= tellWaiting {
			var is bool
			if is, err = s.tellOldest(ctx, now); is {
				told = now
			}
		}
		s.observe.swept(n)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn().Err(err).Msg("sweep")
		case n > 0:
			s.log.Info().Int("tasks", n).Msg("sweep gave tasks to records that had none")
		}
		if n == sweepAtOnce {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellOldest logs which invite has waited longest, if that is long, and reports
// whether it did.
func (s *sweep) tellOldest(ctx context.Context, now time.Time) (bool, error) {
	r, err := s.ledger.LongestWaiting(ctx)
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil
	}
	waited := now.Sub(r.CreatedAt)
	if err != nil || waited < tellWaiting {
		return false, err
	}
	s.log.Info().Str("id", r.Invite.ID).Stringer("lane", r.Invite.Lane).Str("import_id", r.Invite.ImportID).
		Dur("waited", waited).Msg("oldest invite that waits for its turn")
	return true, nil
}

func (s *sweep) retask(ctx context.Context) (int, error) {
	m, err := s.ledger.Missing(ctx, ledger.Now, sweepAtOnce)
	if err != nil {
		return 0, err
	}
	given := 0
	add := func(typ string, payload []byte, queue, id string) error {
		_, err := s.client.EnqueueContext(ctx, asynq.NewTask(typ, payload), tasks.Options(queue, id)...)
		if err == nil {
			given++
		}
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil // It has one, which nobody has run yet.
		}
		return err
	}
	records, err := s.ledger.Get(ctx, m.Creates...)
	if err != nil {
		return 0, err
	}
	settled := make(map[string]bool, len(m.Creates))
	for _, id := range m.Creates {
		settled[id] = true // or forgotten
	}
	for _, r := range records {
		if settled[r.Invite.ID] = !r.State.Open(); settled[r.Invite.ID] {
			continue
		}
		if err := add(tasks.TypeCreate, tasks.Create{ID: r.Invite.ID}.Encode(), s.queues.Of(r.Invite.Lane), r.Invite.ID); err != nil {
			return given, err
		}
	}
	for id, done := range settled {
		if !done {
			continue
		}
		// Nobody needs a task for it any more.
		if err := s.ledger.TaskSeen(ctx, id); err != nil {
			return given, err
		}
	}
	for _, c := range m.Chunks {
		if err := add(tasks.TypeBulkCreate, c.Encode(), s.queues.Import, c.TaskID()); err != nil {
			return given, err
		}
	}
	for _, id := range m.Revokes {
		if err := add(tasks.TypeRevoke, tasks.Revoke{ID: id}.Encode(), s.queues.Control, id); err != nil {
			return given, err
		}
	}
	return given, s.ledger.Retasked(ctx, ledger.Now, m)
}
