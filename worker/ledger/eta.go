package ledger

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// ETA returns when the invite with so many others of its lane in front of it
// (0: it is the next) will be sent, as things stand. Interactive invites have
// nobody but their lane in front; an import also waits for them.
func (o Overview) ETA(lane tasks.Lane, ahead int64) time.Time {
	single, bulk := o.Quotas[Single], o.Quotas[Bulk]
	if single.Limit.Calls == 0 || bulk.Limit.Calls == 0 {
		return o.At // Calls in flight are what bounds it.
	}
	n := ahead + 1
	kept := 0
	if lane == tasks.Import {
		n += o.Waiting[tasks.Interactive]
		kept = o.kept()
	}
	type release struct {
		at     time.Time
		places int64
	}
	var cycle []release
	add := func(q Quota, usable, free int, places int64) {
		for i := range usable {
			at := o.At
			if i >= free && i-free+len(q.frees)-q.Spent < len(q.frees) && i-free >= 0 {
				at = q.frees[min(i-free, len(q.frees)-1)]
			}
			if q.Gate.Until.After(at) {
				at = q.Gate.Until
			}
			cycle = append(cycle, release{at, places})
		}
	}
	places := min(int64(o.Bulk), max(1, n))
	if n < 2 {
		places = 1
	}
	add(bulk, bulk.Limit.Calls, bulk.Free(), places)
	add(single, max(0, single.Limit.Calls-kept), max(0, single.Free()-kept), 1)
	slices.SortStableFunc(cycle, func(a, b release) int { return a.at.Compare(b.at) })
	var perCycle int64
	for _, r := range cycle {
		perCycle += r.places
	}
	if perCycle == 0 {
		return o.At
	}
	cycles := (n - 1) / perCycle
	left := n - cycles*perCycle
	for _, r := range cycle {
		if left -= r.places; left <= 0 {
			return r.at.Add(time.Duration(cycles) * max(bulk.Limit.span(), single.Limit.span()))
		}
	}
	return o.At
}

// kept is how many single calls imports leave alone (reserve_of in policy.lua).
func (o Overview) kept() int {
	limit := o.Quotas[Single].Limit.Calls
	if o.Reserve >= 0 {
		return min(o.Reserve, limit)
	}
	need := o.Demand + math.Sqrt(o.Demand)
	return min(int(math.Ceil(max(0.1*float64(limit), need))), limit)
}

// Drain returns when everything that waits now will have been sent.
func (o Overview) Drain() time.Time {
	if o.Waiting[tasks.Import] > 0 {
		return o.ETA(tasks.Import, o.Waiting[tasks.Import]-1)
	}
	if n := o.Waiting[tasks.Interactive]; n > 0 {
		return o.ETA(tasks.Interactive, n-1)
	}
	return o.At
}

// ETAs returns when each of the given invites will be sent, as things stand;
// the zero time for those that are not queued.
func (l *Ledger) ETAs(ctx context.Context, now time.Time, records ...Record) ([]time.Time, error) {
	etas := make([]time.Time, len(records))
	pipe := l.rdb.Pipeline()
	ranks := make([]*redis.IntCmd, len(records))
	for i, r := range records {
		if r.State == Queued {
			key := l.keys.of("wait0")
			if r.Invite.Lane == tasks.Import {
				key = l.keys.of("wait1")
			}
			ranks[i] = pipe.ZRank(ctx, key, r.Invite.ID)
		}
	}
	if pipe.Len() == 0 {
		return etas, nil
	}
	o, err := l.Overview(ctx, now)
	if err != nil {
		return nil, err
	}
	if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil { //nolint:errorlint // go-redis returns Nil itself
		return nil, err
	}
	for i, r := range records {
		if ranks[i] == nil {
			continue
		}
		ahead, err := ranks[i].Result()
		if err != nil { // Not ready yet: it goes to the end of those that are.
			ahead = o.Waiting[r.Invite.Lane]
		}
		etas[i] = o.ETA(r.Invite.Lane, ahead)
		if r.ReadyAt.After(etas[i]) {
			etas[i] = r.ReadyAt
		}
	}
	return etas, nil
}
