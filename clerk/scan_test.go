package clerk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
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

// TestNoRowIsMissed runs many lists that change under the scan. A row that is
// there before the first read and after the last must be yielded.
func TestNoRowIsMissed(t *testing.T) {
	seeds := uint64(1500)
	if testing.Short() {
		seeds = 500
	}
	var stepBacks, naive int
	ends := make(map[string]int)
	for seed := range seeds {
		rep, missed := changingScan(t, seed)
		stepBacks += rep.StepBacks
		ends[rep.Doubt]++
		if missed {
			naive++
		}
	}
	t.Logf("%d lists: doubts %v, %d steps back; plain paging misses rows in %d", seeds, ends, stepBacks, naive)
	// Without these the test would prove nothing.
	n := int(seeds)
	if naive < n/20 || stepBacks < n/2 || ends[""] < n/20 || ends[doubtChanged] < n/20 || ends[doubtTies] > n/20 {
		t.Error("the lists do not change enough, or too much")
	}
}

func FuzzNoRowIsMissed(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { changingScan(t, seed) })
}

// changingScan scans one list of which the seed decides everything. It returns the
// report, and whether plain paging over a list that changes in the same way misses
// a row.
func changingScan(t *testing.T, seed uint64) (rep Report, naiveMisses bool) {
	t.Helper()
	build := func() (*register, func() []Invitation) {
		r := newRegister(seed)
		maxTie := 1 + r.rng.IntN(5)
		now := 0
		grow := func() {
			now += 1 + r.rng.IntN(3)
			for range 1 + r.rng.IntN(maxTie) {
				r.add(now)
			}
		}
		for range r.rng.IntN(40) {
			grow()
		}
		original := slices.Clone(r.rows)
		// Some lists are at rest, some change a little, and some are torn apart.
		unrest, removals := r.rng.IntN(4), 1+r.rng.IntN(6)
		r.change = func() {
			for range r.rng.IntN(unrest + 1) {
				switch {
				case r.rng.IntN(3) > 0 && len(r.rows) > 0:
					for range min(1+r.rng.IntN(removals), len(r.rows)) {
						r.remove(r.rng.IntN(len(r.rows)))
					}
				case r.rng.IntN(2) == 0 || now == 0:
					grow()
				default:
					r.add(1 + r.rng.IntN(now)) // somewhere in the middle, as a tie or not
				}
			}
		}
		return r, func() (constant []Invitation) {
			for _, inv := range original {
				if slices.ContainsFunc(r.rows, func(o Invitation) bool { return o.ID == inv.ID }) {
					constant = append(constant, inv)
				}
			}
			return constant
		}
	}

	// Every pass keeps the promise by itself.
	r, constant := build()
	size, overlap := 12+r.rng.IntN(20), 1+r.rng.IntN(5)
	seen := make(map[string]bool)
	missing := func(what string) {
		for _, inv := range constant() {
			if !seen[inv.ID] {
				t.Fatalf("seed %d, %s: a row was missed that was there all the time", seed, what)
			}
		}
	}
	pass := &walk{
		scan: &Scan{Lister: r, PageSize: size, Overlap: overlap}, order: "+created_at", before: time.Time.Before,
		fail: func(err error) bool { t.Fatalf("seed %d: %v", seed, err); return false },
	}
	if !pass.run(t.Context(), func(inv Invitation) bool { seen[inv.ID] = true; return true }) {
		t.Fatalf("seed %d: the pass did not end", seed)
	}
	if pass.doubt != doubtTies { // rows that appear in the middle can make a tie outgrow the page
		missing("one pass")
	}

	r, constant = build()
	scan := &Scan{Lister: r, PageSize: size, Overlap: overlap}
	clear(seen)
	for inv, err := range scan.All(t.Context()) {
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		seen[inv.ID] = true
	}
	rep = scan.Report()
	if rep.Reads != r.reads {
		t.Fatalf("seed %d: %d reads reported, %d made", seed, rep.Reads, r.reads)
	}
	if rep.Doubt != doubtTies {
		missing("all passes")
	}
	for _, o := range r.asked {
		if len(o.Statuses) != 4 || o.Limit != size || o.OrderBy != "+created_at" {
			t.Fatalf("seed %d: asked for %+v", seed, o)
		}
	}

	r, constant = build()
	size = 12 + r.rng.IntN(20)
	plain := make(map[string]bool)
	for offset := 0; ; offset += size {
		page, _ := r.List(t.Context(), ListOptions{OrderBy: "+created_at", Limit: size, Offset: offset})
		for _, inv := range page.Data {
			plain[inv.ID] = true
		}
		if len(page.Data) < size {
			break
		}
	}
	for _, inv := range constant() {
		naiveMisses = naiveMisses || !plain[inv.ID]
	}
	return rep, naiveMisses
}

