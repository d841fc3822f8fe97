package clerk

import (
	"slices"
	"testing"
	"time"
)

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
