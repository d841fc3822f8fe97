package reconcile

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestFullPassAtScale makes full passes over 200,000 invitations: one that records
// all of them in an empty ledger, and one that finds that both sides agree. The
// heap is what is in use beyond what was before the pass, Clerk's included.
func TestFullPassAtScale(t *testing.T) {
	if os.Getenv("INVITEQ_SCALE") != "1" {
		t.Skip("takes minutes: INVITEQ_SCALE=1")
	}
	const n = 200_000
	w := newWorld(t, clerksim.Config{MaxHistory: 1, Limits: clerksim.Limits{Other: clerksim.Unlimited}})
	for i := range n {
		if _, err := w.sim.CreateForeign(fmt.Sprintf("p%d@example.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	var table bytes.Buffer
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "full pass over 200,000\ttook\treads\theap growth at most\tsame\tadopted\tmissing\t")
	for _, p := range []Pass{{Full: true, Adopt: true}, {Full: true}} {
		before := heap()
		var most atomic.Uint64
		p.Progress = func(r Report) {
			if r.Scanned%20_000 == 0 {
				most.Store(max(most.Load(), heap()))
			}
		}
		r := w.run(p)
		growth := int64(max(most.Load(), heap())) - int64(before)
		fmt.Fprintf(tw, "adopt=%v\t%s\t%d\t%.1f MB\t%d\t%d\t%d\t\n", p.Adopt, r.Took.Round(10*time.Millisecond), r.Reads, float64(growth)/1e6, r.Same, r.Adopted, r.Missing)
		if !r.Agreed || r.Scanned != n || r.Missing != 0 || p.Adopt && r.Adopted != n || !p.Adopt && r.Same != n {
			t.Errorf("got %+v", r)
		}
		if growth > 80e6 {
			t.Errorf("the pass took %d bytes", growth)
		}
	}
	_ = tw.Flush() // into memory
	t.Logf("\n%s", table.String())
}

// heap is what is in use, after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
