package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Endpoint is one of Clerk's three limits.
type Endpoint string

const (
	Single Endpoint = "single" // POST /invitations
	Bulk   Endpoint = "bulk"   // POST /invitations/bulk
	Other  Endpoint = "other"  // everything together
	All    Endpoint = "all"    // in a gate: nothing at all may be called
)

// Endpoints lists those that have a quota.
var Endpoints = []Endpoint{Single, Bulk, Other}

// Turn is what a worker may do now: either a claim (Batch is not empty), or
// when to ask again.
type Turn struct {
	ID       string
	Endpoint Endpoint
	Deadline time.Time // After this the claim is void and its members are unknown.
	Probe    bool      // It is the one call that goes through a gate to see whether it opens.
	Batch    []Record
	until    int64 // the deadline in the ledger's time (ms)

	Wake time.Time // Without a claim: when to ask again. Zero: when something comes.
	Why  Wait      // Without a claim: what it waits for.
}

// Wait says what a turn without a claim waits for.
type Wait string

const (
	WaitIdle   Wait = "idle"   // an invite: none is waiting
	WaitQuota  Wait = "quota"  // a token
	WaitGate   Wait = "gate"   // an endpoint that is closed
	WaitPaused Wait = "paused" // a lane that is paused
	WaitKey    Wait = "key"    // the gate over everything: Clerk, or the edge, turns the workers away
	WaitEpoch  Wait = "epoch"  // recovery: the ledger may have forgotten something
)

var waits = []Wait{WaitIdle, WaitQuota, WaitGate, WaitPaused, WaitKey, WaitEpoch}

// Turn takes a token and claims the invites to spend it on, in one atomic step.
// The same id asked again within the claim's time returns the same claim.
func (l *Ledger) Turn(ctx context.Context, now time.Time, id string) (Turn, error) {
	seq, founded := l.memory.last()
	args := []any{millis(now), id, l.cfg.ClaimTTL.Milliseconds(), l.cfg.Bulk, l.cfg.Reserve}
	for _, lim := range []Limit{l.cfg.Limits.Single, l.cfg.Limits.Bulk, l.cfg.Limits.Other} {
		args = append(args, lim.Calls, lim.Window.Milliseconds(), lim.span().Milliseconds())
	}
	args = append(args, seq, l.memory.lastEpoch(), founded)
	// What has come due is moved a few hundred at a time, and a lane's head may
	// hold nothing that can board; both are rare and both make progress.
	for range 100 {
		reply, err := l.run(ctx, "turn", args...).StringSlice()
		if err != nil {
			return Turn{}, err
		}
		switch reply[0] {
		case "again":
			continue
		case "wait":
			return Turn{ID: id, Wake: l.local(now, timeOf(reply[1])), Why: Wait(reply[2])}, nil
		case "claim":
			l.memory.saw(number(reply[4]), 0)
			batch := l.records(ctx, reply[5:])
			return Turn{
				ID: id, Endpoint: Endpoint(reply[1]), Deadline: l.local(now, timeOf(reply[2])), Probe: reply[3] == "1", Batch: batch,
				until: number(reply[2]),
			}, nil
		}
		return Turn{}, fmt.Errorf("turn answered %q", reply[0])
	}
	return Turn{ID: id, Wake: l.local(now, l.at(now).Add(time.Second)), Why: WaitIdle}, nil
}

// TopUp claims up to places more invites under a bulk turn whose token is
// taken already, to fill what screening has emptied.
func (l *Ledger) TopUp(ctx context.Context, now time.Time, t Turn, places int) ([]Record, error) {
	if places <= 0 {
		return nil, nil
	}
	if t.Endpoint != Bulk {
		return nil, errors.New("only a bulk call can be topped up")
	}
	args := []any{millis(now), t.ID, t.until, places, tasks.NewID("topup")}
	for _, r := range t.Batch {
		args = append(args, r.address)
	}
	reply, err := l.run(ctx, "topup", args...).StringSlice()
	if err != nil {
		return nil, err
	}
	if len(reply) == 0 {
		return nil, nil
	}
	l.memory.saw(number(reply[0]), 0)
	return l.records(ctx, reply[1:]), nil
}
