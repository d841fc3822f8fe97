// Package clerk is what inviteq knows of Clerk: the calls, what their errors
// mean, and when Clerk is too ill to be called. It imports nothing else of ours.
//
// # One call, one request
//
// A [Client] wraps Clerk's official Go SDK. Each method makes exactly one request
// and never repeats it, because Clerk's POSTs are not idempotent and have no
// idempotency key. The queue alone retries, because it knows what became of the
// call before. net/http's own resending is ruled out as well (see conn.go). Redirects are not followed,
// bodies are read up to a bound, and the key is in no error and no log.
//
// # What is known afterwards
//
// Every error is an [*Error] with a [Kind], and the Kind says what is known and
// what to do next. The line that matters runs between three cases:
//
//   - certainly no effect: KindNotSent (no byte left: the connections count them),
//     and every 4xx: Clerk, or a gateway before it, refused;
//   - KindUnknown: a call that mails left this machine, and nothing proves that it
//     was refused. It is the zero value, so that code which forgets to ask is
//     cautious;
//   - KindUnavailable: the same for calls that may be repeated, which are the
//     reads, revoke and delete.
//
// One function, classify, decides this from status, headers and body, and one
// table test runs it over every status there is.
//
// That a refused bulk call created nothing at all is inferred, not documented. If
// it is ever wrong, the invitations that it did create answer KindDuplicate to the
// next attempt, unless that asks to ignore existing ones.
//
// # When Clerk is down
//
// The client has a [Breaker], which refuses calls while Clerk is down and asks
// again with a read, less and less often. [Client.Ready] says when it is worth
// asking.
//
// # Reading the whole list
//
// A [Scan] reads all invitations, or the recent ones, though Clerk's list moves
// while it is read, and says honestly whether it can vouch for what is absent.
//
// # Privacy
//
// Invitations, parameters and keys mask themselves in fmt, JSON and loggers. An
// Error carries no message, URL or body of Clerk's, because those quote
// addresses; the addresses that Clerk names as culprits come out of
// [Error.Culprits] only.
package clerk
