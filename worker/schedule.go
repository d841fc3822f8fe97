package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
	"github.com/inviteq/inviteq/worker/reconcile"
	"github.com/inviteq/inviteq/worker/verdict"
)

const (
	scheduleEvery  = time.Minute
	reconcileLease = 30 * time.Minute // a pass that takes longer may be joined by another, which does no harm
	fullStartTick  = 10 * time.Minute // so that a rolling restart makes one full pass, not one a worker
)

// schedule enqueues the passes of reconciliation and makes them. Every worker does;
// a task's id is that of its tick, so one of them succeeds and the others find it
// taken.
type schedule struct {
	ledger    *ledger.Ledger
	clerk     *clerk.Client
	client    *asynq.Client
	queue     string
	every     time.Duration // Negative: never.
	fullEvery time.Duration
	retention time.Duration
	facts     func() ownership.Facts
	health    *health
	observe   *Observer
	log       zerolog.Logger
	watch     *watch
}

func (s *schedule) run(ctx context.Context) {
	if s.every < 0 {
		return
	}
	tick := time.NewTicker(min(scheduleEvery, s.every))
	defer tick.Stop()
	for {
		if err := s.enqueuePasses(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.health.redis(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *schedule) enqueuePasses(ctx context.Context, now time.Time) error {
	var last reconcile.Report
	err := s.ledger.LastReport(ctx, "full", &last)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	if now.Sub(last.StartedAt) >= s.fullEvery {
		return s.enqueuePass(ctx, true, now.UnixNano()/int64(min(fullStartTick, s.fullEvery)))
	}
	return s.enqueuePass(ctx, false, now.UnixNano()/int64(s.every))
}

func (s *schedule) enqueuePass(ctx context.Context, full bool, tick int64) error {
	id := fmt.Sprintf("reconcile:%s:%d", passKind(full), tick)
	opts := append(tasks.Options(s.queue, id), asynq.Timeout(tasks.PassTimeout))
	_, err := s.client.EnqueueContext(ctx, asynq.NewTask(tasks.TypeReconcile, tasks.Reconcile{Full: full}.Encode()), opts...)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

func passKind(full bool) string {
	if full {
		return "full"
	}
	return "recent"
}

// handle makes one pass. While another is going on anywhere, this one is
// skipped: the state will be looked at again soon.
func (s *schedule) handle(ctx context.Context, task *asynq.Task) error {
	p, err := tasks.ParseReconcile(task.Payload())
	if err != nil {
		return hopeless(err)
	}
	if ok, retryAt := s.clerk.Ready(); !ok {
		return &snooze{retryAt, "Clerk is not well"}
	}
	if why, _ := s.watch.state(); why != "" {
		return &snooze{time.Now().Add(verdict.KeyGate), "Clerk refuses this worker (" + string(why) + ")"}
	}
	release, held, err := s.ledger.Hold(ctx, "reconcile", reconcileLease)
	if err != nil {
		return err
	}
	if id, _ := asynq.GetTaskID(ctx); !held && id == tasks.AskedPass {
		return &snooze{time.Now().Add(minSnooze), "another pass is going on"} // A person waits for this one.
	}
	if !held {
		return report(task, map[string]string{"skipped": "another pass is going on"})
	}
	defer release()
	shown := time.Time{}
	pass := reconcile.Pass{
		Ledger: s.ledger, Clerk: s.clerk, Full: p.Full, Retention: s.retention, Facts: s.facts,
		Adopt: !p.AdoptBefore.IsZero(), AdoptBefore: p.AdoptBefore,
		Progress: func(r reconcile.Report) {
			if time.Since(shown) >= time.Second {
				shown = time.Now()
				_ = report(task, r) // For those who look; the end is what counts.
			}
		},
	}
	got, err := pass.Run(ctx)
	s.watch.heard(ctx, err)
	if err != nil {
		return waitForClerk(err)
	}
	s.observe.reconciled(got)
	line := s.log.Info()
	if got.Missing > 0 || got.Doubled > 0 {
		line = s.log.Warn()
	}
	line.Str("kind", got.Kind).Int("scanned", got.Scanned).Int("same", got.Same).Interface("settled", got.Settled).
		Int("foreign", got.Foreign).Int("adopted", got.Adopted).Int("doubled", got.Doubled).Int("missing", got.Missing).Int("gone", got.Gone).Int("rebuilt", got.Rebuilt).
		Int("reads", got.Reads).Bool("agreed", got.Agreed).Dur("took", got.Took).Msg("reconciled")
	return report(task, got)
}
