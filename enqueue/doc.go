// Package enqueue is what a service imports to invite people through Clerk. It
// writes to Redis and nothing else: it needs no Clerk key, knows no limits and
// never waits for them. A worker (inviteq worker) delivers.
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
// exactly one outcome, whatever crashes. Client.Status tells what became of it,
// Client.Wait waits for that, Client.Revoke takes it back, and Client.BulkInvite
// takes a list of any length.
//
// # Outcomes
//
// Status.State says how far an invite has got, and Status.Reason why; both are
// words of package tasks, which explains them. An invite that is queued, sending
// or unknown is open (tasks.State.Open); one that Clerk has taken is delivered
// (tasks.State.Delivered). Client.FollowEvents and Client.Events yield every change.
//
// # Addresses
//
// An address is a tasks.Email, made by tasks.ParseEmail. It masks itself wherever
// it is printed, logged or marshalled; Status.JSON has the address in the open.
//
// # Ids
//
// The id of an invite is its idempotency key. Give each invite the id of the
// thing in your own system that it stands for, and you may repeat every call
// as often as you like: the same id with the same content is the same invite,
// and no person is mailed twice. The same id with other content is a
// *ConflictError. Without an id Invite makes one up; to repeat such a call
// after an error, use the id of the Result that came with the error.
//
// The content is what Clerk is told: the seven fields of tasks.Invite that are
// Clerk's own. When to send (NotBefore, Deadline) and in which lane are settled
// by the first call.
//
// # Lanes
//
// The zero lane is tasks.Interactive, for a person who has just clicked
// "invite". Lists belong in tasks.Import, where BulkInvite puts them: an
// interactive invite never waits behind them.
//
// # Lists
//
// A list is a sequence, so that one of any length needs little memory. An error
// that it yields, such as that of an address or a database, ends BulkInvite:
//
//	list := func(yield func(tasks.Invite, error) bool) {
//		for _, address := range addresses {
//			email, err := tasks.ParseEmail(address)
//			if !yield(tasks.Invite{EmailAddress: email}, err) {
//				return
//			}
//		}
//	}
//	result, err := c.BulkInvite(ctx, list, enqueue.BulkOptions{ImportID: "beta-testers"})
//
// Package lists (enqueue/lists) reads files as other programs export them, checks
// every row, and has the people on them invited.
//
// # In a transaction
//
// With PostgreSQL, package outbox (enqueue/outbox) writes an invite in the transaction
// that is the reason for it, so that a signup which is rolled back invites nobody.
//
// # In tests
//
// Package enqueuetest (enqueue/enqueuetest) has a client for the tests of a service: this
// one, on a Redis in the test's own process. It shows who was invited, and plays a worker
// against a simulated Clerk.
//
// # The record and the task
//
// Every call writes the record first, in inviteq's ledger, which is the truth,
// and then an asynq task with its id, which is a hint for a worker and for
// people who look at asynqmon. Only the record holds the address.
package enqueue
