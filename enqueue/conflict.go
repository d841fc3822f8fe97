package enqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// ErrConflict is inside every *ConflictError.
var ErrConflict = ledger.ErrConflict

// ConflictError says that an id is taken by an invite with other content. The
// invite that has it is as it was; the new one was not accepted.
type ConflictError struct {
	ID       string
	ImportID string // The import of the invite that has it; "" if it belongs to none, or is forgotten.
}

// Error names the id, and the import of the invite that has it.
func (e *ConflictError) Error() string {
	if e.ImportID != "" {
		return fmt.Sprintf("invite %s: %v (it belongs to import %s)", e.ID, ErrConflict, e.ImportID)
	}
	return fmt.Sprintf("invite %s: %v", e.ID, ErrConflict)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// reconsider looks at what the ledger has refused as a conflict: what differs in the
// capitals of the address only is known. It returns the imports of the others.
func (c *Client) reconsider(ctx context.Context, l *ledger.Ledger, invites []tasks.Invite, admissions []ledger.Admission) (imports map[string]string, _ error) {
	var ids []string
	for n, a := range admissions {
		if a == ledger.Conflict {
			ids = append(ids, invites[n].ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // no conflict
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return nil, errors.Join(errors.New("a conflict cannot be looked at"), err)
	}
	have := make(map[string]tasks.Invite, len(records))
	imports = make(map[string]string, len(records))
	for _, r := range records {
		have[r.Invite.ID], imports[r.Invite.ID] = r.Invite, r.Invite.ImportID
	}
	for n, a := range admissions {
		if i, ok := have[invites[n].ID]; a == ledger.Conflict && ok && ledger.SameContent(i, invites[n]) {
			admissions[n] = ledger.Known
		}
	}
	return imports, nil
}

// Conflicts says which of these invites, which have ids, would be refused since their
// id has other content in the ledger. It changes nothing.
func (c *Client) Conflicts(ctx context.Context, invites []tasks.Invite) ([]Conflict, error) {
	l, err := c.open(ctx)
	if err != nil || len(invites) == 0 {
		return nil, err
	}
	ids := make([]string, len(invites))
	for n := range invites {
		ids[n] = invites[n].ID
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return nil, err
	}
	have := make(map[string]tasks.Invite, len(records))
	for _, r := range records {
		have[r.Invite.ID] = r.Invite
	}
	var conflicts []Conflict
	for n := range invites {
		if i, ok := have[invites[n].ID]; ok && !ledger.SameContent(i, invites[n]) {
			conflicts = append(conflicts, Conflict{n, i.ID, i.ImportID})
		}
	}
	return conflicts, nil
}
