// Package outbox invites people in the transaction that is the reason for it. A
// signup that is rolled back invites nobody; one that commits invites its person,
// whatever dies afterwards. It needs PostgreSQL, and any driver of database/sql for it.
//
//	tx, err := db.BeginTx(ctx, nil)
//	…
//	_, err = tx.ExecContext(ctx, `INSERT INTO members …`)
//	…
//	_, err = outbox.Add(ctx, tx, tasks.Invite{ID: "member-4711", EmailAddress: ada})
//	…
//	err = tx.Commit()
//
// Migrate makes the tables first, at the start of the service:
//
//	if err := outbox.Migrate(ctx, db); err != nil {
//		return err
//	}
//
// A relay hands the rows on to inviteq, for as long as it runs:
//
//	relay := outbox.Relay{DB: db, Client: client} // an *enqueue.Client
//	return relay.Run(ctx)
//
// or, as a program of its own: inviteq outbox --migrate.
//
// A row's id is the invite's id, so that a row which is handed on twice, because
// something died in between, is one invite: the ledger remembers ids for as long as it
// knows the invite, and a year beyond.
//
// A row goes some seconds (Relay.Keep) after it was handed on, when Redis still has it:
// what a crash or a failover of Redis loses of its last seconds is handed on again. So
// nothing is lost as long as Redis loses no more than Keep of what it has acknowledged,
// with appendfsync everysec, too; a Redis that is emptied or set back further is
// reported by its workers. The tables hold the addresses of those who wait, of those
// handed on until then, and of those whom inviteq refuses.
//
// In a test, Relay.Once hands on what was committed, to the client of enqueuetest
// (enqueue/enqueuetest); package postgrestest (enqueue/outbox/postgrestest) starts a
// PostgreSQL for it:
//
//	db, c := postgrestest.Start(t).DB(t), enqueuetest.New(t)
//	…
//	relay := outbox.Relay{DB: db, Client: c}
//	if b := relay.Once(t.Context()); b.Err != nil {
//		t.Fatal(b.Err)
//	}
//	enqueuetest.RequireInvited(t, c, "ada@example.com")
package outbox
