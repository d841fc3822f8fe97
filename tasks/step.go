package tasks

import (
	"fmt"
	"slices"
	"strings"
)

// Step is a change of an invite's state that the protocol permits.
type Step struct {
	From, To State
	When     string   // What has happened: a sentence.
	Reasons  []Reason // With which it is taken. "" stands for none.
}

// The reasons that several steps share.
var (
	noReason  = []Reason{""}
	atClerk   = []Reason{ReasonAlreadyAtClerk}
	seen      = []Reason{ReasonSeenAtClerk}
	requested = []Reason{ReasonRevokeRequested}
	byHand    = []Reason{ReasonQueuedByHand}
	checking  = []Reason{ReasonChecking}
	adopted   = []Reason{ReasonAdopted}
	tooLate   = []Reason{ReasonSeenAtClerk, ReasonTooLateToRevoke}
	unclear   = []Reason{ReasonOwnerUnclear, ReasonMayHaveBeenSent, ReasonMalformed}
	notNow    = []Reason{
		ReasonNotSent, ReasonQuota, ReasonOverload, ReasonUnauthorized, ReasonEdgeBlocked, ReasonRedirected,
		ReasonClerkBusy, ReasonRefused, ReasonBulkRefused,
	}
	never = func() []Reason {
		all := []Reason{ReasonExistingUser, ReasonBlocked, ReasonInvalid}
		for _, field := range invalidFields {
			all = append(all, InvalidField(field))
		}
		return all
	}()
)

// steps is the one table of what can happen to an invite, from its admission as
// queued. Simulation, soak and all tests over a Redis hold their events against
// it: a step that is not here fails them.
//
// What it does not permit is the protocol in short. Nothing goes back to queued
// that may have been sent, unless a reading has settled it: so sending and unknown
// return only by an answer, or a reading, that says so. Nothing that Clerk has is
// sent again: pending, accepted and expired never return. An outcome is taken back
// by a person only, who queues it again or no longer wants it, or by Clerk, who
// shows that it was another one.
var steps = []Step{
	{Queued, Sending, "A turn has taken a token and claimed it.", noReason},
	{Queued, Unknown, "It is in doubt and was revoked: a reading comes before it is said to be canceled.", checking},
	{Queued, Canceled, "It was revoked, and none of its calls can have taken effect.", requested},
	{Queued, Failed, "Its deadline passed before its turn came.", []Reason{ReasonTooOld}},
	{Queued, Pending, "An invitation of another program, or one that the ledger had forgotten, was taken into the ledger.", adopted},
	{Queued, Accepted, "The same, and it had been accepted.", adopted},
	{Queued, Expired, "The same, and it had run out.", adopted},
	{Queued, Revoked, "The same, and it had been revoked.", adopted},

	{Sending, Pending, "Clerk has made the invitation; or the reading just before the call has found that of an earlier one.", []Reason{"", ReasonAlreadyAtClerk}},
	{Sending, Accepted, "That reading has found it, and it was accepted.", atClerk},
	{Sending, Expired, "That reading has found it, and it had run out.", atClerk},
	{Sending, Revoked, "That reading has found it, and it was revoked.", atClerk},
	{Sending, Parked, "That reading has found one that may be its own; or Clerk cannot read the call.", unclear},
	{
		Sending, Queued, "The call was not made, or Clerk has refused it for now or because of another member.",
		append([]Reason{ReasonMayArrive}, notNow...),
	},
	{
		Sending, Unknown, "The answer does not tell, the worker has died, or the refusal may be due to an invitation of its own.",
		[]Reason{ReasonNoClearAnswer, ReasonWorkerDied, ReasonChecking, ReasonInvitationExists, ReasonExistingUser},
	},
	{Sending, Rejected, "Clerk will never take it.", never},
	{Sending, Failed, "Clerk has answered \"not now\" once too often.", []Reason{ReasonAttempts}},
	{Sending, Canceled, "It was revoked meanwhile, and its call has had no effect.", requested},

	{Unknown, Pending, "A reading has found it; or the answer to its call came after its claim had run out.", []Reason{"", ReasonAlreadyAtClerk}},
	{Unknown, Accepted, "A reading has found it, and it was accepted.", atClerk},
	{Unknown, Expired, "A reading has found it, and it had run out.", atClerk},
	{Unknown, Revoked, "A reading has found it, and it was revoked.", atClerk},
	{
		Unknown, Queued, "Readings have not found it, or the invitation in its way is being revoked; or a late answer says that it was not made.",
		append([]Reason{ReasonNotAtClerk, ReasonWaitsForRevoke}, notNow...),
	},
	{
		Unknown, Parked, "A reading cannot tell whose it is, or nothing but a person prevents a second mail; or its workers keep dying.",
		append([]Reason{ReasonWorkersDied}, unclear...),
	},
	{
		Unknown, Rejected, "The invitation in its way, or the account, is not due to a call of its own; or a late answer refuses it for good.",
		append([]Reason{ReasonAlreadyInvited}, never...),
	},
	{Unknown, Failed, "Readings have not found it, and its attempts are used up.", []Reason{ReasonAttempts}},
	{Unknown, Canceled, "It was revoked meanwhile, and readings have not found it.", requested},

	{Pending, Accepted, "The person has signed up.", tooLate},
	{Pending, Expired, "It has run out.", tooLate},
	{
		Pending, Revoked, "It was revoked, here or at Clerk, or deleted there.",
		[]Reason{ReasonRevokeRequested, ReasonSeenAtClerk, ReasonTooLateToRevoke, ReasonGoneAtClerk, ReasonReplaced},
	},

	{Expired, Accepted, "Clerk has accepted it all the same.", seen},
	{Expired, Revoked, "It was revoked after it had run out.", seen},
	{Revoked, Accepted, "The person was quicker than the revoke.", seen},
	{Revoked, Queued, "Its invitation was deleted at Clerk, and a person wants it sent again.", byHand},

	{Rejected, Queued, "A person has fixed the cause.", byHand},

	{Failed, Queued, "A person wants it tried again.", byHand},
	{Failed, Canceled, "A person does not want it any more.", requested},
	{Failed, Unknown, "The same, and it is in doubt: a reading comes first.", checking},
	{Failed, Pending, "A lost call of its own has arrived after all.", atClerk},
	{Failed, Accepted, "The same, and it was accepted.", atClerk},
	{Failed, Expired, "The same, and it had run out.", atClerk},
	{Failed, Revoked, "The same, and it was revoked.", atClerk},

	{Parked, Queued, "A person has decided that it is sent.", byHand},
	{Parked, Canceled, "A person has decided that it is not sent.", requested},
	{Parked, Unknown, "The same, and it is in doubt: a reading comes first.", checking},
	{Parked, Pending, "A lost call of its own has arrived after all.", atClerk},
	{Parked, Accepted, "The same, and it was accepted.", atClerk},
	{Parked, Expired, "The same, and it had run out.", atClerk},
	{Parked, Revoked, "The same, and it was revoked.", atClerk},

	{Canceled, Revoked, "A lost call has arrived after all, and its invitation was revoked.", []Reason{ReasonArrivedLate}},
}

