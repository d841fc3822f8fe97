package ledger

import "time"

// ReasonDuplicate stands in an unknown invite whose call was refused because an
// invitation is in the way: a read has to tell whether it is ours.
const ReasonDuplicate = "duplicate"

const (
	// ClockSlack is how far Clerk's clock may be behind ours.
	ClockSlack = 30 * time.Second
	// MaxSkew is how far a clock that NTP keeps may be off.
	MaxSkew = time.Second
)

// MayBe reports whether an invitation that was created at the given time, for the
// same address, may be the answer to an unknown invite. What is in the way of a
// duplicate may stem from any call since the invite was admitted, even one that the
// ledger has forgotten because Redis lost its last second; but somebody else may
// have made it just before, so there the clocks get no slack but MaxSkew.
func (r Record) MayBe(created time.Time) bool { return !created.Before(r.AnswerSince()) }

// AnswerSince is the earliest time at which the answer can have been created.
func (r Record) AnswerSince() time.Time {
	if r.Reason == ReasonDuplicate {
		return r.CreatedAt.Add(-MaxSkew)
	}
	return r.SentAt.Add(-ClockSlack)
}
