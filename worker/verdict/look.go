package verdict

import (
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

const (
	cleanReads = 2                // that must find nothing before an invite is queued again
	maxCrashes = 3                // claims whose worker died before an invite is parked
	secondLook = 15 * time.Second // between two reads that find nothing: the list may lag
	resendLook = 15 * time.Minute // the same with ignore_existing, where nothing else prevents a second mail

	// GoneSoon is how long an invite waits that has met an invitation which is being
	// revoked.
	GoneSoon = 30 * time.Second
)

// Shown is what a reading has found for the address of one invite.
type Shown struct {
	Calls       []ledger.Call      // those of the invite that got no clear answer
	Invitations []clerk.Invitation // all that Clerk shows for the address
	Owners      map[string]string  // our ids, by Clerk's
	Siblings    []Sibling          // other invites for the address that are in doubt
	Leaving     []string           // Clerk's ids of invitations whose revoke was asked for before this invite
}

// Sibling is another invite for the same address, with its calls.
type Sibling struct {
	ledger.Record
	Calls []ledger.Call
}

// find returns the invitation that is the answer to the invite, and how sure that
// is. Invitations that other invites own are left out.
func (s Shown) find(r ledger.Record, f ownership.Facts) (clerk.Invitation, ownership.Whose) {
	best, verdict := clerk.Invitation{}, ownership.Theirs
	for _, inv := range s.Invitations {
		if owner, taken := s.Owners[inv.ID]; taken && owner != r.Invite.ID {
			continue
		}
		if v := ownership.Of(r, s.Calls, inv, f); v > verdict {
			best, verdict = inv, v
		}
	}
	return best, verdict
}

// Recall decides, just before an invite is sent again or for the first time after
// an epoch, whether it must not be: its invitation is there, or it may be.
func Recall(r ledger.Record, s Shown, f ownership.Facts) (_ ledger.Settlement, stays bool) {
	switch inv, whose := s.find(r, f); whose {
	case ownership.Ours:
		return Settled(r, StateOf(inv.Status), tasks.ReasonAlreadyAtClerk, inv.ID), false
	case ownership.Unclear:
		return unclear(r), false
	case ownership.Theirs:
	}
	if until := OnTheWire(r, f); f.Now.Before(until) {
		w := Settled(r, tasks.Queued, tasks.ReasonMayArrive, "")
		w.At = until
		return w, false
	}
	return ledger.Settlement{}, true
}

// OnTheWire returns until when a call of an invite with ignore_existing that the
// ledger has forgotten may be under way, and be missing on the list: nothing but a
// reading prevents a second mail there. Any other is refused by Clerk, and looked up.
func OnTheWire(r ledger.Record, f ownership.Facts) time.Time {
	at := ownership.ForgottenAt(r, f)
	if at.IsZero() || !r.Invite.IgnoreExisting {
		return time.Time{}
	}
	return at.Add(f.Claim + secondLook)
}

// unclear parks an invite for a person: what Clerk shows may be its invitation.
func unclear(r ledger.Record) ledger.Settlement {
	reason := tasks.ReasonOwnerUnclear
	if r.Invite.IgnoreExisting {
		reason = tasks.ReasonMayHaveBeenSent
	}
	return Settled(r, tasks.Parked, reason, "")
}

// Look decides about an unknown invite.
func Look(r ledger.Record, s Shown, f ownership.Facts, p Policy) ledger.Settlement {
	inv, whose := s.find(r, f)
	if whose == ownership.Ours {
		return Settled(r, StateOf(inv.Status), tasks.ReasonAlreadyAtClerk, inv.ID)
	}
	refused := r.Reason == tasks.ReasonInvitationExists
	if refused && whose == ownership.Theirs {
		if s.goneSoon(f) {
			w := Settled(r, tasks.Queued, tasks.ReasonWaitsForRevoke, "")
			w.At = f.Now.Add(GoneSoon)
			return w
		}
		if slices.ContainsFunc(s.Invitations, IsPending) {
			return Settled(r, tasks.Rejected, tasks.ReasonAlreadyInvited, "")
		}
		if s.hasGone(r, f) {
			return Settled(r, tasks.Queued, tasks.ReasonWaitsForRevoke, "")
		}
	}
	// With ignore_existing nothing but this reading prevents a second mail.
	noFence := r.Invite.IgnoreExisting && r.Reason != tasks.ReasonChecking
	marked := noFence && allMarked(r, s.Calls, f)
	if marked && !f.Now.After(LastBound(s.Calls)) {
		// The mark will tell for certain, once nothing can arrive any more.
		w := Settled(r, tasks.Unknown, r.Reason, "")
		w.At = LastBound(s.Calls).Add(secondLook)
		return w
	}
	if until := OnTheWire(r, f); r.Reason == tasks.ReasonChecking && f.Now.Before(until) {
		w := Settled(r, tasks.Unknown, r.Reason, "")
		w.At = until
		return w
	}
	if r.Absent+1 < cleanReads {
		w := Settled(r, tasks.Unknown, r.Reason, "")
		w.At, w.Absent = f.Now.Add(secondLook), r.Absent+1
		if noFence && !marked {
			w.At = f.Now.Add(resendLook)
		}
		return w
	}
	switch {
	case whose == ownership.Unclear:
		return unclear(r)
	case refused: // Clerk says so, and shows nothing of ours.
		return Settled(r, tasks.Rejected, tasks.ReasonAlreadyInvited, "")
	case r.Reason == tasks.ReasonExistingUser:
		return Settled(r, tasks.Rejected, tasks.ReasonExistingUser, "")
	}
	return notThere(r, noFence && !marked, f.Now, p)
}

// notThere decides about an invite whose invitation two readings have not found.
func notThere(r ledger.Record, noFence bool, now time.Time, p Policy) ledger.Settlement {
	s := Settled(r, tasks.Queued, tasks.ReasonNotAtClerk, "")
	s.Charge = ledger.ChargeRelease
	switch {
	case r.Reason == tasks.ReasonChecking: // It goes on as if nothing had happened.
	case noFence && !p.ResendUnknown:
		s.To, s.Reason = tasks.Parked, tasks.ReasonMayHaveBeenSent
	case r.Crashes >= maxCrashes:
		s.To, s.Reason = tasks.Parked, tasks.ReasonWorkersDied
	case r.Reason != tasks.ReasonWorkerDied && r.Attempts+1 >= p.MaxAttempts: // A crash costs no attempt.
		s.To, s.Reason = tasks.Failed, tasks.ReasonAttempts
	default:
		s.At = now.Add(backoff(r.Attempts) / 4)
	}
	return s
}

// goneSoon reports whether what is in the way is about to be revoked: because that
// was asked for, or because a lost call of another invite has made it late.
func (s Shown) goneSoon(f ownership.Facts) bool {
	return slices.ContainsFunc(s.Invitations, func(inv clerk.Invitation) bool {
		if IsPending(inv) && slices.Contains(s.Leaving, inv.ID) {
			return true
		}
		if _, taken := s.Owners[inv.ID]; taken || !IsPending(inv) {
			return false
		}
		return slices.ContainsFunc(s.Siblings, func(o Sibling) bool {
			return ownership.Of(o.Record, o.Calls, inv, f) == ownership.Ours
		})
	})
}

// hasGone reports whether an invitation for the address has ended since the call
// that was refused because of one: the next call may succeed.
func (s Shown) hasGone(r ledger.Record, f ownership.Facts) bool {
	return slices.ContainsFunc(s.Invitations, func(inv clerk.Invitation) bool {
		return !IsPending(inv) && f.Clock.MayFollow(inv.UpdatedAt, r.SentAt)
	})
}

func allMarked(r ledger.Record, calls []ledger.Call, f ownership.Facts) bool {
	return len(calls) > 0 && !slices.ContainsFunc(calls, func(c ledger.Call) bool { return !ownership.Marked(r.Invite, c, f) })
}

// LastBound is when the last of the calls cannot be carried out any more.
func LastBound(calls []ledger.Call) time.Time {
	var last time.Time
	for _, c := range calls {
		if c.Bound.After(last) {
			last = c.Bound
		}
	}
	return last
}

// IsPending reports whether an invitation is open.
func IsPending(inv clerk.Invitation) bool { return inv.Status == clerk.Pending }

// StateOf gives Clerk's status its name in the ledger. What a later version of
// Clerk may call it, the invitation exists.
func StateOf(s clerk.Status) tasks.State {
	switch s {
	case clerk.Accepted:
		return tasks.Accepted
	case clerk.Revoked:
		return tasks.Revoked
	case clerk.Expired:
		return tasks.Expired
	default:
		return tasks.Pending
	}
}
