package lists

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// Acceptance says how the good rows of a list are handed over. The zero value is
// ready to use.
type Acceptance struct {
	// ImportID names the import. Defaults to List.ImportID.
	ImportID string

	// Owner is enqueue.BulkOptions.Owner.
	Owner string

	// MaxWaiting is how many invites of the instance may wait, the list's
	// included. Defaults to no limit.
	MaxWaiting int64

	// MaxOwned is how many invites of Owner may wait, the list's included. Defaults to
	// no limit.
	MaxOwned int64

	// Progress is told after each chunk how far it has got.
	Progress func(enqueue.BulkResult)
}

// Accepted says what has become of the rows.
type Accepted struct {
	enqueue.BulkResult
	Conflicts []Conflict // At most enqueue.MaxConflicts of them.
}

// Conflict is a row that was not accepted, since its id has other content.
type Conflict struct {
	Place
	enqueue.Conflict
}

// OtherIDsError says that an import was begun with another meaning of its id column
// than the one with which it is to go on: each of its people would be invited again.
type OtherIDsError struct {
	Global bool // It was begun with Options.GlobalIDs, or by an earlier version, which knew nothing else.
}

// Error says which.
func (e *OtherIDsError) Error() string {
	if e.Global {
		return "the import was begun with the ids of its id column as the caller's own, as earlier versions of inviteq took every id column"
	}
	return "the import was begun with the ids of its id column as names within the import, not as the caller's own"
}

// WaitingError says that a list was not accepted because too many invites wait.
type WaitingError struct {
	Waiting, Asked, Most int64
	Owner                string // whose; "": those of the instance
}

// Error says how many, and what to do.
func (e *WaitingError) Error() string {
	if e.Owner != "" {
		return fmt.Sprintf("%d invites of %s wait already, and with the %d of the list there would be more than %d; wait", e.Waiting, e.Owner, e.Asked, e.Most)
	}
	return fmt.Sprintf("%d invites wait already, and with the %d of the list there would be more than %d; wait, or raise the bound", e.Waiting, e.Asked, e.Most)
}

// Accept hands the good rows to a client, which must come after Survey; bad rows and
// duplicates are left out. It may be repeated as often as needed, also for a list
// that was handed over in part: an *enqueue.ImportError says how far it got.
func (l *List) Accept(ctx context.Context, c *enqueue.Client, found Survey, a Acceptance) (Accepted, error) {
	if a.ImportID == "" {
		a.ImportID = l.ImportID()
	}
	if err := room(ctx, c, found, a); err != nil {
		return Accepted{}, err
	}
	if err := l.checkIDs(ctx, c, a.ImportID); err != nil {
		return Accepted{}, err
	}
	ordinals := make([]uint32, 0, found.Good)
	result, err := c.BulkInvite(ctx, l.invites(ctx, a, &ordinals), enqueue.BulkOptions{
		ImportID: a.ImportID, Name: l.Name(), Owner: a.Owner, Hold: l.opts.Hold, KeepLanes: true, Progress: a.Progress,
	})
	done := Accepted{BulkResult: result}
	for _, conflict := range result.Conflicts {
		done.Conflicts = append(done.Conflicts, Conflict{l.seen.place(int(ordinals[conflict.Position])), conflict})
	}
	return done, err
}

// checkIDs returns an *OtherIDsError if a row stands in the import under the id that
// its column gives it in the other meaning. It looks until it meets a row that the
// import has under the right one, so that going on with a long list costs no second
// reading of it.
func (l *List) checkIDs(ctx context.Context, c *enqueue.Client, importID string) error {
	if _, err := c.Import(ctx, importID); errors.Is(err, enqueue.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	other := map[string]bool{} // id → it is that of the other meaning
	look := func() (settled bool, err error) {
		imports, err := c.ImportsOf(ctx, slices.Collect(maps.Keys(other))...)
		for id, in := range imports {
			if other[id] && in == importID {
				return true, &OtherIDsError{Global: !l.opts.GlobalIDs}
			}
			settled = settled || !other[id]
		}
		clear(other)
		return settled, err
	}
	for row, err := range l.Rows(ctx, importID) {
		if isAboutRow(err) {
			continue
		} else if err != nil {
			return err
		}
		id := row.name
		if l.opts.GlobalIDs {
			id = tasks.ImportRowID(importID, row.Invite.ID)
		}
		if tasks.CheckID(id) != nil {
			continue // Or there is none.
		}
		other[id], other[row.Invite.ID] = true, false
		if len(other) >= 2*tasks.ChunkSize {
			if settled, err := look(); settled || err != nil {
				return err
			}
		}
	}
	if len(other) == 0 {
		return nil
	}
	_, err := look()
	return err
}

// Compare says, before anything is handed over, what Accept would refuse: rows whose id
// has other content in the ledger. It comes after Survey. An *OtherIDsError says that the
// import was begun with another meaning of its id column.
func (l *List) Compare(ctx context.Context, c *enqueue.Client, importID string) ([]Conflict, error) {
	if err := l.checkIDs(ctx, c, importID); err != nil {
		return nil, err
	}
	var conflicts []Conflict
	chunk := make([]Row, 0, tasks.ChunkSize)
	look := func() error {
		invites := make([]tasks.Invite, len(chunk))
		for n, row := range chunk {
			invites[n] = row.Invite
		}
		found, err := c.Conflicts(ctx, invites)
		for _, conflict := range found {
			conflicts = append(conflicts, Conflict{chunk[conflict.Position].Place, conflict})
		}
		chunk = chunk[:0]
		return err
	}
	for row, err := range l.Rows(ctx, importID) {
		if isAboutRow(err) {
			continue
		} else if err != nil {
			return conflicts, err
		}
		if chunk = append(chunk, row); len(chunk) == cap(chunk) {
			if err := look(); err != nil || len(conflicts) >= enqueue.MaxConflicts {
				return conflicts, err
			}
		}
	}
	return conflicts, look()
}

// room checks the bound on what waits. What the import has brought before counts
// once.
func room(ctx context.Context, c *enqueue.Client, found Survey, a Acceptance) error {
	if a.MaxWaiting <= 0 && a.MaxOwned <= 0 {
		return nil
	}
	before, err := c.Import(ctx, a.ImportID)
	if err != nil && !errors.Is(err, enqueue.ErrNotFound) {
		return err
	}
	asked := int64(found.Good) - before.Total
	if asked <= 0 {
		return nil
	}
	if a.MaxWaiting > 0 {
		if waiting, err := c.Waiting(ctx); err != nil || waiting+asked > a.MaxWaiting {
			return cmp.Or[error](err, &WaitingError{waiting, asked, a.MaxWaiting, ""})
		}
	}
	if a.MaxOwned > 0 {
		if waiting, err := c.WaitingOf(ctx, a.Owner); err != nil || waiting+asked > a.MaxOwned {
			return cmp.Or[error](err, &WaitingError{waiting, asked, a.MaxOwned, a.Owner})
		}
	}
	return nil
}

// invites are the good rows, and on the way their ordinals are noted.
func (l *List) invites(ctx context.Context, a Acceptance, ordinals *[]uint32) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for row, err := range l.Rows(ctx, a.ImportID) {
			if isAboutRow(err) {
				continue
			}
			if err == nil {
				*ordinals = append(*ordinals, row.ordinal)
				row.Invite.Row = row.Place.Row
			}
			if !yield(row.Invite, err) || err != nil {
				return
			}
		}
	}
}
