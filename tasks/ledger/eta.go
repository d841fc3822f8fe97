package ledger

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Moves reports whether invites of a lane can go at all: it is not paused, Clerk takes
// the key and answers, and a worker is there. Where nothing moves there is no ETA.
func (o Overview) Moves(lane tasks.Lane) bool {
	_, paused := o.Paused[lane]
	return !paused && !o.Closed.Closed() && o.Workers > 0 && !o.NoClerk
}

// Outage says that Clerk answers no worker; it is empty if it does.
func (o Overview) Outage() string {
	if !o.NoClerk {
		return ""
	}
	return "Clerk does not answer, so nothing is sent. Workers try again by themselves, and waiting costs nothing: see status.clerk.com."
}

// WithWorker returns the overview as it would be with a worker: for a program that is
// going to be one.
func (o Overview) WithWorker() Overview {
	o.Workers = max(1, o.Workers)
	return o
}

// ETA returns when the invite with so many others of its lane in front of it
// (0: it is the next; those that go one by one do not count) will be sent, at the
// current rate: with the demand of the last window, and without refusals. It is never
// before the overview's time, moves when a gate closes, and costs the same for a rank
// of a million. It is the zero time where nothing moves.
func (o Overview) ETA(lane tasks.Lane, ahead int64) time.Time {
	return o.eta(lane, false, ahead)
}

func (o Overview) eta(lane tasks.Lane, oneByOne bool, ahead int64) time.Time {
	if !o.Moves(lane) {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Ceil(o.forecast.At(int(lane), oneByOne, int(ahead)))))
}

// Drain returns when everything that waits now will have been sent, except what
// cannot move; the zero time if all that waits cannot.
func (o Overview) Drain() time.Time {
	last, waiting := time.Time{}, int64(0)
	for _, lane := range tasks.Lanes {
		for i, oneByOne := range []bool{false, true} {
			n := o.queued[lane][i]
			if waiting += n; n > 0 {
				if at := o.eta(lane, oneByOne, n-1); at.After(last) {
					last = at
				}
			}
		}
	}
	if waiting == 0 {
		return o.At
	}
	return last
}

// Plan returns how many of those who wait will be sent in each of the coming parts of
// an hour, at the current rate. It looks at most at planned of each queue.
func (o Overview) Plan(parts int) []int {
	const planned = 5000
	part := time.Hour / time.Duration(parts)
	plan := make([]int, parts)
	for _, lane := range tasks.Lanes {
		for i, oneByOne := range []bool{false, true} {
			for ahead := range min(o.queued[lane][i], planned) {
				at := o.eta(lane, oneByOne, ahead)
				n := max(0, at.Sub(o.At)) / part
				if at.IsZero() || n >= time.Duration(parts) {
					break
				}
				plan[n]++
			}
		}
	}
	return plan
}

// ETAs returns when each of the given invites will be sent, at the current rate;
// the zero time for those that are not queued, or whose import is paused, and where
// nothing moves (Moves). One whose import is held goes behind all that wait now.
func (l *Ledger) ETAs(ctx context.Context, now time.Time, records ...Record) ([]time.Time, error) {
	etas := make([]time.Time, len(records))
	pipe := l.rdb.Pipeline()
	ranks := make([]*redis.IntCmd, len(records))
	for i, r := range records {
		if r.State == tasks.Queued {
			queue := "wait"
			if r.Solo {
				queue = "solo"
			}
			ranks[i] = pipe.ZRank(ctx, l.keys.of(fmt.Sprint(queue, int(r.Invite.Lane))), r.Invite.ID)
		}
	}
	if pipe.Len() == 0 {
		return etas, nil
	}
	o, err := l.recent(ctx, now)
	if err != nil {
		return nil, err
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	stopped, before, err := l.stops(ctx, records)
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		until, stops := stopped[r.Invite.ImportID]
		if !o.Moves(r.Invite.Lane) || ranks[i] == nil || until >= whileRevoked {
			continue
		}
		ahead, err := ranks[i].Result()
		if err != nil || stops { // Not ready yet: it goes to the end of those that are.
			ahead = o.Waiting[r.Invite.Lane] + before[i]
		}
		etas[i] = o.eta(r.Invite.Lane, r.Solo, ahead)
		if stops {
			etas[i] = etas[i].Add(max(0, heldUntil(until).Sub(o.At)))
			r.ReadyAt = heldUntil(until)
		}
		if r.ReadyAt.After(etas[i]) {
			etas[i] = r.ReadyAt
		}
	}
	return etas, nil
}

// recent returns an overview whose forecast may be shared: see Config.ForecastFor.
func (l *Ledger) recent(ctx context.Context, now time.Time) (Overview, error) {
	if l.cfg.ForecastFor <= 0 {
		return l.Overview(ctx, now)
	}
	l.forecasts.Lock()
	defer l.forecasts.Unlock()
	if age := now.Sub(l.outlook.At); age >= 0 && age < l.cfg.ForecastFor && l.outlook.forecast != nil {
		return l.outlook, nil
	}
	o, err := l.Overview(ctx, now)
	if err == nil {
		l.outlook = o
	}
	return o, err
}

// Before returns how many of those who wait in a lane will be sent before the last of
// n invites that a new list would bring: the lists take turns, so of each other one no
// more than n.
func (l *Ledger) Before(ctx context.Context, lane tasks.Lane, n int) (int64, error) {
	wait := l.keys.of(fmt.Sprint("wait", int(lane)))
	pipe := l.rdb.Pipeline()
	head, waiting := pipe.ZRangeWithScores(ctx, wait, 0, 0), pipe.ZCard(ctx, wait)
	others := pipe.ZRangeWithScores(ctx, l.keys.of(fmt.Sprint("fair", int(lane))), 0, -1)
	if err := execute(ctx, pipe); err != nil || len(head.Val()) == 0 {
		return 0, err
	}
	before := 0.0
	for _, other := range others.Val() {
		before += min(float64(n), max(0, other.Score-head.Val()[0].Score))
	}
	return min(int64(before), waiting.Val()), nil
}

// ImportETA returns when the last invite of an import will be sent, at the
// current rate; the zero time when none of it waits, it is paused, or nothing moves.
// It is the ETA of the last row if that one waits, else that of everything that
// waits, so that it errs to the later side.
func (l *Ledger) ImportETA(ctx context.Context, now time.Time, i Import) (time.Time, error) {
	if i.States[tasks.Queued] == 0 {
		return time.Time{}, nil
	}
	o, err := l.recent(ctx, now)
	if err != nil || !o.Moves(tasks.Import) || i.stopped >= whileRevoked {
		return time.Time{}, err
	}
	ids, err := l.Members(ctx, tasks.BulkCreate{ImportID: i.ID, From: int(i.Total) - 1, Count: 1})
	if err != nil {
		return time.Time{}, err
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return time.Time{}, err
	}
	if len(records) > 0 && records[0].State == tasks.Queued {
		etas, err := l.ETAs(ctx, now, records...)
		if err != nil {
			return time.Time{}, err
		}
		return etas[0], nil
	}
	return o.Drain(), nil
}
