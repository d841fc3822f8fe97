package ledger

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
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

	// Most is how many records may be read; beyond it the error is ErrManyReads.
	// Defaults to no limit.
	Most int
}

// ErrManyReads says that a list was not read, since it would have taken more reads than
// Browsing.Most.
var ErrManyReads = errors.New("the list takes too many reads")

// browseChunk is how many records are read in a round trip.
const browseChunk = 500

// Browse returns the records from Offset on, at most Limit of them. It holds no
// more than the places of Offset+Limit invites.
//
// The newest invites first costs little more than what it returns, unless those in the
// states are both many and far from the newest. Every other order reads each invite in
// these states, about a second for 200,000 of them.
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
	for records, err := range l.EveryIn(ctx, browseChunk, best.States...) {
		if err != nil {
			return err
		}
		if err := best.read(records); err != nil {
			return err
		}
	}
	return nil
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
	heap  []rank
	seen  map[string]bool // The ids in the heap: an invite may move while it is read.
	reads int
}

// read offers what was read, as long as it is not too much.
func (b *ranking) read(records []Record) error {
	for _, r := range records {
		b.offer(r)
	}
	if b.reads += len(records); b.Most > 0 && b.reads > b.Most {
		return ErrManyReads
	}
	return nil
}

func (b *ranking) full() bool { return len(b.heap) >= b.Offset+b.Limit }

func (b *ranking) takes(r Record) bool { return slices.Contains(b.States, r.State) }

func (b *ranking) offer(r Record) {
	id := r.Invite.ID
	if !b.takes(r) || b.seen[id] {
		return
	}
	next := b.rankOf(r)
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

func (b *ranking) rankOf(r Record) rank {
	at := rank{place: r.Position, id: r.Invite.ID}
	switch b.Order {
	case ByAddress:
		at.text = r.Invite.EmailAddress.Key()
	case ByExpiry:
		at.number = r.ExpiresAt().UnixMilli()
	default:
		at.number = r.CreatedAt.UnixMilli()
	}
	return at
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
