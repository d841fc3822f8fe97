package clerk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// register is a list of invitations that changes while it is read, with the
// freedoms that Clerk's has: rows of one key come in another order with every
// read, rows appear at the end and in the middle, and vanish.
type register struct {
	rows   []Invitation // in the order of created_at
	rng    *rand.Rand
	next   int
	change func()            // before every read
	total  func(n int) int64 // Clerk's count; nil: true
	limit  int               // a limit of the server's own; 0: none
	fail   func(read int) error
	reads  int
	asked  []ListOptions
}

func newRegister(seed uint64) *register {
	return &register{rng: rand.New(rand.NewPCG(seed, 1))}
}

// add adds a row with the key.
func (r *register) add(key int) Invitation {
	r.next++
	inv := Invitation{ID: fmt.Sprintf("inv_%d", r.next), Status: Pending, CreatedAt: time.UnixMilli(int64(key)).UTC()}
	at, _ := slices.BinarySearchFunc(r.rows, key+1, func(i Invitation, k int) int { return int(i.CreatedAt.UnixMilli()) - k })
	r.rows = slices.Insert(r.rows, at, inv)
	return inv
}

func (r *register) remove(i int) { r.rows = slices.Delete(r.rows, i, i+1) }

func (r *register) List(_ context.Context, o ListOptions) (Page, error) {
	r.reads++
	r.asked = append(r.asked, o)
	if r.fail != nil {
		if err := r.fail(r.reads); err != nil {
			return Page{}, err
		}
	}
	if r.change != nil {
		r.change()
	}
	// Shuffled and then sorted by key alone: ties are in any order.
	rows := slices.Clone(r.rows)
	r.rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	slices.SortStableFunc(rows, func(a, b Invitation) int {
		if o.OrderBy == "-created_at" {
			a, b = b, a
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	})
	page := Page{Total: int64(len(rows))}
	if r.total != nil {
		page.Total = r.total(len(rows))
	}
	limit := o.Limit
	if r.limit > 0 {
		limit = min(limit, r.limit)
	}
	from := min(o.Offset, len(rows))
	page.Data = rows[from:min(from+limit, len(rows))]
	return page, nil
}

type listerFunc func(ListOptions) (Page, error)

func (f listerFunc) List(_ context.Context, o ListOptions) (Page, error) { return f(o) }

func scanAll(t *testing.T, s *Scan) (ids []string) {
	t.Helper()
	for inv, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, inv.ID)
	}
	return ids
}

// million is a long list that takes no memory.
type million struct{ rows int }

func (m million) List(_ context.Context, o ListOptions) (Page, error) {
	p := Page{Total: int64(m.rows)}
	for i := o.Offset; i < min(o.Offset+o.Limit, m.rows); i++ {
		p.Data = append(p.Data, Invitation{ID: fmt.Sprintf("inv_%027d", i), Status: Pending, CreatedAt: time.UnixMilli(int64(i/10) + 1)})
	}
	return p, nil
}
