package bench

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Four of five ETAs must be off by no more than a tenth of the time left, or a
// minute, and none may lie in the past.
func TestETA(t *testing.T) {
	scenarios := append(Scenarios(1), Scenario{
		Name: "340/h Poisson", Length: day, Reserve: ledger.AutoReserve,
		Arrivals: func(seed uint64) []Arrival { return Poisson(seed, tasks.Interactive, 340, day) },
	}, Scenario{
		Name: "three imports and 40/h", Length: day, Reserve: ledger.AutoReserve,
		Arrivals: func(seed uint64) []Arrival {
			return Merge(List(tasks.Import, 2000, 0), List(tasks.Import, 900, 9*time.Hour), List(tasks.Import, 1500, 11*time.Hour),
				Poisson(seed, tasks.Interactive, 40, day))
		},
	})
	asked := 0
	for _, s := range scenarios {
		for seed := range uint64(2) {
			errs, past := ETAErrors(&s, seed)
			asked += len(errs)
			if past > 0 {
				t.Errorf("%s: %d ETAs lie in the past", s.Name, past)
			}
			if p80 := P80(errs); p80 > 1 {
				t.Errorf("%s, seed %d: P80 of %d errors is %.2f of what is allowed", s.Name, seed, len(errs), p80)
			}
		}
	}
	if asked < 1500 {
		t.Errorf("only %d ETAs were compared", asked)
	}
}
