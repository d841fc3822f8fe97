package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// forever and whileRevoked are FOREVER and WHILE_REVOKED of lib.lua.
const (
	forever      = 9e15
	whileRevoked = 8e15
)

// PauseImport stops an import until ResumeImport: from now on no row of it is sent,
// and nobody else waits for it. Calls that are under way are finished. The error is
// ErrNotFound if the ledger has no such import.
func (l *Ledger) PauseImport(ctx context.Context, now time.Time, id string) error {
	done, err := l.run(ctx, "stop", millis(now), id, "pause").Bool()
	if err == nil && !done {
		return ErrNotFound
	}
	return err
}

// HoldImport lets an import wait for so long from now, or until ResumeImport, before
// its first row is sent. It must come before the first row: for an import that the
// ledger has already, nothing is done, and false returned.
func (l *Ledger) HoldImport(ctx context.Context, now time.Time, id string, d time.Duration) (bool, error) {
	return l.run(ctx, "stop", millis(now), id, "hold", d.Milliseconds()).Bool()
}

// ResumeImport lets an import go on that is paused or held. It returns false if it
// was neither.
func (l *Ledger) ResumeImport(ctx context.Context, now time.Time, id string) (bool, error) {
	return l.run(ctx, "stop", millis(now), id, "resume").Bool()
}

// placeOnShelf is that of lib.lua.
func placeOnShelf(r Record) string {
	return fmt.Sprintf("%s\t%016d\t%s", r.Invite.ImportID, r.Position, r.Invite.ID)
}

// heldUntil reads the score of a stopped import: the zero time if a person has to
// resume it.
func heldUntil(score float64) time.Time {
	if score >= whileRevoked {
		return time.Time{}
	}
	return time.UnixMilli(int64(score))
}

// Standing says whether the import goes.
func (i Import) Standing() tasks.ImportState {
	switch {
	case i.Open() == 0:
		return tasks.ImportDone
	case i.stopped == whileRevoked:
		return tasks.ImportRevoking
	case !i.HeldUntil.IsZero():
		return tasks.ImportHeld
	case i.stopped > 0:
		return tasks.ImportPaused
	}
	return tasks.ImportRunning
}

// NameImport keeps the name of the file that an import came from, unless it has one.
func (l *Ledger) NameImport(ctx context.Context, id, name string) error {
	return l.rdb.HSetNX(ctx, l.keys.importInfo(id), "name", name).Err()
}

// stops reads which of the imports that some records belong to are stopped, and how
// many rows of them stand on the shelf before each of the records.
func (l *Ledger) stops(ctx context.Context, records []Record) (until map[string]float64, before []int64, err error) {
	pipe := l.rdb.Pipeline()
	scores, ranks := map[string]*redis.FloatCmd{}, make([]*redis.IntCmd, len(records))
	for n, r := range records {
		if id := r.Invite.ImportID; id != "" && r.State == tasks.Queued {
			if scores[id] == nil {
				scores[id] = pipe.ZScore(ctx, l.keys.of("stopped"), id)
			}
			ranks[n] = pipe.ZLexCount(ctx, l.keys.of("shelf"), "["+id+"\t", "("+placeOnShelf(r))
		}
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, nil, err
	}
	until, before = map[string]float64{}, make([]int64, len(records))
	for id, score := range scores {
		if score.Err() == nil {
			until[id] = score.Val()
		}
	}
	for n, rank := range ranks {
		if rank != nil {
			before[n] = rank.Val()
		}
	}
	return until, before, nil
}
