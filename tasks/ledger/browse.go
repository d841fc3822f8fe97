package ledger

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Order is what a list is sorted by.
type Order uint8

const (
	ByCreation Order = iota
	ByAddress
	ByExpiry
)

// Browsing asks for a part of all invites in some states, in some order.
type Browsing struct {
	States        []tasks.State
	Order         Order
	Descending    bool
	Offset, Limit int
}

// browseChunk is how many records are read in a round trip.
const browseChunk = 500

// creationSlack is how far the clocks of producers may be apart: by so much the
// order of admission and that of creation may differ. Of those that were admitted
// in such a span so many are read at most: it may be a list of a hundred thousand.
const (
	creationSlack = time.Minute
	creationReads = 1000
)

// importGoesOn is how long after its beginning an import may get rows that still
// count as its newest. Of one import so many rows are read at most: those that came
// last are the first to be sent only after all others.
const (
	importGoesOn = 24 * time.Hour
	browseReads  = 20_000
)

// Browse returns the records from Offset on, at most Limit of them. It holds no
// more than the places of Offset+Limit invites.
//
// The newest invites first is what the indexes are good for: it costs little
// more than what it returns. Every other order reads each invite in these
// states, about a second for 200,000 of them.
func (l *Ledger) Browse(ctx context.Context, b Browsing) ([]Record, error) {
	if b.Limit <= 0 || len(b.States) == 0 {
		return nil, nil
	}
	best := &ranking{Browsing: b, seen: map[string]bool{}}
	var err error
	if b.Order == ByCreation && b.Descending {
		err = l.newest(ctx, best)
	} else {
		err = l.everyOne(ctx, best)
	}
	if err != nil {
		return nil, err
	}
	return l.page(ctx, best)
}

// page reads what a ranking has come to.
func (l *Ledger) page(ctx context.Context, best *ranking) ([]Record, error) {
	ranks := best.sorted()
	ids := make([]string, 0, best.Limit)
	for _, r := range ranks[min(best.Offset, len(ranks)):] {
		ids = append(ids, r.id)
	}
	return l.Get(ctx, ids...)
}

