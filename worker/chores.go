package worker

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const lookAtOnce = 100 // unknown invites that share a look

// chores settles unknown outcomes and carries out revokes.
type chores struct {
	ledger   *ledger.Ledger
	reads    *reads
	revokes  *revokes
	outcomes *outcomes
	log      zerolog.Logger
	tempo    *tempo
	wake     nudges
}

func (c *chores) run(ctx context.Context) {
	said := reasonToWait(nil) // One line a change, not one a failure.
	for {
		done, err := c.chore(ctx)
		pause := c.tempo.chores
		if done > 0 && err == nil {
			pause = time.Second
		}
		if why := reasonToWait(err); why != said && ctx.Err() == nil {
			said = why
			level := zerolog.WarnLevel
			if why == waitForRedis || err == nil {
				level = zerolog.InfoLevel // of Redis the worker's health speaks
			}
			c.log.WithLevel(level).Str("why", why).Msg("reading of unknown outcomes, and revokes")
		}
		c.wake.sleep(ctx, pause)
		if ctx.Err() != nil {
			return
		}
	}
}

// chore does what is due, and returns how much there was.
func (c *chores) chore(ctx context.Context) (int, error) {
	unknown, revokes, err := c.ledger.Due(ctx, time.Now())
	if err != nil {
		return 0, err
	}
	var looked, revoked int
	var rerr error
	if unknown {
		looked, err = c.verify(ctx)
	}
	if revokes {
		revoked, rerr = c.revokes.due(ctx)
	}
	return looked + revoked, errors.Join(err, rerr)
}

// verify settles unknown invites by reading, and returns how many were looked at.
// If that cannot be done, they come up again when the lease ends.
func (c *chores) verify(ctx context.Context) (int, error) {
	due, err := c.ledger.DueUnknown(ctx, time.Now(), lookLease, lookAtOnce)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	members, err := c.reads.look(ctx, due)
	if err != nil {
		return len(due), err
	}
	records, err := c.ledger.Settle(ctx, time.Now(), members...)
	if err != nil {
		return len(due), err
	}
	c.outcomes.tell(records)
	c.logLook(due, records)
	return len(due), nil
}

func (c *chores) logLook(due, settled []ledger.Record) {
	counts := map[tasks.State]int{}
	for _, r := range settled {
		counts[r.State]++
	}
	line := c.log.Info().Int("looked_at", len(due))
	for _, s := range tasks.States {
		if counts[s] > 0 {
			line = line.Int(s.String(), counts[s])
		}
	}
	line.Msg("unknown outcomes")
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
