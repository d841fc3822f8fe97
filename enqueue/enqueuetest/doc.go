// Package enqueuetest is for the tests of services that invite people by package
// enqueue. Its client is the real one, on a private Redis in the test's own process;
// what it enqueues is delivered by the real worker to a simulated Clerk. There is no
// port, nothing is mailed, and no test sleeps.
//
//	func TestSignup(t *testing.T) {
//		c := enqueuetest.New(t)
//		if err := signup.New(c).Register(t.Context(), "ada@example.com"); err != nil {
//			t.Fatal(err)
//		}
//		enqueuetest.RequireInvited(t, c, "ada@example.com")
//	}
//
// That shows what the service has asked for. To see what comes of it, let a worker
// play: Deliver works until all is settled, in a time of its own, so that hours of
// Clerk's limits, outages and waiting take milliseconds.
//
//	enqueuetest.Fail(t, c, "bob@example.com", tasks.ReasonExistingUser)
//	enqueuetest.Deliver(t, c)
//	status, err := c.Status(ctx, "bob@example.com") // rejected, existing_user
//
// # Time
//
// A test's client and its Clerk begin at the present, and get ahead of it by what
// Deliver takes and Advance adds. Now tells their time. What a service calculates
// with time.Now (a deadline, say) is not moved; to bend that, too, call New inside of
// a testing/synctest bubble: then all of it keeps to the bubble's clock, and Advance
// is time.Sleep.
//
// # Clerk
//
// Clerk returns the simulated Clerk: people accept (Accept), addresses bounce
// (Suppress), calls go wrong (Outage, Inject), and its history tells what was mailed
// to whom (Mails). What has been accepted there the ledger knows after the next
// Deliver.
//
// This package is for tests only: it brings the worker, an embedded Redis and the
// simulated Clerk along.
package enqueuetest
