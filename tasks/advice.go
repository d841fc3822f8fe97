package tasks

import "cmp"

// Advice is what a person should do about an invite in a state, for a reason: what the
// reason advises, and what the state does where there is none.
func Advice(s State, why Reason) string { return cmp.Or(why.Entry().Do, s.Entry().Do) }