func (l *Ledger) everyOne(ctx context.Context, best *ranking) error {
	for _, s := range best.States {
		for cursor := ""; ; {
			page, err := l.ListState(ctx, s, cursor, browseChunk)
			if err != nil {
				return err
			}
			for _, r := range page.Records {
				best.offer(r)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return nil
}

// newest reads each index from its end for as long as something newer than the
// best may still come. Nobody is created after the time that is the score of an
// index. In a lane those who ask take turns, so who came last is near its end or
// near its beginning; of an import the list of its rows tells.
func (l *Ledger) newest(ctx context.Context, best *ranking) error {
	for _, s := range best.States {
		if s != tasks.Queued {
			if err := l.newestOf(ctx, best, l.keys.state(s), true); err != nil {
				return err
			}
			continue
		}
		for _, lane := range []string{"wait0", "wait1", "solo0", "solo1"} {
			if err := l.newestOf(ctx, best, l.keys.of(lane), false); err != nil {
				return err
			}
		}
		if err := l.newestRows(ctx, best); err != nil {
			return err
		}
		if err := l.newestOf(ctx, best, l.keys.of("later"), true); err != nil {
			return err
		}
	}
	return nil
}

// newestRows reads the queued rows of imports, the newest import first.
func (l *Ledger) newestRows(ctx context.Context, best *ranking) error {
	for first := int64(0); ; first += browseChunk {
		imports, err := l.rdb.ZRevRangeWithScores(ctx, l.keys.of("imports"), first, first+browseChunk-1).Result()
		if err != nil || len(imports) == 0 {
			return err
		}
		for _, z := range imports {
			if best.full() && best.heap[0].number > int64(z.Score)+importGoesOn.Milliseconds() {
				return nil
			}
			id, _ := z.Member.(string)
			if err := l.newestRowsOf(ctx, best, l.keys.importIDs(id), queuedOnly); err != nil {
				return err
			}
		}
	}
}

// queuedOnly leaves out what the indexes of the other states show.
const queuedOnly = true

func (l *Ledger) newestRowsOf(ctx context.Context, best *ranking, list string, queued bool) error {
	chunk := int64(min(browseChunk, max(20, best.Offset+best.Limit)))
	for end := int64(-1); ; chunk = min(2*chunk, browseChunk) {
		ids, err := l.rdb.LRange(ctx, list, end-chunk+1, end).Result()
		if err != nil || len(ids) == 0 {
			return err
		}
		records, err := l.Get(ctx, ids...)
		if err != nil {
			return err
		}
		created := int64(0)
		for _, r := range records {
			created = max(created, r.CreatedAt.Add(creationSlack).UnixMilli())
			if !queued || r.State == tasks.Queued {
				best.offer(r)
			}
		}
		end -= chunk
		if best.full() && best.heap[0].number > created || -end > browseReads {
			return nil
		}
	}
}

func (l *Ledger) newestOf(ctx context.Context, best *ranking, index string, byTime bool) error {
	chunk := int64(min(browseChunk, max(20, best.Offset+best.Limit)))
	enough := int64(best.Offset + best.Limit + creationReads)
	for start := int64(0); ; {
		zs, err := l.rdb.ZRevRangeWithScores(ctx, index, start, start+chunk-1).Result()
		if err != nil || len(zs) == 0 {
			return err
		}
		ids := make([]string, len(zs))
		for i, z := range zs {
			ids[i], _ = z.Member.(string)
		}
		records, err := l.Get(ctx, ids...)
		if err != nil {
			return err
		}
		for _, r := range records {
			best.offer(r)
		}
		// Whatever comes further down was created before this.
		bound := int64(zs[len(zs)-1].Score)
		if !byTime {
			bound = 0
			for _, r := range records {
				bound = max(bound, r.CreatedAt.Add(creationSlack).UnixMilli())
			}
		}
		start += chunk
		if int64(len(zs)) < chunk || best.full() && (best.heap[0].number > bound || !byTime && start >= enough) {
			return nil
		}
		chunk = min(2*chunk, browseChunk)
	}
}

// rank is the place of an invite in an order.
type rank struct {
	number int64  // Unix milliseconds
	text   string // An address key: not to be shown.
	place  int64  // In the order of admission.
	id     string
}

// ranking keeps the first Offset+Limit of all that it is offered. The last of
// them is at the top of the heap.
type ranking struct {
	Browsing
	heap []rank
	seen map[string]bool // The ids in the heap: an invite may move while it is read.
}

func (b *ranking) full() bool { return len(b.heap) >= b.Offset+b.Limit }

func (b *ranking) takes(r Record) bool { return slices.Contains(b.States, r.State) }

func (b *ranking) offer(r Record) {
	id := r.Invite.ID
	if !b.takes(r) || b.seen[id] {
		return
	}
	next := rank{place: r.Position, id: id}
	switch b.Order {
	case ByAddress:
		next.text = r.Invite.EmailAddress.Key()
	case ByExpiry:
		next.number = r.ExpiresAt().UnixMilli()
	default:
		next.number = r.CreatedAt.UnixMilli()
	}
	if b.full() {
		if b.compare(next, b.heap[0]) >= 0 {
			return
		}
		if gone, ok := heap.Pop(b).(rank); ok {
			delete(b.seen, gone.id)
		}
	}
	b.seen[id] = true
	heap.Push(b, next)
}

// compare is negative when x comes before y. Among equals the order of admission
// decides, so that pages do not overlap.
func (b *ranking) compare(x, y rank) int {
	c := cmp.Or(cmp.Compare(x.number, y.number), strings.Compare(x.text, y.text),
		cmp.Compare(x.place, y.place), strings.Compare(x.id, y.id))
	if b.Descending {
		return -c
	}
	return c
}

func (b *ranking) sorted() []rank { return slices.SortedFunc(slices.Values(b.heap), b.compare) }

// Len, Less, Swap, Push and Pop are those of container/heap.
func (b *ranking) Len() int           { return len(b.heap) }
func (b *ranking) Less(i, j int) bool { return b.compare(b.heap[i], b.heap[j]) > 0 }
func (b *ranking) Swap(i, j int)      { b.heap[i], b.heap[j] = b.heap[j], b.heap[i] }

// Push is part of heap.Interface.
func (b *ranking) Push(x any) {
	if r, ok := x.(rank); ok {
		b.heap = append(b.heap, r)
	}
}

// Pop is part of heap.Interface.
func (b *ranking) Pop() any {
	last := b.heap[len(b.heap)-1]
	b.heap = b.heap[:len(b.heap)-1]
	return last
}

// defaultExpiry is Clerk's own (https://clerk.com/docs, expires_in_days).
const defaultExpiry = 30

// ExpiresAt is when the invitation runs out: so many days after it was sent, or,
// while it waits, after it was asked for. Clerk's own time is within seconds of
// it once the invitation is made.
func (r Record) ExpiresAt() time.Time {
	from := r.CreatedAt
	if r.State.Delivered() && !r.SentAt.IsZero() {
		from = r.SentAt
	}
	return from.AddDate(0, 0, cmp.Or(r.Invite.ExpiresInDays, defaultExpiry))
}
