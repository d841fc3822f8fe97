package worker

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestDeliveriesGoOnAfterAnEpoch: Redis comes back without its last second while a list
// is being sent as fast as lifted limits let it. Each row must be looked for before it
// goes, and there are not reads enough to ask for one after the other: what is sent
// stands still for a moment only.
func TestDeliveriesGoOnAfterAnEpoch(t *testing.T) {
	const rows = 2500
	lifted := clerksim.Limits{Single: clerksim.Limit{N: 100, Window: time.Second}, Bulk: clerksim.Limit{N: 25, Window: time.Second}}
	play(t, clerksim.Config{Limits: lifted}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.limits.Single = ledger.Limit{Calls: 100, Window: time.Second}
		w.limits.Bulk = ledger.Limit{Calls: 25, Window: time.Second}
		w.change = append(w.change, func(c *Config) { c.NoScreening = true })
		w.mustStart()
		w.mustStart()
		ids := w.give(people(0, rows)...)
		for w.sim.Stats().Mails < rows/10 {
			time.Sleep(100 * time.Millisecond)
		}
		saved := w.snapshot()
		time.Sleep(time.Second)
		w.setBack(saved)
		last, silence, began := w.sim.Stats().Mails, time.Duration(0), time.Now()
		for since := time.Now(); last < rows && time.Since(began) < 10*time.Minute; time.Sleep(100 * time.Millisecond) {
			if n := w.sim.Stats().Mails; n > last {
				last, since = n, time.Now()
			}
			silence = max(silence, time.Since(since))
		}
		took := time.Since(began)
		t.Logf("%d mails %s after the epoch, the longest silence %s", last, took.Round(time.Second), silence)
		w.delivered(w.settle(5*time.Minute, ids...))
		if silence > 10*time.Second || took > 40*time.Second {
			t.Errorf("nothing was sent for %s, and the rest took %s", silence, took)
		}
	})
}
