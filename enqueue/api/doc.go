// Package api is inviteq over HTTP, for every language: Clerk's own four
// operations on invitations under /v1, in the shape of Clerk's own answers and
// errors. A service that uses one of Clerk's SDKs changes one base URL, and its
// invitations are durable, batched and inside the limits. openapi.yaml, which is
// served at /openapi.yaml, describes every path and is what the tests hold each
// exchange against.
//
// # What is different from Clerk
//
//   - A create is accepted, not sent: the answer has our id (inq_…) and status
//     pending. With ?wait=N (seconds, at most 30) it has Clerk's id if a worker
//     has delivered it by then.
//   - A bulk create takes up to 1,000 members, and names bad ones by their
//     index, up to a hundred problems. It is an import: its id comes back in the header Inviteq-Import-Id.
//   - Idempotency-Key is honoured.
//   - url, the ticket link, is never there: inviteq does not keep it.
//   - Every Invitation has one member more, inviteq, which SDKs ignore: our id,
//     the state in our words, its reason, and when it will be sent.
//   - query finds a whole address or id, not a part of one.
//   - Revoking takes a moment: the answer waits up to 3 s for a worker. If Clerk
//     has not confirmed by then, the status is pending and inviteq.revoking true.
//
// # States
//
//	queued, sending, unknown, pending, parked   pending
//	accepted, expired, revoked                  the same
//	canceled, rejected, failed                  revoked
//
// So the default list, which omits revoked ones as Clerk's does, omits whoever
// was never invited. When the answer to a create knows already that Clerk has
// refused it (a key used again, or ?wait=), it is the error that Clerk would
// have answered with; in bulk it is a member that is revoked.
//
// # Events
//
// GET /v1/events reads the stream of every change from a position on, as inviteq events
// does: next of an answer is after of the next request. What a client has missed is
// never left out without a word: a position that the stream does not hold is a 410. For
// a token of scope own an answer reads 5,000 events of others at most, and says by more
// that it goes on.
//
// # Idempotency
//
// The id of an invite is made of the token and the Idempotency-Key (and in bulk of
// its index), and the ledger mails nobody twice for one id, for as long as it
// remembers ids (a year by default). For a token of scope instance the key of a
// single create is the id, as --id is on the command line. Ids rest on the token and
// not on Redis: after a wipe the same token and key mean the same invite. A key does
// not begin with inq_. Beside that, the request is tied to
// its key for a week: the same key with another request is a 409. The answer is
// the invitation as it stands now, with the header Idempotent-Replayed: true.
//
// # Security
//
// Every path under /v1 demands a bearer token (package tasks/access); tokens are kept
// as hashes, and one that is revoked is refused at the next request.
//
// To a token of scope own nothing exists but what tokens of its name have asked for;
// the rest, invitations at Clerk included, is a 404. Such a token chooses no ids that
// others could have: the names of its imports are its own, and global_ids is refused.
// What it still learns is what Clerk would tell it: that an address has an account, or
// an open invitation; from a preflight that an earlier invite for it waits; and from
// ETAs and the positions of events that others are busy. A token
// of scope instance sees everything of the instance. A viewer may only GET, and sees
// addresses masked and no metadata; an operator sees in the open what tokens of its
// name have given; an admin sees everything in its scope. Each act, and each answer
// that shows addresses of others, stands in the audit log.
//
// The rate limit is per token and per process; whoever tries many wrong tokens
// from one address is told to wait, while the right one goes on working there.
// There is no CORS: the API is for servers.
//
// # Load
//
// A request's body is read before the request has a place, so that slow clients keep
// nobody waiting. Then it waits for one of the places, 5 s at most; the tokens take
// turns, and none has more than a part of the places. Probes and the document need
// none. What is being read is bounded as well: bulk bodies by their number, lists by
// what they take on the disk.
//
// API is an http.Handler. `inviteq api` serves it with deadlines and limits for
// connections; a service that serves it by itself needs such a server, too. Its
// deadline for reading must end with the body, and that for writing must leave an
// answer 55 s, because requests wait for a worker.
package api
