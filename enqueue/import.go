package enqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Import is how far an import has got.
type Import struct {
	ID        string                `json:"id"`
	Name      string                `json:"name"`  // That of the file, without its folder; "" if it had none.
	Owner     string                `json:"owner"` // Who asked: a token of the API, or a tenant; "" if that is not known.
	State     tasks.ImportState     `json:"state"`
	CreatedAt time.Time             `json:"created_at"`
	PausedAt  time.Time             `json:"paused_at,omitzero"`  // Since when it is paused.
	HeldUntil time.Time             `json:"held_until,omitzero"` // When its first row may go.
	Total     int64                 `json:"total"`               // Invites that were accepted.
	Open      int64                 `json:"open"`                // Those that are queued, sending or unknown.
	States    map[tasks.State]int64 `json:"states"`              // How many are in each state; states that are empty are left out.
	ETA       time.Time             `json:"eta,omitzero"`        // When the last one will be sent, at the current rate. Zero when none waits, it is paused, or nothing can go.
}

// Import returns the counts of an import, whatever its size in a few round
// trips. If it is not known, the error is ErrNotFound.
func (c *Client) Import(ctx context.Context, id string) (Import, error) {
	l, err := c.open(ctx)
	if err != nil {
		return Import{}, err
	}
	return loadImport(ctx, l, id)
}

// Imports returns at most n imports, the newest first, from an offset on, and how many
// there are.
func (c *Client) Imports(ctx context.Context, offset, n int) (_ []Import, total int64, _ error) {
	l, err := c.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	ids, total, err := l.Imports(ctx, offset, n)
	if err != nil {
		return nil, 0, err
	}
	all := make([]Import, 0, len(ids))
	for _, id := range ids {
		i, err := loadImport(ctx, l, id)
		if errors.Is(err, ErrNotFound) {
			continue // It was trimmed just now.
		}
		if err != nil {
			return nil, 0, err
		}
		all = append(all, i)
	}
	return all, total, nil
}

// PauseImport stops an import until ResumeImport: none of its rows is sent from now
// on, and nobody else waits for it. Calls that are under way are finished. It takes
// the same time whatever the size. If the import is not known, the error is
// ErrNotFound.
func (c *Client) PauseImport(ctx context.Context, id string) (Import, error) {
	l, err := c.open(ctx)
	if err == nil {
		err = l.PauseImport(ctx, ledger.Now, id)
	}
	if err != nil {
		return Import{}, fmt.Errorf("import %s: %w", id, err)
	}
	return loadImport(ctx, l, id)
}

// ResumeImport lets an import go on that was paused, or is held (BulkOptions.Hold). A
// worker sees it within two seconds. One that runs is left as it is.
func (c *Client) ResumeImport(ctx context.Context, id string) (Import, error) {
	l, err := c.open(ctx)
	if err == nil {
		_, err = l.ResumeImport(ctx, ledger.Now, id)
	}
	if err != nil {
		return Import{}, fmt.Errorf("import %s: %w", id, err)
	}
	return loadImport(ctx, l, id)
}

func loadImport(ctx context.Context, l *ledger.Ledger, id string) (Import, error) {
	known, err := l.Import(ctx, id)
	if err != nil {
		return Import{}, fmt.Errorf("import %s: %w", id, err)
	}
	i := Import{
		ID: id, Name: known.Name, Owner: known.Owner, State: known.Standing(), CreatedAt: utc(time.UnixMilli(known.CreatedAt)),
		PausedAt: utc(known.PausedAt), HeldUntil: utc(known.HeldUntil), Total: known.Total, Open: known.Open(), States: known.States,
	}
	eta, err := l.ImportETA(ctx, ledger.Now, known)
	i.ETA = utc(eta)
	return i, err
}

// Waiting returns how many invites of the instance wait to be sent.
func (c *Client) Waiting(ctx context.Context) (int64, error) {
	l, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	o, err := l.Overview(ctx, ledger.Now)
	return o.States[tasks.Queued], err
}

// WaitingOf is Waiting for the invites of one owner: those of the newest 200 imports, and
// the first 5000 of people.
func (c *Client) WaitingOf(ctx context.Context, owner string) (int64, error) {
	l, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	return l.WaitingOf(ctx, owner)
}

// ImportsOf says in which import each of the ids stands, "" for an invite that
// belongs to none. Ids that the ledger does not know are left out.
func (c *Client) ImportsOf(ctx context.Context, ids ...string) (map[string]string, error) {
	l, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return nil, err
	}
	imports := make(map[string]string, len(records))
	for _, r := range records {
		imports[r.Invite.ID] = r.Invite.ImportID
	}
	return imports, nil
}
