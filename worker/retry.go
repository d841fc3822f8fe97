package worker

import (
	"math/rand/v2"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// verdict is what an answer of Clerk means for a turn: its token, the gate, and
// every member. It is decided from what is known, without I/O.
type verdict struct {
	token   ledger.Token
	gate    ledger.GateChange
	members []ledger.Settlement
	suspect []ledger.Record // members of a refused bulk of whom Clerk does not say who is to blame
}

// The waits of the policy. Backoff is per invite, exponential with full jitter.
const (
	backoffBase   = 30 * time.Second
	backoffCap    = time.Hour
	overloadGate  = 30 * time.Second // a 429 that is not our quota
	keyGate       = 30 * time.Second // the key, or the edge, refuses us
	firstLook     = 2 * time.Second  // from an unknown outcome to the first read
	secondLook    = 15 * time.Second // between two reads that find nothing: the list may lag
	resendLook    = 15 * time.Minute // the same with ignore_existing, where nothing else prevents a second mail
	minRetryAfter = time.Second
)

// judge maps every outcome of a create call to a verdict. batch is what was
// sent; made is Clerk's answer, matched to the batch by id.
func judge(now time.Time, t ledger.Turn, batch []ledger.Record, made map[string]clerk.Invitation, err error, cfg *Config, window time.Duration) verdict {
	v := verdict{token: ledger.StampToken}
	if t.Probe {
		v.gate = ledger.GateChange{Endpoint: t.Endpoint, Open: true}
	}
	all := func(s ledger.Settlement) verdict {
		for _, r := range batch {
			s.ID, s.Turn = r.Invite.ID, r.Turn
			v.members = append(v.members, s)
		}
		return v
	}
	if err == nil {
		for _, r := range batch {
			if inv, ok := made[r.Invite.ID]; ok {
				v.members = append(v.members, settled(r, tasks.Pending, "", inv.ID))
			} else {
				v.members = append(v.members, unknown(now, r))
			}
		}
		return v
	}
	e := asError(err)
	switch kind := e.Kind; kind {
	case clerk.KindNotSent:
		v.token, v.gate = ledger.RefundToken, ledger.GateChange{}
		return all(ledger.Settlement{To: tasks.Queued, Reason: tasks.ReasonNotSent})

	case clerk.KindQuota:
		until := now.Add(min(max(e.RetryAfter, minRetryAfter), max(window, minRetryAfter)))
		v.gate = ledger.GateChange{Endpoint: t.Endpoint, Until: until, Surprise: true, Why: gateCauses[kind]}
		return all(ledger.Settlement{To: tasks.Queued, Reason: gateCauses[kind].Reason()})

	case clerk.KindOverload:
		v.gate = ledger.GateChange{Endpoint: t.Endpoint, Until: now.Add(overloadGate), Why: gateCauses[kind]}
		return all(ledger.Settlement{To: tasks.Queued, Reason: gateCauses[kind].Reason()})

	case clerk.KindUnauthorized, clerk.KindEdgeBlocked, clerk.KindRedirected:
		v.gate = ledger.GateChange{Endpoint: ledger.All, Until: now.Add(keyGate), Why: gateCauses[kind]}
		return all(ledger.Settlement{To: tasks.Queued, Reason: gateCauses[kind].Reason()})

	case clerk.KindMalformed:
		return all(ledger.Settlement{To: tasks.Parked, Reason: tasks.ReasonMalformed})

	case clerk.KindDuplicate, clerk.KindExists, clerk.KindInvalid, clerk.KindBlocked, clerk.KindBusy, clerk.KindRefused:
		return v.refused(now, batch, e, cfg)

	default: // KindUnknown, and whatever a later version may add.
		if e.Status == 0 {
			// No answer: the call may reach Clerk as late as its deadline.
			v.token, v.gate = ledger.KeepToken, ledger.GateChange{}
		}
		for _, r := range batch {
			v.members = append(v.members, unknown(now, r))
		}
		return v
	}
}

// refused settles a call that Clerk has refused because of one member at least.
// A bulk is all or nothing: whoever is not to blame goes again, uncharged.
func (v verdict) refused(now time.Time, batch []ledger.Record, e *clerk.Error, cfg *Config) verdict {
	if len(batch) == 1 {
		v.members = append(v.members, refusal(now, batch[0], e.Kind, e.Param, cfg))
		return v
	}
	for _, r := range batch {
		if kind, ok := e.KindFor(r.Invite.EmailAddress.Raw()); ok {
			v.members = append(v.members, refusal(now, r, kind, e.Param, cfg))
		} else {
			v.suspect = append(v.suspect, r)
		}
	}
	if len(v.members) == 0 {
		return v
	}
	for _, r := range v.suspect {
		v.members = append(v.members, innocent(now, r))
	}
	v.suspect = nil
	return v
}

// innocent sends a member of a refused bulk to the queue again, uncharged. That a
// bulk is all or nothing is only inferred, so a look goes before the next call,
// and what the list did not show yet, Clerk's refusal of a duplicate tells. With
// ignore_existing it refuses none, so there the reading is done with care, first.
// Who has been in doubt before goes by itself from now on: two bulks are enough.
func innocent(now time.Time, r ledger.Record) ledger.Settlement {
	s := settled(r, tasks.Queued, tasks.ReasonBulkRefused, "")
	if r.Invite.IgnoreExisting {
		s = settled(r, tasks.Unknown, tasks.ReasonChecking, "")
		s.At = now.Add(firstLook)
	}
	s.Solo = r.Doubt
	return s
}

// refusal settles the one invite that a refusal is about.
func refusal(now time.Time, r ledger.Record, kind clerk.Kind, param string, cfg *Config) ledger.Settlement {
	switch kind {
	case clerk.KindDuplicate:
		// A call before this one may have made the invitation that is in the way,
		// even one that the ledger has forgotten because Redis lost its last second.
		return settled(r, tasks.Unknown, tasks.ReasonInvitationExists, "")
	case clerk.KindExists:
		if r.Doubt {
			return settled(r, tasks.Unknown, tasks.ReasonExistingUser, "") // Perhaps they came by an invitation of ours.
		}
		return settled(r, tasks.Rejected, tasks.ReasonExistingUser, "")
	case clerk.KindBlocked:
		return settled(r, tasks.Rejected, tasks.ReasonBlocked, "")
	case clerk.KindInvalid:
		return settled(r, tasks.Rejected, tasks.InvalidField(param), "")
	case clerk.KindBusy:
		return again(now, r, tasks.ReasonClerkBusy, cfg)
	default:
		return again(now, r, tasks.ReasonRefused, cfg)
	}
}

// again charges an attempt and waits, or gives up.
func again(now time.Time, r ledger.Record, reason tasks.Reason, cfg *Config) ledger.Settlement {
	s := settled(r, tasks.Queued, reason, "")
	s.Charge = ledger.ChargeOne
	if r.Attempts+1 >= cfg.MaxAttempts {
		s.To, s.Reason = tasks.Failed, tasks.ReasonAttempts
		return s
	}
	s.At = now.Add(backoff(r.Attempts))
	return s
}

// unknown keeps an attempt in hand until a read has settled the invite.
func unknown(now time.Time, r ledger.Record) ledger.Settlement {
	s := settled(r, tasks.Unknown, tasks.ReasonNoClearAnswer, "")
	s.At, s.Charge = now.Add(firstLook), ledger.ChargeHeld
	return s
}

func settled(r ledger.Record, to tasks.State, reason tasks.Reason, invitationID string) ledger.Settlement {
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