// TestRecentMissesNothing is the same for the newest.
func TestRecentMissesNothing(t *testing.T) {
	for seed := range uint64(1000) {
		r := newRegister(seed)
		now := 0
		grow := func() {
			now += 1 + r.rng.IntN(2)
			for range 1 + r.rng.IntN(4) {
				r.add(now)
			}
		}
		for range 5 + r.rng.IntN(30) {
			grow()
		}
		original := slices.Clone(r.rows)
		r.change = func() {
			if r.rng.IntN(2) == 0 && len(r.rows) > 0 {
				r.remove(r.rng.IntN(len(r.rows)))
			} else {
				grow()
			}
		}
		since := time.UnixMilli(int64(1 + r.rng.IntN(now))).UTC()
		scan := &Scan{Lister: r, PageSize: 8 + r.rng.IntN(8)}
		seen := make(map[string]bool)
		for inv, err := range scan.Recent(t.Context(), since) {
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if seen[inv.ID] || inv.CreatedAt.Before(since) {
				t.Fatalf("seed %d: %s twice, or too old", seed, inv.ID)
			}
			seen[inv.ID] = true
		}
		for _, inv := range original {
			there := slices.ContainsFunc(r.rows, func(o Invitation) bool { return o.ID == inv.ID })
			if there && !inv.CreatedAt.Before(since) && !seen[inv.ID] {
				t.Fatalf("seed %d: %s was missed; report %+v", seed, inv.ID, scan.Report())
			}
		}
		if rep := scan.Report(); !rep.Agreed || rep.Reads != r.reads {
			t.Fatalf("seed %d: report %+v after %d reads", seed, rep, r.reads)
		}
	}
}

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

func TestListAtRest(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 9, 10, 11, 12, 13, 100} {
		r := newRegister(1)
		for i := range n {
			r.add(i/3 + 1) // in ties of three
		}
		scan := &Scan{Lister: r, PageSize: 10, Overlap: 2}
		ids := scanAll(t, scan)
		rep := scan.Report()
		if len(ids) != n || !rep.Agreed || rep.Passes != 2 || rep.Rows != n || rep.StepBacks != 0 || rep.Doubt != "" ||
			rep.TotalBefore != int64(n) || rep.TotalAfter != int64(n) {
			t.Errorf("%d rows: %d yielded, report %+v", n, len(ids), rep)
		}
	}
}

func TestChangedRowsAreYieldedAgain(t *testing.T) {
	r := newRegister(1)
	for i := range 5 {
		r.add(i + 1)
	}
	r.change = func() {
		if r.reads == 2 { // the second pass
			r.rows[2].Status = Accepted
			r.add(9)
		}
	}
	scan := &Scan{Lister: r}
	var got []string
	for inv, err := range scan.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, inv.ID+" "+string(inv.Status))
	}
	want := []string{"inv_1 pending", "inv_2 pending", "inv_3 pending", "inv_4 pending", "inv_5 pending", "inv_3 accepted", "inv_6 pending"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// A status that changes and a row that is new do not make passes disagree.
	if rep := scan.Report(); !rep.Agreed || rep.Passes != 2 || rep.Rows != 6 {
		t.Errorf("report %+v", rep)
	}
}

func TestPassesThatDisagree(t *testing.T) {
	r := newRegister(1)
	for i := range 30 {
		r.add(i + 1)
	}
	r.change = func() { r.remove(0) }
	scan := &Scan{Lister: r}
	scanAll(t, scan)
	if rep := scan.Report(); rep.Agreed || rep.Passes != 4 || rep.Doubt != doubtChanged {
		t.Errorf("every pass another list: report %+v", rep)
	}

	r = newRegister(1)
	for i := range 30 {
		r.add(i + 1)
	}
	r.change = func() {
		if r.reads == 2 {
			r.remove(0)
		}
	}
	scan = &Scan{Lister: r}
	scanAll(t, scan)
	if rep := scan.Report(); !rep.Agreed || rep.Passes != 3 {
		t.Errorf("passes 2 and 3 agree: report %+v", rep)
	}
}

