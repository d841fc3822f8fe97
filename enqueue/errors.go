package enqueue

import (
	"fmt"

	"github.com/inviteq/inviteq/tasks/ledger"
)

// ErrNotFound says that no invite or import of that name is known.
var ErrNotFound = ledger.ErrNotFound

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
