package outbox

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

// Migrations are the files that make the outbox, for a service that has a tool of its
// own for that. Their names begin with their number; a file that was released is never
// changed.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Migrate makes the outbox, or brings it up to date. It may be called at every start,
// by any number of processes at once; table inviteq_outbox_migrations says what was
// done.
func Migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // After Commit it does nothing.
	for _, statement := range []string{
		`SELECT pg_advisory_xact_lock(4711202611)`, // One process at a time.
		`CREATE TABLE IF NOT EXISTS inviteq_outbox_migrations (name text PRIMARY KEY, done_at timestamptz NOT NULL DEFAULT now())`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
	}
	files, err := fs.Glob(Migrations, "migrations/*.sql")
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	slices.Sort(files)
	for _, name := range files {
		done, err := tx.ExecContext(ctx, `INSERT INTO inviteq_outbox_migrations (name) VALUES ($1) ON CONFLICT DO NOTHING`, name)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			continue // It was done before.
		}
		text, err := Migrations.ReadFile(name)
		if err == nil {
			_, err = tx.ExecContext(ctx, string(text))
		}
		if err != nil {
			return fmt.Errorf("outbox: %s: %w", name, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}
