// Package verdict says what an answer of Clerk's, or a reading of its list, means:
// for each invite, for the token and for the gate. It is pure: what is known goes
// in, a verdict comes out.
package verdict

import (
	"math/rand/v2"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Policy is what a verdict depends on beside what Clerk says.
type Policy struct {
	MaxAttempts   int           // Answers of "not now" before an invite fails.
	ResendUnknown bool          // With ignore_existing: send again what reading cannot find. Default: park it.
	Limits        ledger.Limits // No quota is waited for longer than its window.
}

// Verdict is what an answer means for a turn.
type Verdict struct {
	ledger.Ending
	Suspects []ledger.Record // Members of a refused bulk of whom Clerk does not say who is to blame; they are in no Members.
}

// The waits. Backoff is per invite, exponential with full jitter.
const (
	backoffBase   = 30 * time.Second
	backoffCap    = time.Hour
	overloadGate  = 30 * time.Second // a 429 that is not our quota
	keyGate       = 30 * time.Second // the key, or the edge, refuses us
	firstLook     = 2 * time.Second  // from an unknown outcome to the first read
	minRetryAfter = time.Second
)

// causes says why an answer of Clerk's closes a gate. The invites of such a call
// wait for the same reason.
var causes = map[clerk.Kind]tasks.GateCause{
	clerk.KindQuota:        tasks.CauseQuota,
	clerk.KindOverload:     tasks.CauseOverload,
	clerk.KindUnauthorized: tasks.CauseUnauthorized,
	clerk.KindEdgeBlocked:  tasks.CauseEdgeBlocked,
	clerk.KindRedirected:   tasks.CauseRedirected,
}

// CloseEverything is the change of the gate after a refusal whose kind says
// ClosesEverything, of whatever call.
func CloseEverything(now time.Time, kind clerk.Kind) ledger.GateChange {
	return ledger.GateChange{Endpoint: ledger.All, Until: now.Add(keyGate), Why: causes[kind]}
}

// Judge maps every outcome of a create call to a verdict. t.Batch is what was sent;
// made is Clerk's answer, by the invite's id; e is nil if Clerk has said yes.
func (p Policy) Judge(now time.Time, t ledger.Turn, made map[string]clerk.Invitation, e *clerk.Error) Verdict {
	v := Verdict{Ending: ledger.Ending{Token: ledger.StampToken}}
	if t.Probe {
		v.Gate = ledger.GateChange{Endpoint: t.Endpoint, Open: true}
	}
	if e == nil {
		for _, r := range t.Batch {
			if inv, ok := made[r.Invite.ID]; ok {
				v.Members = append(v.Members, Settled(r, tasks.Pending, "", inv.ID))
			} else {
				v.Members = append(v.Members, unknown(now, r))
			}
		}
		return v
	}
	switch kind := e.Kind; kind {
	case clerk.KindNotSent:
		return NotSent(t.Batch)

	case clerk.KindQuota:
		until := now.Add(min(max(e.RetryAfter, minRetryAfter), max(p.window(t.Endpoint), minRetryAfter)))
		v.Gate = ledger.GateChange{Endpoint: t.Endpoint, Until: until, Surprise: true, Why: causes[kind]}
		return v.all(t.Batch, tasks.Queued, causes[kind].Reason())

	case clerk.KindOverload:
		v.Gate = ledger.GateChange{Endpoint: t.Endpoint, Until: now.Add(overloadGate), Why: causes[kind]}
		return v.all(t.Batch, tasks.Queued, causes[kind].Reason())

	case clerk.KindUnauthorized, clerk.KindEdgeBlocked, clerk.KindRedirected:
		v.Gate = CloseEverything(now, kind)
		return v.all(t.Batch, tasks.Queued, causes[kind].Reason())

	case clerk.KindMalformed:
		return v.all(t.Batch, tasks.Parked, tasks.ReasonMalformed)

	case clerk.KindDuplicate, clerk.KindExists, clerk.KindInvalid, clerk.KindBlocked, clerk.KindBusy, clerk.KindRefused:
		return p.refused(v, now, t.Batch, e)

	default: // KindUnknown, and whatever a later version may add.
		if e.Status == 0 {
			// No answer: the call may reach Clerk as late as its deadline.
			v.Token, v.Gate = ledger.KeepToken, ledger.GateChange{}
		}
		for _, r := range t.Batch {
			v.Members = append(v.Members, unknown(now, r))
		}
		return v
	}
}

// NotSent is the verdict on a turn from which nothing was sent.
func NotSent(batch []ledger.Record) Verdict {
	return Verdict{Ending: ledger.Ending{Token: ledger.RefundToken}}.all(batch, tasks.Queued, tasks.ReasonNotSent)
}

func (v Verdict) all(batch []ledger.Record, to tasks.State, reason tasks.Reason) Verdict {
	for _, r := range batch {
		v.Members = append(v.Members, Settled(r, to, reason, ""))
	}
	return v
}

func (p Policy) window(e ledger.Endpoint) time.Duration {
	if e == ledger.Bulk {
		return p.Limits.Bulk.Window
	}
	return p.Limits.Single.Window
}

// refused settles a call that Clerk has refused because of one member at least.
// A bulk is all or nothing: whoever is not to blame goes again, uncharged.
func (p Policy) refused(v Verdict, now time.Time, batch []ledger.Record, e *clerk.Error) Verdict {
	if len(batch) == 1 {
		v.Members = append(v.Members, p.Refusal(now, batch[0], e.Kind, e.Param))
		return v
	}
	for _, r := range batch {
		if kind, ok := e.KindFor(r.Invite.EmailAddress.Raw()); ok {
			v.Members = append(v.Members, p.Refusal(now, r, kind, e.Param))
		} else {
			v.Suspects = append(v.Suspects, r)
		}
	}
	if len(v.Members) == 0 {
		return v
	}
	for _, r := range v.Suspects {
		v.Members = append(v.Members, Innocent(now, r))
	}
	v.Suspects = nil
	return v
}

// Innocent sends a member of a refused bulk to the queue again, uncharged. That a
// bulk is all or nothing is only inferred, so a look goes before the next call,
// and what the list did not show yet, Clerk's refusal of a duplicate tells. With
// ignore_existing it refuses none, so there the reading is done with care, first.
// An invite already in doubt is sent alone from now on: two bulks are enough.
func Innocent(now time.Time, r ledger.Record) ledger.Settlement {
	s := Settled(r, tasks.Queued, tasks.ReasonBulkRefused, "")
	if r.Invite.IgnoreExisting {
		s = Settled(r, tasks.Unknown, tasks.ReasonChecking, "")
		s.At = now.Add(firstLook)
	}
	s.Solo = r.Doubt
	return s
}

// Refusal settles the one invite that a refusal is about.
func (p Policy) Refusal(now time.Time, r ledger.Record, kind clerk.Kind, param string) ledger.Settlement {
	switch kind {
	case clerk.KindDuplicate:
		// A call before this one may have made the invitation that is in the way,
		// even one that the ledger has forgotten because Redis lost its last second.
		return Settled(r, tasks.Unknown, tasks.ReasonInvitationExists, "")
	case clerk.KindExists:
		if r.Doubt {
			return Settled(r, tasks.Unknown, tasks.ReasonExistingUser, "") // Perhaps they came by an invitation of ours.
		}
		return Settled(r, tasks.Rejected, tasks.ReasonExistingUser, "")
	case clerk.KindBlocked:
		return Settled(r, tasks.Rejected, tasks.ReasonBlocked, "")
	case clerk.KindInvalid:
		return Settled(r, tasks.Rejected, tasks.InvalidField(param), "")
	case clerk.KindBusy:
		return p.again(now, r, tasks.ReasonClerkBusy)
	default:
		return p.again(now, r, tasks.ReasonRefused)
	}
}

// again charges an attempt and waits, or gives up.
func (p Policy) again(now time.Time, r ledger.Record, reason tasks.Reason) ledger.Settlement {
	s := Settled(r, tasks.Queued, reason, "")
	s.Charge = ledger.ChargeOne
	if r.Attempts+1 >= p.MaxAttempts {
		s.To, s.Reason = tasks.Failed, tasks.ReasonAttempts
		return s
	}
	s.At = now.Add(backoff(r.Attempts))
	return s
}

// unknown keeps an attempt in hand until a read has settled the invite.
func unknown(now time.Time, r ledger.Record) ledger.Settlement {
	s := Settled(r, tasks.Unknown, tasks.ReasonNoClearAnswer, "")
	s.At, s.Charge = now.Add(firstLook), ledger.ChargeHeld
	return s
}

// Settled is the settlement of an invite as its claim, or a reading, left it.
func Settled(r ledger.Record, to tasks.State, reason tasks.Reason, invitationID string) ledger.Settlement {
	return ledger.Settlement{ID: r.Invite.ID, Turn: r.Turn, To: to, Reason: reason, InvitationID: invitationID}
}

// backoff is exponential with full jitter, from one second on.
func backoff(attempts int) time.Duration {
	most := backoffCap
	if attempts < 10 {
		most = min(backoffCap, backoffBase<<attempts)
	}
	return time.Second + rand.N(most)
}
