package worker

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	trimAtOnce = 200
	trimPause  = 50 * time.Millisecond // between two batches, so that others have their turn at Redis
)

// trim forgets settled invites whose retention has passed. Every worker trims; to
// forget twice is no harm. It needs nobody but Redis.
type trim struct {
	ledger     *ledger.Ledger
	log        zerolog.Logger
	retention  time.Duration // Negative: nothing is forgotten.
	tombstones time.Duration
	tempo      *tempo
}

func (t *trim) run(ctx context.Context) {
	if t.retention < 0 {
		return
	}
	for {
		n, err := t.forget(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			t.log.Warn().Err(err).Msg("trim")
		case n > 0:
			t.log.Info().Int("invites", n).Msg("forgot settled invites whose retention has passed")
		}
		nudges(nil).sleep(ctx, t.tempo.trim)
		if ctx.Err() != nil {
			return
		}
	}
}

// forget returns how many invites it has forgotten: all that are due, unless there
// is an error.
func (t *trim) forget(ctx context.Context) (int, error) {
	gone := 0
	for {
		n, err := t.ledger.Trim(ctx, time.Now().Add(-t.retention), t.tombstones, trimAtOnce)
		gone += n
		if err != nil || n < trimAtOnce {
			return gone, err
		}
		nudges(nil).sleep(ctx, trimPause)
	}
}
