// Package enqueue is what a service imports to have people invited through
// Clerk. It writes to Redis and nothing else: no Clerk key, no limits, no
// waiting. A worker (inviteq worker) delivers.
//
//	c, err := enqueue.New(enqueue.Config{}) // redis://127.0.0.1:6379/0
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//
//	ada, err := tasks.ParseEmail("ada@example.com")
//	if err != nil {
//		return err
//	}
//	invite, err := c.Invite(ctx, tasks.Invite{EmailAddress: ada, ID: "signup-4711"})
//
// When Invite returns without an error, the invite is accepted: it will end in
// exactly one outcome, whatever crashes. Status tells what became of it, Revoke
// takes it back, BulkInvite takes a list of any length.
//
// # Ids
//
// The id of an invite is its idempotency key. Give each invite the id of the
// thing in your own system that it stands for, and you may repeat every call
// as often as you like: the same id with the same content is the same invite,
// and nobody is mailed twice. The same id with other content is a
// *ConflictError. Without an id Invite makes one up; to repeat such a call
// after an error, use the id of the Result that came with the error.
//
// What makes up the content is what Clerk is told: the seven fields of
// tasks.Invite that are Clerk's own. When to send (NotBefore, Deadline) and in
// which lane is settled by the first call.
//
// # Lanes
//
// The zero lane is tasks.Interactive, for somebody who has just clicked
// "invite". Lists belong into tasks.Import, where BulkInvite puts them: an
// interactive invite never stands behind them.
//
// # The record and the task
//
// Every call writes the record first, in inviteq's ledger, which is the truth,
// and then an asynq task with its id, which is a hint for a worker and for
// people who look at asynqmon. An address stands in the record only.
package enqueue
