package clerk

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"
)

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
