package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// Tx is what Add needs of a transaction: *sql.Tx has it, and *sql.DB and *sql.Conn,
// which write at once.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Add writes an invite into the outbox, in the caller's own transaction, and returns
// its id, which it makes if there is none. The invite comes to be if, and only if, that
// transaction commits; a relay hands it on within a moment.
//
// The same invite again is harmless, as it is with enqueue.Client.Invite. All that is
// wrong with it comes back as a *tasks.ValidationError; an id that waits with other
// content is an *enqueue.ConflictError. Neither spoils the transaction. An id that was
// handed on before with other content is refused later, by the relay (Batch.Refused).
func Add(ctx context.Context, tx Tx, i tasks.Invite) (id string, err error) {
	if err := i.Validate(); err != nil {
		return i.ID, err
	}
	if i.ID == "" {
		i.ID = tasks.NewID("inq")
	}
	text, err := json.Marshal(i.JSON())
	if err != nil {
		return i.ID, fmt.Errorf("outbox: invite %s: %w", i.ID, err)
	}
	done, err := tx.ExecContext(ctx, `INSERT INTO inviteq_outbox (id, invite) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, i.ID, string(text))
	if err != nil {
		return i.ID, fmt.Errorf("outbox: invite %s: %w", i.ID, err)
	}
	if n, err := done.RowsAffected(); err != nil || n > 0 {
		return i.ID, err
	}
	// It stands there. If it has been handed on meanwhile, the ledger compares.
	var other bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM inviteq_outbox WHERE id = $1 AND invite <> $2)`, i.ID, string(text)).Scan(&other)
	switch {
	case err != nil:
		return i.ID, fmt.Errorf("outbox: invite %s: %w", i.ID, err)
	case other:
		return i.ID, &enqueue.ConflictError{ID: i.ID}
	}
	return i.ID, nil
}
