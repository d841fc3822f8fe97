package worker

import (
	"context"
	"errors"
	"time"

	"github.com/inviteq/inviteq/clerk"
)

// chores settles unknown outcomes and carries out revokes until ctx ends.
func (w *Worker) chores(ctx context.Context) error {
	said := reasonToWait(nil) // One line a change, not one a failure.
	for {
		looked, err := w.verify(ctx)
		revoked, rerr := w.revokes(ctx)
		pause := w.tempo.chores
		if looked+revoked > 0 && err == nil && rerr == nil {
			pause = time.Second
		}
		if why := reasonToWait(errors.Join(err, rerr)); why != said && ctx.Err() == nil {
			said = why
			w.log.Warn().Str("why", why).Msg("reading of unknown outcomes, and revokes")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		case <-w.choresWake:
		}
	}
}

// nudgeChores says that a revoke is wanted. It never blocks.
func (w *Worker) nudgeChores() {
	select {
	case w.choresWake <- struct{}{}:
	default:
	}
}

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
	return "must wait: redis"
}
