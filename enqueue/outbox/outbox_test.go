package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/outbox"
	"github.com/inviteq/inviteq/enqueue/outbox/postgrestest"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func invite(t testing.TB, id string) tasks.Invite {
	t.Helper()
	email, err := tasks.ParseEmail(id + "@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return tasks.Invite{ID: id, EmailAddress: email}
}

// add writes an invite in a transaction of its own, and commits it or not.
func add(t testing.TB, db *sql.DB, i tasks.Invite, commit bool) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Add(t.Context(), tx, i); err != nil {
		t.Fatal(err)
	}
	if commit {
		err = tx.Commit()
	} else {
		err = tx.Rollback()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// count is how many rows are in both tables.
func count(t testing.TB, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM inviteq_outbox) + (SELECT count(*) FROM inviteq_outbox_handed)").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// stage is an outbox and a relay.
func stage(t testing.TB) (*sql.DB, *outbox.Relay) {
	t.Helper()
	db := postgrestest.Start(t).DB(t)
	for range 2 { // The second time does nothing.
		if err := outbox.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	c, err := enqueue.New(enqueue.Config{Redis: redistest.Shared(t), Instance: redistest.Instance()})
	if err != nil {
		t.Fatal(err)
	}
	return db, &outbox.Relay{DB: db, Client: c}
}

func TestOutbox(t *testing.T) {
	db, relay := stage(t)
	add(t, db, invite(t, "ada"), true)
	add(t, db, invite(t, "ghost"), false)
	add(t, db, invite(t, "ada"), true) // A repeat, while the first one waits.
	full := invite(t, "bob")
	full.PublicMetadata, full.RedirectURL, full.NoNotify, full.Owner = []byte(`{"a":1}`), "/x", true, "tenant"
	full.NotBefore, full.Lane, full.ExpiresInDays = time.Now().Add(time.Hour).Truncate(time.Millisecond), tasks.Import, 7
	add(t, db, full, true)

	other := invite(t, "ada")
	other.RedirectURL = "/elsewhere"
	if _, err := outbox.Add(t.Context(), db, other); !errors.Is(err, enqueue.ErrConflict) {
		t.Errorf("the id with other content: %v", err)
	}
	other.ExpiresInDays = 999
	if _, err := outbox.Add(t.Context(), db, other); err == nil || !strings.Contains(err.Error(), "expires_in_days") {
		t.Errorf("a wrong invite: %v", err)
	}
	if b := relay.Once(t.Context()); b != (outbox.Batch{Accepted: 2}) {
		t.Errorf("got %+v", b)
	}
	add(t, db, invite(t, "ada"), true) // A repeat, while the ledger's memory is on trial.
	if b := relay.Once(t.Context()); b != (outbox.Batch{Accepted: 1}) || count(t, db) != 3 {
		t.Errorf("got %+v", b)
	}
	relay.Keep = time.Millisecond
	if b := relay.Once(t.Context()); b != (outbox.Batch{}) {
		t.Errorf("got %+v", b)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if _, err := relay.Client.Status(t.Context(), "ghost"); !errors.Is(err, enqueue.ErrNotFound) {
		t.Errorf("the ghost: %v", err)
	}
	if r, err := relay.Client.Invite(t.Context(), full); err != nil || !r.Existing {
		t.Errorf("bob is not as he was: %+v, %v", r, err)
	}

	// Repeats after the fact, a conflict with the ledger, and rows that somebody else has written.
	other.ExpiresInDays = 0
	add(t, db, full, true)
	add(t, db, other, true)
	for id, text := range map[string]string{"x1": "no JSON eve@example.com", "x2": `{"id":"x2","email_address":"eve@"}`, "x3": `{"id":"x4","email_address":"eve@example.com"}`} {
		if _, err := db.ExecContext(t.Context(), `INSERT INTO inviteq_outbox (id, invite) VALUES ($1, $2)`, id, text); err != nil {
			t.Fatal(err)
		}
	}
	if b := relay.Once(t.Context()); b != (outbox.Batch{Accepted: 1, Refused: 4}) {
		t.Errorf("got %+v", b)
	}
	rows, err := db.QueryContext(t.Context(), `SELECT id || ': ' || problem FROM inviteq_outbox WHERE problem IS NOT NULL ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	want := `ada: invite ada: this id is in use for an invite with other content; choose another id
x1: column invite is not the JSON of an invite, or names another id
x2: email_address is not one plain address such as ada@example.com
x3: column invite is not the JSON of an invite, or names another id`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got:\n%s\nwant:\n%s", s, want)
	}
	if b := relay.Once(t.Context()); b != (outbox.Batch{}) {
		t.Errorf("refused rows come again: %+v", b)
	}
	// A person fixes the row, and it goes.
	if _, err := db.ExecContext(t.Context(), `UPDATE inviteq_outbox SET problem = NULL, invite = '{"id":"x1","email_address":"eve@example.com"}' WHERE id = 'x1'`); err != nil {
		t.Fatal(err)
	}
	if b := relay.Once(t.Context()); b != (outbox.Batch{Accepted: 1}) {
		t.Errorf("got %+v", b)
	}
}

// TestRelays has several relays at once, and an outbox that is slow to commit.
func TestRelays(t *testing.T) {
	db, relay := stage(t)
	const n = 500
	for i := range n {
		add(t, db, invite(t, fmt.Sprintf("p%d", i)), true)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Add(t.Context(), tx, invite(t, "late")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	handed := make(chan outbox.Batch, 2*n)
	ended := make(chan error, 3)
	for range 3 {
		r := outbox.Relay{DB: db, Client: relay.Client, Size: 20, Every: 10 * time.Millisecond, Report: func(b outbox.Batch) { handed <- b }}
		go func() { ended <- r.Run(ctx) }()
	}
	sum := 0
	for sum < n+1 {
		select {
		case b := <-handed:
			if b.Err != nil || b.Refused > 0 {
				t.Fatalf("%+v", b)
			}
			if sum += b.Accepted; sum == n {
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%d rows were handed on", sum)
		}
	}
	stop()
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if waiting, err := relay.Client.Waiting(t.Context()); err != nil || waiting != n+1 {
		t.Errorf("%d wait, %v", waiting, err)
	}
}
