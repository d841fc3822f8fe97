package enqueue

import (
	"fmt"

	"github.com/inviteq/inviteq/tasks/ledger"
)

var (
	// ErrConflict is inside every *ConflictError.
	ErrConflict = ledger.ErrConflict

	// ErrNotFound says that no invite or import of that name is known.
	ErrNotFound = ledger.ErrNotFound
)

// ConflictError says that an id is taken by an invite with other content. The
// invite that has it is as it was; the new one was not accepted.
type ConflictError struct{ ID string }

// Error names the id.
func (e *ConflictError) Error() string { return fmt.Sprintf("invite %s: %v", e.ID, ErrConflict) }

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// ImportError says how far BulkInvite got before something stopped it. What it
// had taken stays accepted; calling BulkInvite again with the same list and
// this ImportID goes on from there and makes no second invite.
type ImportError struct {
	ImportID string
	Done     int   // So many of the first invites of the list are in the ledger.
	Err      error // What stopped it: the source's own error, a *RowInvalidError, or Redis.
}

// Error says what to do next.
func (e *ImportError) Error() string {
	return fmt.Sprintf("import %s stopped after %d invites; run it again with the same import id to go on: %v", e.ImportID, e.Done, e.Err)
}

// Unwrap returns what stopped it.
func (e *ImportError) Unwrap() error { return e.Err }
