package worker

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
)

// chores settles unknown outcomes and carries out revokes until ctx ends.
func (w *Worker) chores(ctx context.Context) {
	said := reasonToWait(nil) // One line a change, not one a failure.
	for {
		done, err := w.chore(ctx)
		pause := w.tempo.chores
		if done > 0 && err == nil {
			pause = time.Second
		}
		if why := reasonToWait(err); why != said && ctx.Err() == nil {
			said = why
			level := zerolog.WarnLevel
			if why == waitForRedis || err == nil {
				level = zerolog.InfoLevel // of Redis the worker's health speaks
			}
			w.log.WithLevel(level).Str("why", why).Msg("reading of unknown outcomes, and revokes")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-w.choresWake:
		}
	}
}

// chore does what is due, and returns how much there was.
func (w *Worker) chore(ctx context.Context) (int, error) {
	unknown, revokes, err := w.ledger.Due(ctx, time.Now())
	if err != nil {
		return 0, err
	}
	var looked, revoked int
	var rerr error
	if unknown {
		looked, err = w.verify(ctx)
	}
	if revokes {
		revoked, rerr = w.revokes(ctx)
	}
	return looked + revoked, errors.Join(err, rerr)
}

// nudgeChores says that a revoke is wanted. It never blocks.
func (w *Worker) nudgeChores() {
	select {
	case w.choresWake <- struct{}{}:
	default:
	}
}

const waitForRedis = "must wait: redis"

func reasonToWait(err error) string {
	if err == nil {
		return "go on"
	}
	if e, ok := errors.AsType[*clerk.Error](err); ok {
		return "must wait: clerk " + e.Kind.String()
	}
	if !isFailure(err) {
		return "must wait: read quota"
	}
	return waitForRedis
}
