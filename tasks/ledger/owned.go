package ledger

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Owners says who has asked for each of the invites: the owner of the import for its
// rows. "" is nobody in particular: the command line, an adoption, or a producer that
// named none.
func (l *Ledger) Owners(ctx context.Context, records ...Record) ([]string, error) {
	owners, byImport := make([]string, len(records)), map[string]*redis.StringCmd{}
	pipe := l.rdb.Pipeline()
	singles := make([]*redis.StringCmd, len(records))
	for n, r := range records {
		singles[n] = pipe.HGet(ctx, l.keys.of("owner"), r.Invite.ID)
		if id := r.Invite.ImportID; id != "" && byImport[id] == nil {
			byImport[id] = pipe.HGet(ctx, l.keys.importInfo(id), "owner")
		}
	}
	if len(records) == 0 {
		return owners, nil
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	for n, r := range records {
		owners[n] = singles[n].Val()
		if c := byImport[r.Invite.ImportID]; owners[n] == "" && c != nil {
			owners[n] = c.Val()
		}
	}
	return owners, nil
}

// Remembers reports of each id whether it is taken: by a record, or by one that was
// forgotten.
func (l *Ledger) Remembers(ctx context.Context, ids ...string) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	known, gone := make([]*redis.BoolCmd, len(ids)), make([]*redis.IntCmd, len(ids))
	pipe := l.rdb.Pipeline()
	for n, id := range ids {
		known[n], gone[n] = pipe.HExists(ctx, l.keys.of("rec"), id), pipe.Exists(ctx, l.keys.of("tomb")+id)
	}
	_, err := pipe.Exec(ctx)
	remembers := make([]bool, len(ids))
	for n := range ids {
		remembers[n] = known[n].Val() || gone[n].Val() > 0
	}
	return remembers, err
}

// ImportsOf returns the ids of the imports of an owner, the newest first. It reads a
// line of every import.
func (l *Ledger) ImportsOf(ctx context.Context, owner string) ([]string, error) {
	var mine []string
	for first := int64(0); ; first += browseChunk {
		ids, err := l.rdb.ZRevRange(ctx, l.keys.of("imports"), first, first+browseChunk-1).Result()
		if err != nil || len(ids) == 0 {
			return mine, err
		}
		pipe := l.rdb.Pipeline()
		owners := make([]*redis.StringCmd, len(ids))
		for n, id := range ids {
			owners[n] = pipe.HGet(ctx, l.keys.importInfo(id), "owner")
		}
		if err := execute(ctx, pipe); err != nil {
			return nil, err
		}
		for n, id := range ids {
			if owners[n].Val() == owner {
				mine = append(mine, id)
			}
		}
	}
}

// BrowseOwned is Browse among what an owner has asked for. With count it says, too, how
// many of those are in the states. It reads every one of them, unless the newest are
// asked for and no count.
func (l *Ledger) BrowseOwned(ctx context.Context, owner string, b Browsing, count bool) (_ []Record, total int64, _ error) {
	best := &ranking{Browsing: b, seen: map[string]bool{}}
	newest := b.Order == ByCreation && b.Descending
	enough := func(bound int64) bool { return newest && !count && best.full() && best.heap[0].number > bound }
	for start := int64(0); ; start += browseChunk {
		zs, err := l.rdb.ZRevRangeWithScores(ctx, l.keys.of("mine")+owner, start, start+browseChunk-1).Result()
		if err != nil {
			return nil, 0, err
		}
		if len(zs) == 0 || enough(int64(zs[0].Score)) {
			break
		}
		ids := make([]string, len(zs))
		for n, z := range zs {
			ids[n], _ = z.Member.(string)
		}
		n, err := l.offer(ctx, best, ids)
		if total += n; err != nil {
			return nil, 0, err
		}
	}
	imports, err := l.ImportsOf(ctx, owner)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range imports {
		i, err := l.Import(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue // It was trimmed just now.
		}
		if err != nil {
			return nil, 0, err
		}
		for _, s := range b.States {
			total += i.States[s]
		}
		switch {
		case newest && best.full() && best.heap[0].number > i.CreatedAt+importGoesOn.Milliseconds():
			continue
		case newest:
			err = l.newestRowsOf(ctx, best, l.keys.importIDs(id))
		default:
			err = l.everyRowOf(ctx, best, l.keys.importIDs(id))
		}
		if err != nil {
			return nil, 0, err
		}
	}
	records, err := l.page(ctx, best)
	return records, total, err
}

// offer reads invites for a ranking, and counts those that are in its states.
func (l *Ledger) offer(ctx context.Context, best *ranking, ids []string) (n int64, _ error) {
	records, err := l.Get(ctx, ids...)
	for _, r := range records {
		if best.takes(r) {
			n++
		}
	}
	return n, errors.Join(err, best.read(records))
}

// importGoesOn is how long after its beginning an import may get rows that still
// count as its newest.
const importGoesOn = 24 * time.Hour

// newestRowsOf reads the rows of an import from its end for as long as something newer
// than the best may still come.
func (l *Ledger) newestRowsOf(ctx context.Context, best *ranking, list string) error {
	chunk := int64(min(browseChunk, max(20, best.Offset+best.Limit)))
	for end := int64(-1); ; chunk = min(2*chunk, browseChunk) {
		ids, err := l.rdb.LRange(ctx, list, end-chunk+1, end).Result()
		if err != nil || len(ids) == 0 {
			return err
		}
		slices.Reverse(ids)
		records, err := l.Get(ctx, ids...)
		if err != nil {
			return err
		}
		if err := best.read(records); err != nil {
			return err
		}
		end -= chunk
		if len(records) > 0 && best.full() && best.compare(best.heap[0], best.rankOf(records[len(records)-1])) <= 0 {
			return nil
		}
	}
}

func (l *Ledger) everyRowOf(ctx context.Context, best *ranking, list string) error {
	for start := int64(0); ; start += browseChunk {
		ids, err := l.rdb.LRange(ctx, list, start, start+browseChunk-1).Result()
		if err != nil || len(ids) == 0 {
			return err
		}
		if _, err := l.offer(ctx, best, ids); err != nil {
			return err
		}
	}
}
