package enqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Import is how far an import has got.
type Import struct {
	ID        string                `json:"id"`
	CreatedAt time.Time             `json:"created_at"`
	Total     int64                 `json:"total"`        // Invites that were accepted.
	Open      int64                 `json:"open"`         // Those that are queued, sending or unknown.
	States    map[tasks.State]int64 `json:"states"`       // How many are in each state; states that are empty are left out.
	ETA       time.Time             `json:"eta,omitzero"` // When the last one will be sent, at the current rate. Zero when none waits, or the import lane is paused.
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

func loadImport(ctx context.Context, l *ledger.Ledger, id string) (Import, error) {
	known, err := l.Import(ctx, id)
	if err != nil {
		return Import{}, fmt.Errorf("import %s: %w", id, err)
	}
	i := Import{
		ID: id, CreatedAt: utc(time.UnixMilli(known.CreatedAt)),
		Total: known.Total, Open: known.Open(), States: known.States,
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
