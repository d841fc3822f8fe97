package worker

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// chores is the loop of what is due by itself: unknown outcomes, revokes, and what
// may arrive late.
type chores struct {
	ledger   *ledger.Ledger
	unknowns *unknowns
	revokes  *revokes
	arrivals *arrivals
	beat     func(context.Context) error
	heard    func(context.Context, error) // learns from what became of reads
	log      zerolog.Logger
	tempo    *tempo
	wake     nudges
}

func (c *chores) run(ctx context.Context) {
	said := reasonToWait(nil) // One line a change, not one a failure.
	for ctx.Err() == nil {
		done, err := c.chore(ctx)
		if done > 0 || err != nil {
			c.heard(ctx, err)
		}
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
	}
}

// chore does what is due, and returns how much there was.
func (c *chores) chore(ctx context.Context) (int, error) {
	due, err := c.ledger.Due(ctx, ledger.Now)
	if err != nil {
		return 0, err
	}
	if due.Unheard { // Whose an invitation is depends on it.
		if err := c.beat(ctx); err != nil {
			return 0, err
		}
	}
	total := 0
	var errs []error
	for _, one := range []struct {
		due bool
		do  func(context.Context) (int, error)
	}{{due.Unknown, c.unknowns.settle}, {due.Revokes, c.revokes.carryOut}, {due.Watches, c.arrivals.look}} {
		if one.due {
			n, err := one.do(ctx)
			total += n
			errs = append(errs, err)
		}
	}
	return total, errors.Join(errs...)
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
