package ledger

import (
	"context"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// ImportETA returns when the last invite of an import will be sent, as things
// stand; the zero time when none of it waits. It is the ETA of the last row if that
// one waits, else that of everything that waits, so that it errs to the later side.
func (l *Ledger) ImportETA(ctx context.Context, now time.Time, i Import) (time.Time, error) {
	if i.States[Queued] == 0 {
		return time.Time{}, nil
	}
	ids, err := l.Members(ctx, tasks.BulkCreate{ImportID: i.ID, From: int(i.Total) - 1, Count: 1})
	if err != nil {
		return time.Time{}, err
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return time.Time{}, err
	}
	if len(records) > 0 && records[0].State == Queued {
		etas, err := l.ETAs(ctx, now, records...)
		if err != nil {
			return time.Time{}, err
		}
		return etas[0], nil
	}
	o, err := l.Overview(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	return o.Drain(), nil
}
