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

// EventJSON is an Event as inviteq events --json and the HTTP API show it. The names are
// stable, and all of them are always there.
type EventJSON struct {
	ID           string    `json:"id"`
	InviteID     string    `json:"invite_id"`
	Sequence     int       `json:"sequence"` // Version
	From         string    `json:"from"`
	To           string    `json:"to"`
	Reason       Reason    `json:"reason"`
	InvitationID string    `json:"invitation_id"`
	ImportID     string    `json:"import_id"`
	At           time.Time `json:"at"` // In UTC.
	Position     string    `json:"position"`
}

// JSON returns the event with stable names.
func (e Event) JSON() EventJSON {
	return EventJSON{
		ID: e.ID, InviteID: e.InviteID, Sequence: e.Version, From: e.From, To: e.To, Reason: e.Reason,
		InvitationID: e.InvitationID, ImportID: e.ImportID, At: e.At.UTC(), Position: e.Position,
	}
}

// ImportCompleted is the To of the event that an import has no open invites any
// more. If invites are added to it later, or queued again, it comes again.
const ImportCompleted = "import_completed"
