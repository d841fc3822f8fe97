package worker

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestForgetsWithoutClerk: how long settled invites are remembered depends neither
// on reconciliation nor on Clerk.
func TestForgetsWithoutClerk(t *testing.T) {
	for name, prepare := range map[string]func(*stage, *Config){
		"reconciliation is off": func(_ *stage, c *Config) { c.ReconcileEvery = -1 },
		"Clerk is down":         func(s *stage, _ *Config) { s.sim.SetReachable(false) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, clerksim.Config{})
			ago := time.Now().Add(-time.Hour)
			ids := s.admitAt(ago, people(0, 250)...)
			kept := s.admitAt(ago, person(300))
			for _, id := range ids {
				if _, err := s.ledger.Cancel(t.Context(), ago, id); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.ledger.Cancel(t.Context(), time.Now(), kept[0]); err != nil {
				t.Fatal(err)
			}
			s.start(func(c *Config) {
				c.Retention = 30 * time.Minute
				prepare(s, c)
			})
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				left, err := s.ledger.Get(t.Context(), append(ids, kept...)...)
				if err != nil {
					t.Fatal(err)
				}
				if len(left) == 1 && left[0].Invite.ID == kept[0] {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("after 20 s %d are left, want the one that was settled just now", len(left))
				}
			}
		})
	}
}
