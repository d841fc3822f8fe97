package show

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"
)

// Outcome is what became of one row of a list.
type Outcome struct {
	Row          int // of the list, from 1
	Address      string
	Outcome      string // a state, or why the row is no invite
	Reason       string
	ID           string
	InvitationID string
	UpdatedAt    time.Time // zero for a row that is no invite
}

// Outcomes writes outcomes as CSV that a spreadsheet can open: a cell that it
// would take for a formula gets an apostrophe, which it does not show.
type Outcomes struct{ w *csv.Writer }

// NewOutcomes begins the file with its header. Flush returns what goes wrong.
func NewOutcomes(to io.Writer) Outcomes {
	w := csv.NewWriter(to)
	_ = w.Write([]string{"row", "email_address", "outcome", "reason", "id", "invitation_id", "updated_at"})
	return Outcomes{w}
}

// Write adds one row. An error of the underlying writer is returned from then on.
func (o Outcomes) Write(row Outcome) error {
	at := ""
	if !row.UpdatedAt.IsZero() {
		at = row.UpdatedAt.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return o.w.Write([]string{
		strconv.Itoa(row.Row), harmless(row.Address), harmless(row.Outcome), harmless(row.Reason), harmless(row.ID), harmless(row.InvitationID), at,
	})
}

// Flush writes what is buffered, and returns the first error of any write.
func (o Outcomes) Flush() error {
	o.w.Flush()
	return o.w.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r|", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
