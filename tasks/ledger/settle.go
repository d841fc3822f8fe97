package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Charge says what a settlement does to an invite's attempts.
type Charge string

const (
	NoCharge      Charge = ""
	ChargeOne     Charge = "1"       // the call was answered, and the answer was "not now"
	ChargeHeld    Charge = "hold"    // unknown: an attempt, if the reading finds nothing
	ChargeRelease Charge = "release" // the reading found nothing: what was held is charged
)

// Settlement is how a call, or the reading after it, ended for one invite.
type Settlement struct {
	ID           string
	Turn         string // The turn that claimed it: Record.Turn.
	To           tasks.State
	Reason       tasks.Reason
	InvitationID string
	At           time.Time // Queued: not before. Unknown: the next read.
	Charge       Charge
	Absent       int  // Unknown: how many clean reads by now have not found it. 0 leaves the count as it is.
	Solo         bool // Queued: it goes by a single call from now on, so that it can harm nobody.
	Call         Unclear
}

// Unclear says that a call may have made its invitation although nothing proves it.
// The ledger remembers such calls (see Call).
type Unclear string

const (
	ClearCall Unclear = ""      // the answer tells what became of it, or nothing was sent
	LostCall  Unclear = "lost"  // no answer: it may still be carried out, for ArrivalBound
	EndedCall Unclear = "ended" // answered, and what it was to do may be done all the same
)

// Token says what becomes of the turn's token.
type Token string

const (
	KeepToken   Token = ""       // as it is: counted from the claim's deadline
	StampToken  Token = "stamp"  // Clerk answered now: it counts from here
	RefundToken Token = "refund" // nothing was sent
)

// Ending is what a turn has come to: its token, the gate, and some or all of its
// members. The zero value changes nothing.
type Ending struct {
	Token   Token
	Gate    GateChange
	Bulk    BulkAnswer // how Clerk took a bulk call as such
	Members []Settlement
}

// BulkAnswer says how Clerk took a bulk call, apart from its members. Calls that
// are refused whoever is aboard become smaller, and in the end single.
type BulkAnswer string

const (
	BulkUnjudged   BulkAnswer = ""           // the answer says nothing about bulk calls
	BulkTaken      BulkAnswer = "taken"      // Clerk takes calls of this size
	BulkRefused    BulkAnswer = "declined"   // refused, and no member is to blame: the third in a row counts
	BulkUnreadable BulkAnswer = "unreadable" // Clerk cannot read it: the next ones are smaller at once
)

// Settle writes what readings have told about unknown invites. Those that are not
// unknown any more, or were claimed again, are left alone; the records of the
// others are returned. To say the same again changes nothing.
func (l *Ledger) Settle(ctx context.Context, now time.Time, members ...Settlement) ([]Record, error) {
	return l.settle(ctx, now, settleJSON{}, members)
}

// SettleTurn writes the outcome of a turn: the token, the gate and every member,
// in one step. Members that this turn does not hold any more, or has settled
// before, are left alone; the records of the others are returned. Late is better
// than never: a member whose claim ran out is settled as long as no reading has
// done so. To say the same again changes nothing.
func (l *Ledger) SettleTurn(ctx context.Context, now time.Time, t Turn, e Ending) ([]Record, error) {
	args := settleJSON{Turn: &turnJSON{t.ID, t.Endpoint, e.Token, "", 0}}
	if t.Endpoint == Bulk {
		args.Turn.Bulk, args.Turn.Size = e.Bulk, len(t.Batch)
	}
	if e.Gate.changes() {
		args.Gate = l.gateJSON(e.Gate)
	}
	return l.settle(ctx, now, args, e.Members)
}

// settleJSON is the argument of settle.lua.
type settleJSON struct {
	Turn    *turnJSON    `json:"turn,omitzero"`
	Gate    *gateJSON    `json:"gate,omitzero"`
	Members []memberJSON `json:"members"`
}

type turnJSON struct {
	ID       string   `json:"id"`
	Endpoint Endpoint `json:"endpoint"`
	Token    Token    `json:"token"`

	Bulk BulkAnswer `json:"bulk,omitzero"`
	Size int        `json:"size,omitzero"` // of the bulk call
}

type memberJSON struct {
	ID         string       `json:"id"`
	Turn       string       `json:"turn"`
	To         string       `json:"to"`
	Reason     tasks.Reason `json:"reason,omitzero"`
	Invitation string       `json:"invitation,omitzero"`
	At         int64        `json:"at,omitzero"` // ms
	Charge     Charge       `json:"charge,omitzero"`
	Absent     int          `json:"absent,omitzero"`
	Solo       bool         `json:"solo,omitzero"`
	Call       Unclear      `json:"call,omitzero"`
}

func (l *Ledger) settle(ctx context.Context, now time.Time, args settleJSON, members []Settlement) ([]Record, error) {
	args.Members = make([]memberJSON, len(members))
	for i, m := range members {
		args.Members[i] = memberJSON{m.ID, m.Turn, m.To.String(), m.Reason, m.InvitationID, millis(m.At), m.Charge, m.Absent, m.Solo, m.Call}
	}
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	reply, err := l.run(ctx, "settle", millis(now), text).StringSlice()
	if err != nil {
		return nil, err
	}
	flat := make([]string, 0, 2*len(reply))
	for i, s := range reply {
		if s != "" {
			flat = append(flat, members[i].ID, s)
		}
	}
	return l.records(ctx, flat), nil
}
