package clerksim_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestConcurrentUse has clients, the world and readers of the history at it at
// once; the race detector is its judge, and the sums must agree in the end.
func TestConcurrentUse(t *testing.T) {
	rules, err := clerksim.ParseFaults("drop-after:5%,drop-before:5%,error-after:5%,slow-before=2s:5%")
	if err != nil {
		t.Fatal(err)
	}
	cfg := clerksim.Config{
		Limits: unlimited, Latency: clerksim.TypicalLatency, Rules: rules, OnCall: func(clerksim.Call) {},
		Fault:    func(clerksim.Request) clerksim.Fault { return clerksim.Fault{} },
		Switches: clerksim.Switches{LagVaries: true, Lag: time.Second, UnstableTies: true},
	}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *client) {
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 40 {
					address := fmt.Sprintf("w%d-%d@example.com", worker, i)
					_, _ = c.try("POST", "/invitations/bulk", bulkBody(address, "x"+address))
					_, _ = c.try("GET", "/invitations?status=pending&status=revoked", "")
					if got := sim.ByAddress(address); len(got) == 1 {
						_, _ = c.try("POST", "/invitations/"+got[0].ID+"/revoke", "")
					}
					_, _ = c.try("GET", "/users?email_address=x"+address, "")
				}
			})
		}
		wg.Go(func() {
			for i := range 100 {
				sim.AddUser(fmt.Sprintf("u%d@example.com", i))
				_ = sim.Accept(fmt.Sprintf("xw0-%d@example.com", i))
				sim.Inject(clerksim.OpList, clerksim.Fault{Kind: clerksim.Locked}, 1)
				sim.Outage(10*time.Millisecond, clerksim.Fault{})
				sim.SpendForeign(clerksim.Bulk, 1)
				sim.SetLag(time.Duration(i) * time.Millisecond)
				sim.Peak(clerksim.Other, time.Minute)
				sim.MailLog()
				later(time.Second)
			}
		})
		wg.Wait()
		created, stats := 0, sim.Stats()
		for _, call := range sim.Calls() {
			created += call.Created
		}
		if created == 0 || created != len(sim.Invitations()) || created != stats.Mails || stats.MaxMails != 1 {
			t.Errorf("%d created in calls, %d invitations, %d mails, at most %d each", created, len(sim.Invitations()), stats.Mails, stats.MaxMails)
		}
		if stats.Unanswered == 0 || stats.Errors == 0 {
			t.Errorf("no faults: %+v", stats)
		}
	})
}
