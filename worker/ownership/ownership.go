// Package ownership decides whether an invitation at Clerk is the answer to an
// invite of ours. It is pure: what is known goes in, whose it is comes out.
//
// An invitation is ours only if a call of ours may have made it. That an invite
// waits for the same address is no reason: somebody else may have invited the
// person meanwhile, and what is theirs is not reported, counted or revoked as ours.
package ownership

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Whose says whose an invitation is.
type Whose uint8

const (
	// Theirs: no call of this invite can have made it.
	Theirs Whose = iota
	// Unclear: a call of this invite may have made it, but the content differs, or
	// so much may have been forgotten that the match proves little. A person decides.
	Unclear
	// Ours: it is the answer to a call of this invite.
	Ours
)

// Facts are what every decision of one moment shares.
type Facts struct {
	Clock  Clock          // how Clerk's clock stands to the ledger's
	Epochs []ledger.Epoch // the gaps in what the ledger remembers
	Now    time.Time      // the ledger's time
	Claim  time.Duration  // how long a worker may take between claim and settle

	Mark      string    // the key of public_metadata that holds our id; "" is none
	MarkSince time.Time // since when every call carries it
}

// Clock is what is known of Clerk's clock: it is Offset ahead of the ledger's,
// within Uncertainty.
type Clock struct {
	Offset, Uncertainty time.Duration
}

// MaxOffset is by how much Clerk's clock and the ledger's may differ before times
// prove nothing any more.
const MaxOffset = time.Minute

// Trusted reports whether times at Clerk can be compared with the ledger's. If
// not, nothing may be decided by them, and Of must not be asked.
func (c Clock) Trusted() bool { return c.Offset.Abs() <= MaxOffset && c.Uncertainty <= MaxOffset }

// LedgerTime translates a time of Clerk's.
func (c Clock) LedgerTime(t time.Time) time.Time { return t.Add(-c.Offset) }

// MayPrecede reports whether what Clerk has made may be older than a moment of the
// ledger's. Where the clocks are not known well enough to tell, it may, by up to a
// second: somebody invited and took back in one breath.
func (c Clock) MayPrecede(made, moment time.Time) bool {
	return !c.LedgerTime(made).After(moment.Add(min(c.Uncertainty, time.Second)))
}

// MayFollow reports whether what happened at Clerk may be younger than a moment of the
// ledger's: two clocks that are compared by the second tell it no better.
func (c Clock) MayFollow(happened, moment time.Time) bool {
	return !c.LedgerTime(happened).Add(time.Second + c.Uncertainty).Before(moment)
}

// shortGap is up to how long a gap may be for a match in it to prove that we made
// an invitation which has ended since. In a longer one it may be anybody's.
const shortGap = time.Hour

// Of decides whose an invitation is. The caller has seen that it is for the
// invite's address, and that no other invite owns it. calls are those of the
// invite that got no clear answer (ledger.Calls).
func Of(r ledger.Record, calls []ledger.Call, inv clerk.Invitation, f Facts) Whose {
	if r.InvitationID != "" && r.InvitationID == inv.ID {
		return Ours
	}
	if f.Mark != "" && CanCarry(r.Invite, f.Mark) {
		if id, marked := MarkOf(inv, f.Mark); marked {
			if id == r.Invite.ID {
				return Ours
			}
			return Theirs
		}
	}
	made := f.Clock.LedgerTime(inv.CreatedAt)
	for _, c := range calls {
		if Marked(r.Invite, c, f) || !c.MayHaveMade(made, f.Clock.Uncertainty) {
			continue
		}
		if SameContent(r.Invite, inv) {
			return Ours
		}
		return Unclear
	}
	e, forgotten := gapAround(r, made, f)
	switch {
	case !forgotten:
		return Theirs
	case f.Mark != "" && !leftAfter(e, made, f).Before(f.MarkSince) && CanCarry(r.Invite, f.Mark):
		return Theirs // Every call that may have been forgotten carried the mark.
	case r.Invite.IgnoreExisting:
		return Unclear
	case !SameContent(r.Invite, inv):
		return Theirs
	case inv.Status != clerk.Pending && e.Length() > shortGap:
		return Unclear
	}
	return Ours
}