// Steps lists every change of state that is permitted.
func Steps() []Step { return slices.Clone(steps) }

// CheckStep says what is wrong with a change of state. A reason that this version
// does not know is none of the table's.
func CheckStep(from, to State, why Reason) error {
	for _, s := range steps {
		if s.From != from || s.To != to {
			continue
		}
		if !slices.Contains(s.Reasons, why) {
			return fmt.Errorf("%s → %s is taken with the reason %s, not with %q", from, to, words(s.Reasons), why)
		}
		return nil
	}
	return fmt.Errorf("nothing leads from %s to %s (reason %q)", from, to, why)
}

func words(reasons []Reason) string {
	all := make([]string, len(reasons))
	for i, r := range reasons {
		all[i] = fmt.Sprintf("%q", string(r))
	}
	return strings.Join(all, " or ")
}

// History follows events, the oldest first, and says where an invite has gone a way
// that no step leads. The zero value is ready to use.
type History struct {
	Partial bool // The oldest events are missing, so that an invite may begin anywhere.

	last map[string]Event
}

// Add takes the next event. An invite begins as queued, and goes on from where it
// was; one that begins again had been forgotten, and was admitted anew.
func (h *History) Add(e Event) error {
	if e.InviteID == "" {
		return nil // about an import
	}
	from, err := ParseState(e.From)
	if err != nil {
		return fmt.Errorf("invite %s: from %q: %w", e.InviteID, e.From, err)
	}
	to, err := ParseState(e.To)
	if err != nil {
		return fmt.Errorf("invite %s: to %q: %w", e.InviteID, e.To, err)
	}
	if h.last == nil {
		h.last = map[string]Event{}
	}
	before, known := h.last[e.InviteID]
	h.last[e.InviteID] = e
	begins := from == Queued && e.Version == 1 && (!known || forgettable(before.To))
	goesOn := known && before.To == e.From && before.Version < e.Version
	if !begins && !goesOn && (known || !h.Partial) {
		return fmt.Errorf("invite %s: version %d, %s → %s, follows version %d, %q → %q", e.InviteID, e.Version, from, to, before.Version, before.From, before.To)
	}
	if err := CheckStep(from, to, e.Reason); err != nil {
		return fmt.Errorf("invite %s: version %d: %w", e.InviteID, e.Version, err)
	}
	return nil
}

// forgettable reports whether the ledger forgets an invite in this state after a
// while.
func forgettable(state string) bool {
	s, err := ParseState(state)
	return err == nil && !s.Open() && s != Pending && s != Failed && s != Parked
}