func TestCountThatContradicts(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 10, 11, 25} {
		for _, off := range []int64{-1, 1, 100} {
			r := newRegister(1)
			for i := range n {
				r.add(i + 1)
			}
			r.total = func(n int) int64 { return max(int64(n)+off, 0) }
			scan := &Scan{Lister: r, PageSize: 10}
			if ids := scanAll(t, scan); len(ids) != n {
				t.Errorf("%d rows, count %+d: %d yielded", n, off, len(ids))
			}
			if rep := scan.Report(); rep.Agreed != (n == 0 && off < 0) || !rep.Agreed && rep.Doubt != doubtCount {
				t.Errorf("%d rows, count %+d: report %+v", n, off, rep)
			}
		}
	}
}

func TestServerWithALowerLimit(t *testing.T) {
	for _, limit := range []int{3, 7, 100} {
		r := newRegister(1)
		r.limit = limit
		for i := range 250 {
			r.add(i + 1)
		}
		scan := &Scan{Lister: r}
		if ids := scanAll(t, scan); len(ids) != 250 || !scan.Report().Agreed {
			t.Errorf("limit %d: %d yielded, report %+v", limit, len(ids), scan.Report())
		}
	}
}

func TestTies(t *testing.T) {
	// As many as fit between a row before and a row behind: no doubt.
	r := newRegister(1)
	for i := range 7 {
		r.add(i + 1)
	}
	for range 8 {
		r.add(50)
	}
	r.add(51)
	scan := &Scan{Lister: r, PageSize: 10, Overlap: 2}
	if ids := scanAll(t, scan); len(ids) != 16 || !scan.Report().Agreed {
		t.Errorf("tie of eight: %d yielded, report %+v", len(ids), scan.Report())
	}
	// More than that: said so.
	r.add(50)
	scan = &Scan{Lister: r, PageSize: 10, Overlap: 2}
	scanAll(t, scan)
	if rep := scan.Report(); rep.Agreed || rep.Doubt != doubtTies || rep.Passes != 4 {
		t.Errorf("tie of nine: report %+v", rep)
	}
}

func TestServerThatDoesNotSort(t *testing.T) {
	scan := &Scan{Lister: listerFunc(func(ListOptions) (Page, error) {
		return Page{Data: []Invitation{{ID: "inv_2", CreatedAt: time.UnixMilli(2)}, {ID: "inv_1", CreatedAt: time.UnixMilli(1)}}, Total: 2}, nil
	})}
	scanAll(t, scan)
	if rep := scan.Report(); rep.Agreed || rep.Doubt != doubtUnsorted {
		t.Errorf("report %+v", rep)
	}
}

func TestServerThatIgnoresTheOffset(t *testing.T) {
	r := newRegister(1)
	for i := range 50 {
		r.add(i + 1)
	}
	scan := &Scan{PageSize: 10, Lister: listerFunc(func(o ListOptions) (Page, error) {
		o.Offset = 0
		return r.List(t.Context(), o)
	})}
	var last error
	for _, err := range scan.All(t.Context()) {
		last = err
	}
	if e, ok := errors.AsType[*Error](last); !ok || e.Cause != CauseUnsettled || scan.Report().Agreed {
		t.Errorf("got %v, report %+v", last, scan.Report())
	}
}

type listerFunc func(ListOptions) (Page, error)

func (f listerFunc) List(_ context.Context, o ListOptions) (Page, error) { return f(o) }

