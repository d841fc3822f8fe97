package ledger

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/ledger/redistest"
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

// TestTurnCostAtScale compares a turn with its settle at few and at many waiting
// invites. INVITEQ_BENCH_WAITING sets the many; `make bench` uses a million.
func TestTurnCostAtScale(t *testing.T) {
	many, err := strconv.Atoi(os.Getenv("INVITEQ_BENCH_WAITING"))
	if err != nil {
		many = 50_000
	}
	l, err := Open(t.Context(), redistest.Start(t).Client(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, l, 0, 3000)
	turnCost(t, l, 100) // The server warms up.
	few := turnCost(t, l, 100)
	fill(t, l, 3000, many)
	lots := turnCost(t, l, 300)
	ratio := float64(lots) / float64(few)
	t.Logf("a bulk turn with its settle: %v at 1,000 waiting, %v at %d: %.2f× (floor 1.5×)", few, lots, many, ratio)
	if ratio > 1.5 {
		t.Errorf("a turn costs %.2f× at %d waiting", ratio, many)
	}
	begin := time.Now()
	o, err := l.Overview(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	o.ETA(tasks.Import, int64(many)-5000)
	t.Logf("overview and the ETA of the last: %v", time.Since(begin))
}
