package ledger

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// fill admits n more rows of one import, straight into a running ledger.
func fill(t testing.TB, l *Ledger, from, n int) {
	t.Helper()
	for n > 0 {
		some := make([]tasks.Invite, min(n, tasks.ChunkSize))
		for i := range some {
			e, err := tasks.ParseEmail(fmt.Sprintf("row%d@example.com", from))
			if err != nil {
				t.Fatal(err)
			}
			some[i] = tasks.Invite{ID: fmt.Sprintf("row-%d", from), EmailAddress: e, Lane: tasks.Import, ImportID: "imp"}
			from++
		}
		if _, _, err := l.Admit(t.Context(), start, some); err != nil {
			t.Fatal(err)
		}
		n -= len(some)
	}
}

// turnCost is the median time of a full bulk's turn with its settle.
func turnCost(t testing.TB, l *Ledger, rounds int) time.Duration {
	t.Helper()
	costs := make([]time.Duration, rounds)
	for i := range costs {
		begin := time.Now()
		tn := turn(t, l, start)
		if len(tn.Batch) != BulkSize {
			t.Fatalf("got a turn of %d", len(tn.Batch))
		}
		delivered(t, l, start, tn)
		costs[i] = time.Since(begin)
	}
	slices.Sort(costs)
	return costs[rounds/2]
}

// BenchmarkScale compares a turn with its settle at a thousand and at a million
// waiting invites. The two ledgers lie on servers of their own and take turns, so
// that a busy machine slows both.
func BenchmarkScale(b *testing.B) {
	const few, many, rounds, each = 1000, 1_000_000, 9, 20
	fillTo := func(n int) *Ledger {
		l, err := Open(b.Context(), redistest.Start(b).Client(b), Config{})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, l, 0, n)
		return l
	}
	for b.Loop() {
		// What the turns take away is there on top.
		small, big := fillTo(few+(rounds+1)*each*BulkSize), fillTo(many)
		turnCost(b, small, each)
		turnCost(b, big, each) // The servers warm up.
		var ratios []float64
		var atFew, atMany []time.Duration
		for range rounds {
			f, m := turnCost(b, small, each), turnCost(b, big, each)
			atFew, atMany = append(atFew, f), append(atMany, m)
			ratios = append(ratios, float64(m)/float64(f))
		}
		slices.Sort(ratios)
		slices.Sort(atFew)
		slices.Sort(atMany)
		ratio, f, m := ratios[rounds/2], atFew[rounds/2], atMany[rounds/2]

		begin := time.Now()
		o, err := big.Overview(b.Context(), start)
		if err != nil {
			b.Fatal(err)
		}
		o.ETA(tasks.Import, many-10_000)
		overview := time.Since(begin)

		b.ReportMetric(ratio, "x-1k")
		b.ReportMetric(0, "ns/op")
		if err := report.Add(
			report.Row{
				Part: "scale (real Redis)", What: "a full bulk's turn and settle, 1 M waiting", Ours: fmt.Sprintf("%d µs", m.Microseconds()),
				Ratio: fmt.Sprintf("%.2f×", ratio), Beside: []report.Reference{{Name: "at 1 k", Value: fmt.Sprintf("%d µs", f.Microseconds())}},
			}.AtMost(ratio, 1.5, "%.1f×"),
			report.Row{Part: "scale (real Redis)", What: "overview and the ETA of the last", Ours: fmt.Sprintf("%d µs", overview.Microseconds())},
		); err != nil {
			b.Fatal(err)
		}
	}
}
