package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

	Wake time.Time // Without a claim: when to ask again. Zero: when something comes.
	Why  string    // Without a claim: idle, quota, gate, paused or key.
}

// Turn takes a token and claims the invites to spend it on, in one atomic step.
// The same id asked again within the claim's time returns the same claim.
func (l *Ledger) Turn(ctx context.Context, now time.Time, id string) (Turn, error) {
	args := []any{now.UnixMilli(), id, l.cfg.ClaimTTL.Milliseconds(), l.cfg.Bulk, l.cfg.Reserve}
	for _, lim := range []Limit{l.cfg.Limits.Single, l.cfg.Limits.Bulk, l.cfg.Limits.Other} {
		args = append(args, lim.Calls, lim.Window.Milliseconds(), lim.span().Milliseconds())
	}
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
			return Turn{ID: id, Wake: moment(reply[1]), Why: reply[2]}, nil
		case "claim":
			batch, err := parseRecords(reply[4:])
			return Turn{ID: id, Endpoint: Endpoint(reply[1]), Deadline: moment(reply[2]), Probe: reply[3] == "1", Batch: batch}, err
		}
		return Turn{}, fmt.Errorf("turn answered %q", reply[0])
	}
	return Turn{ID: id, Wake: now.Add(time.Second), Why: "idle"}, nil
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
	args := []any{now.UnixMilli(), t.ID, t.Deadline.UnixMilli(), places}
	for _, r := range t.Batch {
		args = append(args, r.address)
	}
	reply, err := l.run(ctx, "topup", args...).StringSlice()
	if err != nil {
		return nil, err
	}
	return parseRecords(reply)
}

// Charge says what a settlement does to an invite's attempts.
type Charge string

const (
	NoCharge      Charge = ""
	ChargeOne     Charge = "1"       // the call was answered, and the answer was "not now"
	ChargeHeld    Charge = "hold"    // unknown: an attempt, if the reading finds nothing
	ChargeRelease Charge = "release" // the reading found nothing: what was held is charged
	CountAbsent   Charge = "absent"  // unknown: a clean read has not found it
)

// Settlement is how a call, or the reading after it, ended for one invite.
type Settlement struct {
	ID           string
	Turn         string // The turn that claimed it: Record.Turn.
	To           tasks.State
	Reason       string
	InvitationID string
	At           time.Time // Queued: not before. Unknown: the next read.
	Charge       Charge
	Solo         bool // Queued: it goes by a single call from now on, so that it can harm nobody.
}

// Token says what becomes of the turn's token.
type Token string

const (
	KeepToken   Token = ""       // as it is: counted from the claim's deadline
	StampToken  Token = "stamp"  // Clerk answered now: it counts from here
	RefundToken Token = "refund" // nothing was sent
)

// GateChange opens or closes an endpoint for all workers. The zero value leaves
// it as it is.
type GateChange struct {
	Endpoint Endpoint
	Open     bool
	Until    time.Time // Close until then.
	Why      string    // A stable word: quota, overload, key, edge.

	// Surprise says that Clerk refused the call for its quota although the log had
	// a token: the limiter is stricter than we know, or somebody else spends the
	// same key. Both endpoints then keep to their soft buckets for a day.
	Surprise bool
}

// Settle writes the outcome of a turn: the token, the gate and every member, in
// one step. Members that this turn does not hold any more are left alone; the
// records of the others are returned.
func (l *Ledger) Settle(ctx context.Context, now time.Time, t Turn, token Token, gate GateChange, members []Settlement) ([]Record, error) {
	verb := ""
	switch {
	case gate.Open:
		verb = "open"
	case !gate.Until.IsZero():
		verb = "close"
	}
	args := []any{now.UnixMilli(), string(t.Endpoint), t.ID, string(token),
		verb, millis(gate.Until), gate.Surprise, gate.Why, string(gate.Endpoint)}
	for _, lim := range []Limit{l.cfg.Limits.Single, l.cfg.Limits.Bulk} {
		args = append(args, lim.Calls, lim.Window.Milliseconds(), lim.span().Milliseconds())
	}
	for _, m := range members {
		args = append(args, m.ID, m.Turn, m.To.String(), m.Reason, m.InvitationID, strconv.FormatInt(millis(m.At), 10), string(m.Charge), m.Solo)
	}
	reply, err := l.run(ctx, "settle", args...).StringSlice()
	if err != nil {
		return nil, err
	}
	flat := make([]string, 0, 2*len(reply))
	for i, s := range reply {
		if s != "" {
			flat = append(flat, members[i].ID, s)
		}
	}
	return parseRecords(flat)
}

// DueUnknown hands out at most n unknown invites that should be looked up now.
// They come up again after the lease if nobody settles them.
func (l *Ledger) DueUnknown(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Record, error) {
	return l.due(ctx, now, "unknown", lease, n)
}

// DueRevokes hands out at most n pending invites whose invitation shall be
// revoked now. They come up again after the lease.
func (l *Ledger) DueRevokes(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Record, error) {
	return l.due(ctx, now, "revoke", lease, n)
}

func (l *Ledger) due(ctx context.Context, now time.Time, index string, lease time.Duration, n int) ([]Record, error) {
	reply, err := l.run(ctx, "due", now.UnixMilli(), index, lease.Milliseconds(), n).StringSlice()
	if err != nil {
		return nil, err
	}
	return parseRecords(reply)
}
