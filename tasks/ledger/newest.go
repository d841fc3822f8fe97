package ledger

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Every invite has a position, its place in the order of admission, and stands in the
// block of its position. A block holds so many that Redis keeps it packed: some 40 bytes
// an invite, a third of what one index of all of them would take. Invitations that were
// found at Clerk were created before they were admitted: they have an index of their own.
const blockSize = 128 // as in the scripts

// mostBlocks is how many blocks are looked at in a round trip, while they hold something,
// and when they turn out to be empty: what stood there has been trimmed.
const (
	mostBlocks = 8
	mostEmpty  = 1000
)

// newest reads invites from the newest on until the page is full, or those that are in
// the states, where they are few.
func (l *Ledger) newest(ctx context.Context, best *ranking) error {
	pipe := l.rdb.Pipeline()
	position, all, adopted := pipe.HGet(ctx, l.keys.of("meta"), "pos"), pipe.HLen(ctx, l.keys.of("rec")), pipe.ZCard(ctx, l.keys.of("adopted"))
	var counts []*redis.IntCmd
	for _, s := range best.States {
		for _, index := range l.indexesOf(s) {
			counts = append(counts, pipe.ZCard(ctx, index))
		}
	}
	if err := execute(ctx, pipe); err != nil {
		return err
	}
	var held int64
	for _, c := range counts {
		held += c.Val()
	}
	wanted := int64(best.Offset + best.Limit)
	if held <= browseChunk || held*held <= wanted*all.Val() {
		return l.everyOne(ctx, best)
	}
	met, err := l.newestAdmitted(ctx, best, number(position.Val()), 2*held)
	switch {
	case err != nil:
		return err
	case met > 2*held, !best.full() && met+adopted.Val() < all.Val():
		return l.everyOne(ctx, best) // They are far from the newest, or an earlier version has admitted some.
	}
	return l.newestAdopted(ctx, best)
}

// indexesOf are the indexes of a state.
func (l *Ledger) indexesOf(s tasks.State) []string {
	if s == tasks.Queued {
		return []string{l.keys.of("wait0"), l.keys.of("wait1"), l.keys.of("solo0"), l.keys.of("solo1"), l.keys.of("later"), l.keys.of("shelf")}
	}
	return []string{l.keys.state(s)}
}

// newestAdmitted goes down the order of admission until the page is full, or it has met
// more than most. It returns how many it has met.
func (l *Ledger) newestAdmitted(ctx context.Context, best *ranking, position, most int64) (met int64, _ error) {
	wanted := best.Offset + best.Limit
	width, chunk := min(mostBlocks, int64(wanted)/blockSize+2), min(browseChunk, max(20, wanted))
	for block := position / blockSize; block >= 0; {
		ids, err := l.blocks(ctx, block, min(width, block+1))
		if err != nil {
			return met, err
		}
		empty := len(ids) == 0
		for len(ids) > 0 {
			some, had := ids[:min(chunk, len(ids))], best.Len()
			ids = ids[len(some):]
			records, err := l.Get(ctx, some...)
			if err != nil {
				return met, err
			}
			if err := best.read(records); err != nil {
				return met, err
			}
			met += int64(len(records))
			if len(records) > 0 && best.full() && best.compare(best.heap[0], best.rankOf(records[len(records)-1])) <= 0 || met > most {
				return met, nil
			}
			if chunk = min(browseChunk, 2*chunk); best.Len()-had > len(some)/2 {
				chunk = min(browseChunk, max(20, wanted-best.Len()))
			}
		}
		block -= width
		if width = min(2*width, mostEmpty); !empty {
			width = min(width, mostBlocks)
		}
	}
	return met, nil
}

// blocks returns the ids in n blocks, the newest first.
func (l *Ledger) blocks(ctx context.Context, from, n int64) (ids []string, _ error) {
	pipe := l.rdb.Pipeline()
	found := make([]*redis.StringSliceCmd, n)
	for k := range found {
		found[k] = pipe.ZRevRange(ctx, l.keys.of("born")+strconv.FormatInt(from-int64(k), 10), 0, -1)
	}
	err := execute(ctx, pipe)
	for _, block := range found {
		ids = append(ids, block.Val()...)
	}
	return ids, err
}

// newestAdopted reads those that were found at Clerk for as long as one of them may be
// newer than the last on the page.
func (l *Ledger) newestAdopted(ctx context.Context, best *ranking) error {
	chunk := int64(min(browseChunk, max(20, best.Offset+best.Limit)))
	for start := int64(0); ; start += chunk {
		zs, err := l.rdb.ZRevRangeWithScores(ctx, l.keys.of("adopted"), start, start+chunk-1).Result()
		if err != nil || len(zs) == 0 || best.full() && best.heap[0].number > int64(zs[0].Score) {
			return err
		}
		ids := make([]string, len(zs))
		for n, z := range zs {
			ids[n], _ = z.Member.(string)
		}
		records, err := l.Get(ctx, ids...)
		if err != nil {
			return err
		}
		if err := best.read(records); err != nil {
			return err
		}
	}
}
