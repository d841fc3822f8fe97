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

// Policy is what a verdict depends on besides the answer.
type Policy struct {
	MaxAttempts   int           // answers of "not now" before an invite fails
	ResendUnknown bool          // with ignore_existing: send again what reading cannot find
	Window        time.Duration // of the endpoint's limit: no wait for a quota is longer
}

// Verdict is what an answer means for a turn.
type Verdict struct {
	ledger.Ending
	Suspect []ledger.Record // members of a refused bulk of whom Clerk does not say who is to blame
}

// The waits of the policy. Backoff is per invite, exponential with full jitter.
const (
	backoffBase   = 30 * time.Second
	backoffCap    = time.Hour
	overloadGate  = 30 * time.Second // a 429 that is not our quota
	minRetryAfter = time.Second
	firstLook     = 2 * time.Second // from an unknown outcome to the first read

	// KeyGate is how long everything is closed when Clerk refuses the key, or the edge
	// refuses us, before a read asks again.
	KeyGate = 30 * time.Second
)

// causes are the kinds of refusal that close a gate.
var causes = map[clerk.Kind]tasks.GateCause{
	clerk.KindQuota:        tasks.CauseQuota,
	clerk.KindOverload:     tasks.CauseOverload,
	clerk.KindUnauthorized: tasks.CauseUnauthorized,
	clerk.KindEdgeBlocked:  tasks.CauseEdgeBlocked,
	clerk.KindRedirected:   tasks.CauseRedirected,
}

// CloseEverything is the change of the gate when a call of any kind has been
// refused in a way that concerns all of them.
func CloseEverything(now time.Time, kind clerk.Kind) ledger.GateChange {
	return ledger.GateChange{Endpoint: ledger.All, Until: now.Add(KeyGate), Why: causes[kind]}
}

// Judge maps every outcome of a create call to a verdict. t.Batch is what was
// sent; made is Clerk's answer, by the invite's id. A nil error is an answer.
func Judge(now time.Time, t ledger.Turn, made map[string]clerk.Invitation, e *clerk.Error, p Policy) Verdict {
	v := Verdict{Ending: ledger.Ending{Token: ledger.StampToken}}
	if t.Probe {
		v.Gate = ledger.GateChange{Endpoint: t.Endpoint, Open: true}
	}
	if e == nil {
		v.Bulk = ledger.BulkTaken
		for _, r := range t.Batch {
			if inv, ok := made[r.Invite.ID]; ok {
				v.Members = append(v.Members, Settled(r, tasks.Pending, "", inv.ID))
			} else {
				s := unknown(now, r)
				s.Call = ledger.EndedCall // It was answered, and not with this one's invitation.
				v.Members = append(v.Members, s)
			}
		}
		return v
	}
	switch kind := e.Kind; kind {
	case clerk.KindNotSent:
		return NotSent(t)

	case clerk.KindQuota:
		until := now.Add(min(max(e.RetryAfter, minRetryAfter), max(p.Window, minRetryAfter)))
		v.Gate = ledger.GateChange{Endpoint: t.Endpoint, Until: until, Surprise: true, Why: causes[kind]}
		return v.all(t, tasks.Queued, causes[kind].Reason())

	case clerk.KindOverload:
		v.Gate = ledger.GateChange{Endpoint: t.Endpoint, Until: now.Add(overloadGate), Why: causes[kind]}
		return v.all(t, tasks.Queued, causes[kind].Reason())

	case clerk.KindUnauthorized, clerk.KindEdgeBlocked, clerk.KindRedirected:
		v.Gate = CloseEverything(now, kind)
		return v.all(t, tasks.Queued, causes[kind].Reason())

	case clerk.KindMalformed:
		if len(t.Batch) > 1 {
			// A refusal of the call is none of its members: smaller calls tell whose fault it is.
			v.Bulk = ledger.BulkUnreadable
			return v.all(t, tasks.Queued, tasks.ReasonBulkRefused)
		}
		return v.all(t, tasks.Parked, tasks.ReasonMalformed)

	case clerk.KindDuplicate, clerk.KindExists, clerk.KindInvalid, clerk.KindBlocked, clerk.KindBusy, clerk.KindRefused:
		return v.refused(now, t.Batch, e, p)

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
func NotSent(t ledger.Turn) Verdict {
	return Verdict{Ending: ledger.Ending{Token: ledger.RefundToken}}.all(t, tasks.Queued, tasks.ReasonNotSent)
}

// all settles every member alike.
func (v Verdict) all(t ledger.Turn, to tasks.State, reason tasks.Reason) Verdict {
	for _, r := range t.Batch {
		v.Members = append(v.Members, Settled(r, to, reason, ""))
	}
	return v
}

// refused settles a call that Clerk has refused because of one member at least.
// A bulk is all or nothing: whoever is not to blame goes again, uncharged.
func (v Verdict) refused(now time.Time, batch []ledger.Record, e *clerk.Error, p Policy) Verdict {
	if len(batch) == 1 {
		v.Members = append(v.Members, Refusal(now, batch[0], e.Kind, e.Param, p))
		return v
	}
	for _, r := range batch {
		if kind, ok := e.KindFor(r.Invite.EmailAddress.Raw()); ok {
			s := Refusal(now, r, kind, e.Param, p)
			s.Call = ledger.EndedCall // That a bulk is all or nothing is only inferred.
			v.Members = append(v.Members, s)
		} else {
			v.Suspect = append(v.Suspect, r)
		}
	}
	if len(v.Members) == 0 {
		return v
	}
	for _, r := range v.Suspect {
		v.Members = append(v.Members, Innocent(now, r))
	}
	v.Suspect = nil
	return v
}

// Innocent sends a member of a refused bulk to the queue again, uncharged. That a
// bulk is all or nothing is only inferred, so a look goes before the next call,
// and what the list did not show yet, Clerk's refusal of a duplicate tells. With
// ignore_existing it refuses none, so there the reading is done with care, first.
// An invite that was in doubt before is sent alone from now on: two bulks are enough.
func Innocent(now time.Time, r ledger.Record) ledger.Settlement {
	s := Settled(r, tasks.Queued, tasks.ReasonBulkRefused, "")
	if r.Invite.IgnoreExisting {
		s = Settled(r, tasks.Unknown, tasks.ReasonChecking, "")
		s.At = now.Add(firstLook)
	}
	s.Solo, s.Call = r.Doubt, ledger.EndedCall
	return s
}

// Refusal settles the one invite that a refusal is about.
func Refusal(now time.Time, r ledger.Record, kind clerk.Kind, param string, p Policy) ledger.Settlement {
	switch kind {
	case clerk.KindDuplicate:
		// A call before this one may have made the invitation that is in the way.
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
		return again(now, r, tasks.ReasonClerkBusy, p)
	default:
		return again(now, r, tasks.ReasonRefused, p)
	}
}

// again charges an attempt and waits, or gives up.
func again(now time.Time, r ledger.Record, reason tasks.Reason, p Policy) ledger.Settlement {
	s := Settled(r, tasks.Queued, reason, "")
	s.Charge, s.Call = ledger.ChargeOne, ledger.EndedCall
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
	s.At, s.Charge, s.Call = now.Add(firstLook), ledger.ChargeHeld, ledger.LostCall
	return s
}

// Settled is a settlement of an invite under the turn that claimed it last.
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
