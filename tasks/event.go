package tasks

import "time"

// Event is one change of state. It was written in the same step as the change,
// and holds no address.
type Event struct {
	ID           string    // Stable: the same change has the same id, however often it is read.
	InviteID     string    // Empty when the event is about an import.
	Version      int       // Grows by one with every change of the invite.
	From, To     string    // Names of states; To may also be ImportCompleted.
	Reason       Reason    // Why; may be empty.
	InvitationID string    // Clerk's id, once it has one.
	ImportID     string    // The import it belongs to, if any.
	At           time.Time // When it changed.
	Position     string    // Its place in the stream.
}

// ImportCompleted is the To of the event that an import has no open invites any
// more. If invites are added to it later, or queued again, it comes again.
const ImportCompleted = "import_completed"
