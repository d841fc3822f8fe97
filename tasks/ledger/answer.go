package ledger

import (
	"time"

	"github.com/inviteq/inviteq/tasks"
)

const (
	// ClockSlack is how far Clerk's clock may be behind ours.
	ClockSlack = 30 * time.Second
	// MaxSkew is how far a clock that NTP keeps may be off.
	MaxSkew = time.Second
)

// MayBe reports whether an invitation that was created at the given time, for the
// same address, may be the answer to this invite.
func (r Record) MayBe(created time.Time) bool { return !created.Before(r.AnswerSince()) }

// AnswerSince is the earliest time at which the answer can have been created.
func (r Record) AnswerSince() time.Time {
	if r.AnyCall() {
		return r.CreatedAt.Add(-MaxSkew)
	}
	return r.SentAt.Add(-ClockSlack)
}

// AnyCall reports whether the answer may stem from any call since the invite was
// admitted, even one that the ledger has forgotten because Redis lost its last
// second. Somebody else may have made an invitation just before, so there the
// clocks get no slack but MaxSkew.
func (r Record) AnyCall() bool {
	return r.Doubt || r.State == tasks.Unknown && (r.Reason == tasks.ReasonInvitationExists || r.Reason == tasks.ReasonExistingUser)
}
