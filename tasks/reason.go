package tasks

import (
	"fmt"
	"strings"
)

// Reason says why an invite is in its state: a stable word, or "" where the
// state says it all. The words are those of this file and no others, but a
// ledger that a later version has written may hold more; those are passed on
// as they are, and Entry knows nothing of them.
type Reason string

// Why an invite was refused, was given up, or waits for a person.
const (
	ReasonAlreadyInvited  Reason = "already_invited"
	ReasonExistingUser    Reason = "existing_user"
	ReasonBlocked         Reason = "blocked"
	ReasonInvalid         Reason = "invalid" // or InvalidField
	ReasonAttempts        Reason = "attempts_exhausted"
	ReasonTooOld          Reason = "too_old"
	ReasonMalformed       Reason = "malformed_request"
	ReasonWorkersDied     Reason = "worker_died_three_times"
	ReasonMayHaveBeenSent Reason = "may_have_been_sent"
	ReasonOwnerUnclear    Reason = "owner_unclear"
)

// Why an invitation has ended, or how the ledger came to know of it.
const (
	ReasonRevokeRequested Reason = "revoke_requested"
	ReasonTooLateToRevoke Reason = "too_late_to_revoke"
	ReasonGoneAtClerk     Reason = "gone_at_clerk"
	ReasonArrivedLate     Reason = "arrived_late"
	ReasonReplaced        Reason = "replaced_by_newer"
	ReasonAdopted         Reason = "adopted"
	ReasonSeenAtClerk     Reason = "seen_at_clerk"
	ReasonAlreadyAtClerk  Reason = "already_at_clerk"
)

// Why an invite waits. The gate causes are reasons, too: see GateCause.Reason.
const (
	ReasonNotSent        Reason = "not_sent"
	ReasonQuota                 = Reason(CauseQuota)
	ReasonOverload              = Reason(CauseOverload)
	ReasonUnauthorized          = Reason(CauseUnauthorized)
	ReasonEdgeBlocked           = Reason(CauseEdgeBlocked)
	ReasonRedirected            = Reason(CauseRedirected)
	ReasonClerkBusy      Reason = "clerk_busy"
	ReasonRefused        Reason = "refused"
	ReasonBulkRefused           = Reason(CauseBulkRefused)
	ReasonNotAtClerk     Reason = "not_at_clerk"
	ReasonWaitsForRevoke Reason = "waits_for_revoke"
	ReasonMayArrive      Reason = "forgotten_call_may_arrive"
	ReasonQueuedByHand   Reason = "queued_by_hand"
	ReasonQueuedMissing  Reason = "queued_as_missing" // by earlier versions only
)

// Why it is unknown what became of an invite. Existing users may be among them.
const (
	ReasonNoClearAnswer    Reason = "no_clear_answer"
	ReasonWorkerDied       Reason = "worker_died"
	ReasonChecking         Reason = "checking_earlier_call"
	ReasonInvitationExists Reason = "invitation_exists"
)

