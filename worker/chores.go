package worker

import (
	"context"
	"time"
)

// choresPoll is how often a worker looks for unknown outcomes and wanted revokes
// that nobody has told it of. While there are some it looks every second.
const choresPoll = 5 * time.Second

// chores settles unknown outcomes and carries out revokes until ctx ends.
func (w *Worker) chores(ctx context.Context) error {
	for {
		looked, err := w.verify(ctx)
		revoked, rerr := w.revokes(ctx)
		pause := choresPoll
		if looked+revoked > 0 && err == nil && rerr == nil {
			pause = time.Second
		}
		for _, e := range []error{err, rerr} {
			if e != nil && ctx.Err() == nil && isFailure(e) {
				w.log.Warn().Err(e).Msg("unknown outcomes and revokes must wait")
			}
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