// leftAfter returns the moment after which a call left that was forgotten in a gap and
// has made an invitation at a moment. A ledger that was emptied remembers no beginning.
func leftAfter(e ledger.Epoch, made time.Time, f Facts) time.Time {
	left := made.Add(-ledger.ArrivalBound - f.Claim - f.Clock.Uncertainty)
	if e.Start.After(left) {
		return e.Start
	}
	return left
}

// gapAround returns the gap in the ledger's memory in which an invitation was
// made, if a call of this invite may have been forgotten there.
func gapAround(r ledger.Record, made time.Time, f Facts) (ledger.Epoch, bool) {
	for _, e := range f.Epochs {
		if e.Concerns(r, f.Now) && e.Covers(made, f.Clock.Uncertainty) {
			return e, true
		}
	}
	return ledger.Epoch{}, false
}

// ForgottenAt returns when a call of this invite may have been forgotten last; the
// zero time if there can be none.
func ForgottenAt(r ledger.Record, f Facts) time.Time {
	var last time.Time
	for _, e := range f.Epochs {
		if e.Concerns(r, f.Now) && e.End.After(last) {
			last = e.End
		}
	}
	return last
}

// ForgottenSince returns from when on a call of this invite may have been forgotten;
// the zero time if there can be none.
func ForgottenSince(r ledger.Record, f Facts) time.Time {
	var first time.Time
	for _, e := range f.Epochs {
		if e.Concerns(r, f.Now) && (first.IsZero() || e.Start.Before(first)) {
			first = e.Start
		}
	}
	return first
}

// ForgottenUntil returns up to when a call of this invite which the ledger has
// forgotten may be carried out; the zero time if there can be none.
func ForgottenUntil(r ledger.Record, f Facts) time.Time {
	if at := ForgottenAt(r, f); !at.IsZero() {
		return at.Add(ledger.ArrivalBound)
	}
	return time.Time{}
}

// MayArrive reports whether a call of this invite may still be carried out which the
// ledger has forgotten, or knows to be lost.
func MayArrive(r ledger.Record, f Facts) bool {
	return r.Doubt || f.Now.Before(ForgottenUntil(r, f))
}

// MayBeForgotten reports whether a call of this invite may have left although the
// ledger knows of none, so that it must be looked for before it is sent.
func MayBeForgotten(r ledger.Record, f Facts) bool {
	return !ForgottenAt(r, f).IsZero()
}

// SameContent reports whether an invitation says what the invite asks for, as far
// as Clerk shows it. Clerk may echo metadata in another form: nulls left out,
// numbers written differently, keys in another order are no difference.
func SameContent(i tasks.Invite, inv clerk.Invitation) bool {
	if !sameJSON(i.PublicMetadata, inv.PublicMetadata) {
		return false
	}
	if inv.ExpiresAt.IsZero() || inv.CreatedAt.IsZero() {
		return true
	}
	days := i.ExpiresInDays
	if days == 0 {
		days = defaultDays
	}
	lasts := inv.ExpiresAt.Sub(inv.CreatedAt)
	return (lasts - time.Duration(days)*24*time.Hour).Abs() <= expirySlack
}

const (
	// defaultDays is Clerk's default for expires_in_days
	// (https://clerk.com/docs/reference/backend-api, CreateInvitation, 2026-05).
	defaultDays = 30
	// expirySlack is by how much Clerk may round an expiry.
	expirySlack = time.Hour
)

func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, okA := decode(a)
	y, okB := decode(b)
	return okA && okB && same(x, y)
}

// decode reads an object. Nothing at all, and null, are the empty one.
func decode(raw json.RawMessage) (map[string]any, bool) {
	m := map[string]any{}
	if len(raw) == 0 {
		return m, true
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return m, d.Decode(&m) == nil
}

func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && sameObject(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a, b)
	}
	return a == b
}

// sameObject compares two objects in which null is the same as nothing.
func sameObject(a, b map[string]any) bool {
	for k, v := range a {
		if !same(v, b[k]) {
			return false
		}
	}
	for k, v := range b {
		if _, ok := a[k]; !ok && v != nil {
			return false
		}
	}
	return true
}

// sameNumber compares by value: 30, 30.0 and 3e1 are one number. What a float64
// cannot hold may come back rounded to one.
func sameNumber(a, b json.Number) bool {
	x, errA := a.Float64()
	y, errB := b.Float64()
	return a == b || errA == nil && errB == nil && x == y
}