func TestFailedReads(t *testing.T) {
	down := &Error{Op: OpList, Kind: KindUnavailable}
	build := func() *register {
		r := newRegister(1)
		for i := range 50 {
			r.add(i + 1)
		}
		return r
	}
	t.Run("the caller goes on", func(t *testing.T) {
		r := build()
		r.fail = func(read int) error {
			if read%2 == 0 {
				return down
			}
			return nil
		}
		scan := &Scan{Lister: r, PageSize: 10}
		rows, failures := 0, 0
		for _, err := range scan.All(t.Context()) {
			if err != nil {
				failures++
				continue
			}
			rows++
		}
		if rep := scan.Report(); rows != 50 || failures == 0 || !rep.Agreed {
			t.Errorf("%d rows, %d failures, report %+v", rows, failures, rep)
		}
	})
	t.Run("the caller leaves", func(t *testing.T) {
		r := build()
		r.fail = func(read int) error {
			if read == 3 {
				return down
			}
			return nil
		}
		scan := &Scan{Lister: r, PageSize: 10}
		for _, err := range scan.All(t.Context()) {
			if err != nil {
				break
			}
		}
		if rep := scan.Report(); rep.Agreed || rep.Doubt != doubtUnfinished || r.reads != 3 {
			t.Errorf("report %+v after %d reads", rep, r.reads)
		}
	})
	t.Run("the caller leaves in the second pass", func(t *testing.T) {
		r := build()
		r.change = func() {
			if r.reads == 2 {
				r.rows[0].Status = Accepted
			}
		}
		scan := &Scan{Lister: r}
		n := 0
		for range scan.All(t.Context()) {
			if n++; n == 51 {
				break
			}
		}
		if rep := scan.Report(); rep.Agreed || rep.Doubt != doubtUnfinished || rep.Passes != 1 {
			t.Errorf("report %+v", rep)
		}
	})
	t.Run("down for good", func(t *testing.T) {
		r := build()
		r.fail = func(int) error { return down }
		failures := 0
		scan := &Scan{Lister: r}
		for _, err := range scan.All(t.Context()) {
			if !errors.Is(err, KindUnavailable) {
				t.Errorf("got %v", err)
			}
			failures++
		}
		if failures != maxFailures || r.reads != maxFailures {
			t.Errorf("%d failures, %d reads, want %d", failures, r.reads, maxFailures)
		}
	})
	t.Run("the hook refuses", func(t *testing.T) {
		r := build()
		scan := &Scan{Lister: r, Before: func(context.Context) error { return KindQuota }}
		for _, err := range scan.Recent(t.Context(), time.Time{}) {
			if !errors.Is(err, KindQuota) {
				t.Errorf("got %v", err)
			}
			break
		}
		if r.reads != 0 || scan.Report().Reads != 0 {
			t.Errorf("%d reads", r.reads)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := build()
		r.fail = func(read int) error {
			if read == 2 {
				cancel()
			}
			return nil
		}
		scan := &Scan{Lister: r, PageSize: 10}
		var errs []error
		for _, err := range scan.All(ctx) {
			if err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || r.reads != 2 {
			t.Errorf("errors %v after %d reads", errs, r.reads)
		}
	})
}

func TestScanConfig(t *testing.T) {
	r := newRegister(1)
	for _, s := range []*Scan{
		{}, {Lister: r, PageSize: 2}, {Lister: r, PageSize: 501}, {Lister: r, PageSize: -1},
		{Lister: r, PageSize: 10, Overlap: 10}, {Lister: r, Overlap: -1}, {Lister: r, MaxPasses: 1},
	} {
		for _, seq := range []func(func(Invitation, error) bool){s.All(t.Context()), s.Recent(t.Context(), time.Time{})} {
			n := 0
			for _, err := range seq {
				if n++; !errors.Is(err, KindMalformed) {
					t.Errorf("%+v: %v", s, err)
				}
			}
			if n != 1 {
				t.Errorf("%+v: %d values", s, n)
			}
		}
	}
	if r.reads != 0 {
		t.Error("something was read")
	}
}

func TestRecentStopsAtKnownGround(t *testing.T) {
	r := newRegister(1)
	for i := range 1000 {
		r.add(i + 1)
	}
	scan := &Scan{Lister: r, PageSize: 50}
	n := 0
	for _, err := range scan.Recent(t.Context(), time.UnixMilli(981)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if rep := scan.Report(); n != 20 || r.reads != 1 || !rep.Agreed || rep.Rows != 20 {
		t.Errorf("%d rows, %d reads, report %+v", n, r.reads, rep)
	}
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

// TestMemoryIsBounded reads the 200,000 invitations that an instance may have.
func TestMemoryIsBounded(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const rows = 200_000
	scan := &Scan{Lister: million{rows}}
	before, peak, n := heap(), uint64(0), 0
	for _, err := range scan.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%50_000 == 0 {
			peak = max(peak, heap())
		}
	}
	rep := scan.Report()
	t.Logf("%d rows: %d reads, %.1f MB", n, rep.Reads, float64(peak-before)/1e6)
	if n != rows || !rep.Agreed || rep.Reads > 840 || peak-before > 20<<20 {
		t.Errorf("%d rows, %d bytes, report %+v", n, peak-before, rep)
	}
}

func BenchmarkScan(b *testing.B) {
	for b.Loop() {
		scan := &Scan{Lister: million{200_000}}
		for _, err := range scan.All(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(200_000*2*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
