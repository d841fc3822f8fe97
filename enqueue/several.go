package enqueue

import (
	"context"
	"fmt"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// fewTasks is up to how many invites of one InviteSeveral get a task each at once.
// The first task wakes a worker; with many, the others are left to its sweep.
const fewTasks = 10

// InviteSeveral accepts invites that have nothing to do with each other, each as
// Invite does; those that name an import join it. It takes one round trip for a hundred
// of the same owner, and suits a relay that hands on what others have written down (package
// outbox). Every invite needs an id.
//
// Of the errors that it returns each belongs to the invite at its place: nil says that
// it is accepted, perhaps earlier; otherwise it is a *tasks.ValidationError or a
// *ConflictError, and repeating the call will not help. If the second result is an
// error, any invite may have been accepted or not: call again.
func (c *Client) InviteSeveral(ctx context.Context, invites []tasks.Invite) ([]error, error) {
	l, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	refused := make([]error, len(invites))
	for start := 0; start < len(invites); {
		var part []tasks.Invite
		var places []int
		for ; start < len(invites) && len(part) < tasks.ChunkSize; start++ {
			i := invites[start]
			if refused[start] = i.Validate(); i.ID == "" && refused[start] == nil {
				refused[start] = &tasks.ValidationError{Problems: []tasks.Problem{{Field: "id", Reason: "is missing"}}}
			}
			if refused[start] != nil {
				continue
			}
			if len(part) > 0 && (i.Owner != part[0].Owner || i.ImportID != part[0].ImportID) {
				break
			}
			part, places = append(part, i), append(places, start)
		}
		if err := c.admit(ctx, l, part, places, refused); err != nil {
			return nil, fmt.Errorf("invite several: %w", err)
		}
	}
	return refused, nil
}

// Remembers says of each id whether the ledger knows it: as that of an invite, or of one
// that was forgotten. After InviteSeveral it does, unless Redis has lost what it had
// acknowledged.
func (c *Client) Remembers(ctx context.Context, ids []string) ([]bool, error) {
	l, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	known, err := l.Remembers(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("remembers: %w", err)
	}
	return known, nil
}

// admit accepts invites of one owner and one import, and writes down who is refused.
func (c *Client) admit(ctx context.Context, l *ledger.Ledger, part []tasks.Invite, places []int, refused []error) error {
	if len(part) == 0 {
		return nil
	}
	admissions, chunk, err := l.Admit(ctx, ledger.Now, part)
	if err != nil {
		return err
	}
	imports, err := c.reconsider(ctx, l, part, admissions)
	if err != nil {
		return err
	}
	var fresh []tasks.Invite
	for n, a := range admissions {
		switch a {
		case ledger.Conflict:
			refused[places[n]] = &ConflictError{part[n].ID, imports[part[n].ID]}
		case ledger.Admitted:
			fresh = append(fresh, part[n])
		case ledger.Known:
		}
	}
	// What has no task gets one from a worker, so none of this is an error.
	if chunk.ImportID != "" && chunk.Count > 0 {
		_ = c.giveChunk(ctx, chunk, earliest(part))
		return nil
	}
	if len(fresh) > fewTasks {
		fresh = fresh[:1]
	}
	for _, i := range fresh {
		_ = c.giveCreate(ctx, i)
	}
	return nil
}
