package ledger

import "github.com/inviteq/inviteq/tasks"

// oldReasons are the words of earlier versions for which another stands today. A
// word that meant two things is told apart by the state that it explains.
var oldReasons = map[string]tasks.Reason{
	"busy":                         tasks.ReasonClerkBusy,
	"by_hand":                      tasks.ReasonQueuedByHand,
	"claim_expired":                tasks.ReasonWorkerDied,
	"duplicate":                    tasks.ReasonInvitationExists,
	"missing_at_clerk":             tasks.ReasonQueuedMissing,
	"extra":                        tasks.ReasonReplaced,
	"found":                        tasks.ReasonAlreadyAtClerk,
	"no_answer":                    tasks.ReasonNoClearAnswer,
	"not_found":                    tasks.ReasonNotAtClerk,
	"revoked":                      tasks.ReasonRevokeRequested,
	"revoked:not_found":            tasks.ReasonGoneAtClerk,
	"unconfirmed":                  tasks.ReasonChecking,
	"unknown":                      tasks.ReasonNoClearAnswer,
	"unknown_with_ignore_existing": tasks.ReasonMayHaveBeenSent,

	// The members of a refused bulk call that were not to blame for it.
	"queued:blocked":   tasks.ReasonBulkRefused,
	"queued:duplicate": tasks.ReasonBulkRefused,
	"queued:exists":    tasks.ReasonBulkRefused,
	"queued:invalid":   tasks.ReasonBulkRefused,
}

// ReadReason is today's word for one that stands in the ledger with a state, or
// that a person gives. What a later version has written stays as it is.
func ReadReason(s tasks.State, word string) tasks.Reason {
	if r, ok := oldReasons[s.String()+":"+word]; ok {
		return r
	}
	if r, ok := oldReasons[word]; ok {
		return r
	}
	return tasks.Reason(word)
}
