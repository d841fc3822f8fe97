package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

// GateChange opens or closes an endpoint for all workers. The zero value leaves
// it as it is.
type GateChange struct {
	Endpoint Endpoint
	Open     bool
	Until    time.Time // Close until then.
	Why      tasks.GateCause

	// Surprise says that Clerk refused the call for its quota although the log had
	// a token: the limiter is stricter than we know, or somebody else spends the
	// same key. Both endpoints then keep to their soft buckets for a day.
	Surprise bool
}

func (g GateChange) changes() bool { return g.Open || !g.Until.IsZero() }

// SetGate opens or closes an endpoint for all workers.
func (l *Ledger) SetGate(ctx context.Context, now time.Time, g GateChange) error {
	if !g.changes() {
		return nil
	}
	text, err := json.Marshal(l.gateJSON(g))
	if err != nil {
		return err
	}
	return l.run(ctx, "gate", millis(now), text).Err()
}

// gateJSON is a change as libgate.lua takes it.
type gateJSON struct {
	Endpoint Endpoint                  `json:"endpoint"`
	Open     bool                      `json:"open,omitzero"`
	Until    int64                     `json:"closed_until"` // ms
	Why      tasks.GateCause           `json:"why"`
	Surprise map[Endpoint]policy.Limit `json:"surprise,omitzero"`
}

func (l *Ledger) gateJSON(g GateChange) *gateJSON {
	j := &gateJSON{Endpoint: g.Endpoint, Open: g.Open, Until: millis(g.Until), Why: g.Why}
	if g.Surprise {
		j.Surprise = map[Endpoint]policy.Limit{}
		for e, limit := range map[Endpoint]Limit{Single: l.cfg.Limits.Single, Bulk: l.cfg.Limits.Bulk} {
			if limit.Calls > 0 {
				j.Surprise[e] = limit.policy()
			}
		}
	}
	return j
}
