package enqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/ledger"
)

// Import is how far an import has got.
type Import struct {
	ID        string                 `json:"id"`
	CreatedAt time.Time              `json:"created_at"`
	Total     int64                  `json:"total"`        // Invites that were accepted.
	Open      int64                  `json:"open"`         // Those that are queued, sending or unknown.
	States    map[ledger.State]int64 `json:"states"`       // How many are in each state; states that are empty are left out.
	ETA       time.Time              `json:"eta,omitzero"` // When the last one will be sent, as things stand. Zero when none is open.
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
	if i.States[ledger.Queued] > 0 {
		i.ETA, err = lastETA(ctx, l, id, i.Total)
	}
	return i, err
}

// lastETA is that of the last member if it still waits, else that of all that
// waits.
func lastETA(ctx context.Context, l *ledger.Ledger, id string, total int64) (time.Time, error) {
	now := time.Now()
	ids, err := l.Members(ctx, tasks.BulkCreate{ImportID: id, From: int(total) - 1, Count: 1})
	if err != nil {
		return time.Time{}, err
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return time.Time{}, err
	}
	if len(records) > 0 && records[0].State == ledger.Queued {
		etas, err := l.ETAs(ctx, now, records...)
		if err != nil {
			return time.Time{}, err
		}
		return utc(etas[0]), nil
	}
	o, err := l.Overview(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	return utc(o.Drain()), nil
}
