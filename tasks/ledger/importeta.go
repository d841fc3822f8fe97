package ledger

import (
	"context"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// ImportETA returns when the last invite of an import will be sent, as things
// stand; the zero time when none of it waits, or when the import lane is paused,
// because then nobody knows. It is the ETA of the last row if that one waits, else
// that of everything that waits, so that it errs to the later side.
func (l *Ledger) ImportETA(ctx context.Context, now time.Time, i Import) (time.Time, error) {
	if i.States[tasks.Queued] == 0 {
		return time.Time{}, nil
	}
	o, err := l.Overview(ctx, now)
	if _, paused := o.Paused[tasks.Import]; err != nil || paused {
		return time.Time{}, err
	}
	ids, err := l.Members(ctx, tasks.BulkCreate{ImportID: i.ID, From: int(i.Total) - 1, Count: 1})
	if err != nil {
		return time.Time{}, err
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return time.Time{}, err
	}
	if len(records) > 0 && records[0].State == tasks.Queued {
		etas, err := l.ETAs(ctx, now, records...)
		if err != nil {
			return time.Time{}, err
		}
		return etas[0], nil
	}
	return o.Drain(), nil
}
