package verdict

import (
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// MaxCrashes is how many claims of an invite may end with their worker before it is
// parked for a person.
const MaxCrashes = 3

const (
	cleanReads = 2                // that must find nothing before an invite is queued again
	secondLook = 15 * time.Second // between two reads that find nothing: the list may lag
	resendLook = 15 * time.Minute // the same with ignore_existing, where nothing else prevents a second mail
)

// Look decides about one unknown invite, given the invitations that Clerk shows
// for its address.
func (p Policy) Look(now time.Time, r ledger.Record, shown []clerk.Invitation, owners map[string]string) ledger.Settlement {
	if s, ok := Find(r, shown, owners); ok {
		return s
	}
	if r.Reason == tasks.ReasonInvitationExists && slices.ContainsFunc(shown, IsPending) {
		return Settled(r, tasks.Rejected, tasks.ReasonAlreadyInvited, "") // Somebody else's.
	}
	noFence := r.Invite.IgnoreExisting && r.Reason != tasks.ReasonChecking
	if r.Absent+1 < cleanReads {
		s := Settled(r, tasks.Unknown, r.Reason, "")
		s.At, s.Absent = now.Add(secondLook), r.Absent+1
		if noFence {
			s.At = now.Add(resendLook)
		}
		return s
	}
	switch { // Clerk says so, and shows nothing of ours.
	case r.Reason == tasks.ReasonInvitationExists:
		return Settled(r, tasks.Rejected, tasks.ReasonAlreadyInvited, "")
	case r.Reason == tasks.ReasonExistingUser:
		return Settled(r, tasks.Rejected, tasks.ReasonExistingUser, "")
	}
	s := Settled(r, tasks.Queued, tasks.ReasonNotAtClerk, "")
	s.Charge = ledger.ChargeRelease
	switch {
	case r.Reason == tasks.ReasonChecking: // It goes on as if nothing had happened.
	case noFence && !p.ResendUnknown:
		s.To, s.Reason = tasks.Parked, tasks.ReasonMayHaveBeenSent
	case r.Crashes >= MaxCrashes:
		s.To, s.Reason = tasks.Parked, tasks.ReasonWorkersDied
	case r.Reason != tasks.ReasonWorkerDied && r.Attempts+1 >= p.MaxAttempts: // A crash costs no attempt.
		s.To, s.Reason = tasks.Failed, tasks.ReasonAttempts
	default:
		s.At = now.Add(backoff(r.Attempts) / 4)
	}
	return s
}

// Find settles an invite whose invitation is among those that Clerk shows for its
// address and that no other invite owns.
func Find(r ledger.Record, shown []clerk.Invitation, owners map[string]string) (ledger.Settlement, bool) {
	for _, inv := range shown {
		owner, taken := owners[inv.ID]
		if r.MayBe(inv.CreatedAt) && (!taken || owner == r.Invite.ID) {
			return Settled(r, StateOf(inv.Status), tasks.ReasonAlreadyAtClerk, inv.ID), true
		}
	}
	return ledger.Settlement{}, false
}

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

// IsPending reports whether an invitation is open.
func IsPending(inv clerk.Invitation) bool { return inv.Status == clerk.Pending }
