package ledger

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
)

var spelt = regexp.MustCompile(`\b[KRW]\.\w+`)

// spell writes every name into a script, where it is a constant then, and a
// producer does not wait for the making of a table: K.name is a key in full,
// R.word a reason, W.word what a turn waits for. A word that Go does not know is
// an error. The table of keys comes too if the script also chooses keys as it
// runs.
func (k keys) spell(src string) (string, error) {
	var err error
	src = spelt.ReplaceAllStringFunc(src, func(name string) string {
		word, known := name[len("K."):], false
		switch name[0] {
		case 'K':
			word = k.of(word)
			known = !strings.HasPrefix(word, k.prefix+misspelt)
		case 'R':
			known = slices.Contains(tasks.Reasons(), tasks.Reason(word))
		case 'W':
			known = slices.Contains(waits, Wait(word))
		}
		if !known {
			err = fmt.Errorf("there is no %s", name)
		}
		return "'" + word + "'"
	})
	if strings.Contains(src, "K[") {
		src = k.prelude() + src
	}
	return src, err
}

// oldReasons are the words of earlier versions for which another stands today. A
// word that meant two things is told apart by the state that it explains.
var oldReasons = map[string]tasks.Reason{
	"busy":                         tasks.ReasonClerkBusy,
	"by_hand":                      tasks.ReasonQueuedByHand,
	"claim_expired":                tasks.ReasonWorkerDied,
	"duplicate":                    tasks.ReasonInvitationExists,
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