// reasons explains every reason, in the order in which people are shown them.
var reasons = vocabulary[Reason]{
	{ReasonAlreadyInvited, Entry{"The person already has a pending invitation, which inviteq did not make for this invite.", "Nothing. To mail the person again, invite them with ignore_existing."}},
	{ReasonExistingUser, Entry{"The person already has an account.", "Nothing: there is nobody to invite."}},
	{ReasonBlocked, Entry{"The Clerk instance does not allow the address: its block list or allow list forbids it.", "Change the list in Clerk's dashboard, then `inviteq retry ADDRESS`."}},
	{ReasonInvalid, Entry{"Clerk refuses something in the invite.", "Invite the person again, with other values."}},
	{ReasonAttempts, Entry{"Clerk answered \"not now\" until the attempts ran out.", "`inviteq retry --state failed` queues it again with no attempt counted."}},
	{ReasonTooOld, Entry{"Its deadline passed before Clerk took it.", inviteAgain}},
	{ReasonMalformed, Entry{"Clerk cannot read what this version of inviteq sends.", "Look for a newer version, then `inviteq release ID`."}},
	{ReasonWorkersDied, Entry{"Three workers died while they were sending it.", "Look at their logs and at Clerk's dashboard, then `inviteq release ID`."}},
	{ReasonMayHaveBeenSent, Entry{"It may have been sent, and with ignore_existing a second try would mail the person again.", "Look the person up in Clerk's dashboard; `inviteq release ID` sends it again."}},
	{ReasonOwnerUnclear, Entry{"Clerk has an invitation for the address that may be its own, but the content differs or the ledger may have forgotten whose it is.", "Look the person up in Clerk's dashboard; `inviteq release ID` invites them if they are not invited yet."}},

	{ReasonRevokeRequested, Entry{"A person or a service requested the revoke.", nothing}},
	{ReasonTooLateToRevoke, Entry{"A revoke was requested, but the invitation had already been accepted or revoked, or had expired.", nothing}},
	{ReasonGoneAtClerk, Entry{"Clerk does not have the invitation any more: it was deleted there, perhaps because the person asked to be forgotten.", "Nothing. It is not sent again by itself; if it shall be, `inviteq retry ID`."}},
	{ReasonArrivedLate, Entry{"It had been canceled when a lost call arrived at Clerk after all; that invitation was revoked.", nothing}},
	{ReasonReplaced, Entry{"The person had a newer invitation, so `inviteq reconcile --revoke-extra` revoked this one.", nothing}},
	{ReasonAdopted, Entry{"Another program made the invitation; `inviteq reconcile --adopt` recorded it.", nothing}},
	{ReasonSeenAtClerk, Entry{"The comparison with Clerk's list showed it.", nothing}},
	{ReasonAlreadyAtClerk, Entry{"An earlier call got no clear answer, but Clerk has the invitation: inviteq took it over.", nothing}},

	{ReasonNotSent, Entry{"The call was not made: Clerk could not be reached, or there was no time left for it.", keepsTurn}},
	{ReasonQuota, Entry{"Clerk's limit was reached earlier than inviteq expected.", keepsTurn}},
	{ReasonOverload, Entry{"Clerk is overloaded or down.", keepsTurn}},
	{ReasonUnauthorized, Entry{"Clerk refuses the workers' secret key.", "Check the workers' CLERK_SECRET_KEY. It keeps its place."}},
	{ReasonEdgeBlocked, Entry{"The network edge in front of Clerk turns the workers away.", "Check CLERK_API_URL and the network between the workers and Clerk. It keeps its place."}},
	{ReasonRedirected, Entry{"Clerk's address redirects to another one.", "Check CLERK_API_URL. It keeps its place."}},
	{ReasonClerkBusy, Entry{"Clerk was busy with this address.", "Nothing. It is tried again soon; each try counts as an attempt."}},
	{ReasonRefused, Entry{"Clerk refused the call and did not give a reason that inviteq knows.", "Nothing. It is tried again later; each try counts as an attempt."}},
	{ReasonBulkRefused, Entry{"Clerk refused a whole bulk call, because of another member or for being a bulk call.", keepsTurn}},
	{ReasonNotAtClerk, Entry{"An earlier call got no clear answer, and Clerk does not have the invitation, so it is sent again.", nothing}},
	{ReasonWaitsForRevoke, Entry{"An earlier invitation for the address was in the way; this one goes when that is revoked.", nothing}},
	{ReasonMayArrive, Entry{"Redis has forgotten its last words, and a call of this invite may be among them. With ignore_existing a second call would mail the person again, so it waits for less than a minute and is looked up.", nothing}},
	{ReasonQueuedByHand, Entry{"A person queued it again with `inviteq retry` or `inviteq release`.", nothing}},
	{ReasonQueuedMissing, Entry{"An earlier version of inviteq queued it again, because a comparison with Clerk's list had not found its invitation.", nothing}},

	{ReasonNoClearAnswer, Entry{"The call got no answer, or none that says what became of the invite.", looksItUp}},
	{ReasonWorkerDied, Entry{"The worker that was sending it did not come back.", looksItUp}},
	{ReasonChecking, Entry{"An earlier call was refused or got no answer, and may have taken effect all the same.", looksItUp}},
	{ReasonInvitationExists, Entry{"Clerk knows a pending invitation for the address, which may be this invite's own.", looksItUp}},
}

// invalidFields are the fields that Clerk may refuse by name.
var invalidFields = []string{
	"email_address", "public_metadata", "redirect_url", "expires_in_days", "template_slug", "notify", "ignore_existing",
}

// InvalidField is the reason that Clerk refuses one field of an invite,
// ReasonInvalid and the field's name, and ReasonInvalid alone for any other.
func InvalidField(name string) Reason {
	for _, field := range invalidFields {
		if field == name {
			return Reason(string(ReasonInvalid) + "_" + field)
		}
	}
	return ReasonInvalid
}

// Reasons lists every reason, InvalidField's included.
func Reasons() []Reason {
	all := reasons.words()
	for _, field := range invalidFields {
		all = append(all, InvalidField(field))
	}
	return all
}

// Entry explains the reason. It is empty for "" and for a word that this version
// does not know.
func (r Reason) Entry() Entry {
	if field, ok := strings.CutPrefix(string(r), string(ReasonInvalid)+"_"); ok && InvalidField(field) == r {
		return Entry{"Clerk refuses its " + field + ".", ReasonInvalid.Entry().Do}
	}
	return reasons.entry(r)
}

// ParseReason understands the words of Reasons.
func ParseReason(word string) (Reason, error) {
	if r := Reason(word); r.Entry() != (Entry{}) {
		return r, nil
	}
	return "", fmt.Errorf("reason must be one of %s", reasons)
}
