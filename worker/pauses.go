package worker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// pauses keeps a lane and its asynq queue paused together. Who pauses the queue, in
// asynqmon or with `asynq queue pause`, means that nothing is sent, so the lane is
// paused; who pauses the lane sees the queue paused. What both were when they last
// agreed stands in the ledger: the one that has changed since then is followed.
type pauses struct {
	ledger *ledger.Ledger
	rdb    redis.UniversalClient
	queues tasks.Queues
}

// pausedKey is how asynq v0.26 spells that a queue is paused (base.PausedKey). A test
// pauses a queue with asynq's own inspector.
func pausedKey(queue string) string { return "asynq:{" + queue + "}:paused" }

// follow makes both say the same. It returns which lanes are paused, and for which of
// them the queue had changed.
func (p *pauses) follow(ctx context.Context) (paused, changed map[tasks.Lane]bool, _ error) {
	// The queues are read last: who changes both changes the queue first, so that a change
	// under way is never taken for the opposite wish about the lane.
	paused, agreed, err := p.ledger.Pauses(ctx)
	if err != nil {
		return nil, nil, err
	}
	pipe := p.rdb.Pipeline()
	queues := make([]*redis.IntCmd, len(tasks.Lanes))
	for i, lane := range tasks.Lanes {
		queues[i] = pipe.Exists(ctx, pausedKey(p.queues.Of(lane)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, err
	}
	for i, lane := range tasks.Lanes {
		switch queue := queues[i].Val() > 0; {
		case queue == paused[lane] && queue == agreed[lane]:
			continue
		case queue == paused[lane]:
		case queue != agreed[lane]:
			if changed == nil {
				changed = map[tasks.Lane]bool{}
			}
			if changed[lane] = queue; queue {
				err = p.ledger.Pause(ctx, ledger.Now, lane)
			} else {
				err = p.ledger.Resume(ctx, lane)
			}
			paused[lane] = queue
		case paused[lane]:
			err = p.rdb.SetArgs(ctx, pausedKey(p.queues.Of(lane)), strconv.FormatInt(time.Now().Unix(), 10), redis.SetArgs{Mode: "NX"}).Err()
			if errors.Is(err, redis.Nil) {
				err = nil // Another worker was first.
			}
		default:
			err = p.rdb.Del(ctx, pausedKey(p.queues.Of(lane))).Err()
		}
		if err == nil {
			err = p.ledger.Agreed(ctx, lane, paused[lane])
		}
		if err != nil {
			return paused, changed, err
		}
	}
	return paused, changed, nil
}
