package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// Relay hands the outbox on to inviteq. Any number of them may work at a time, in the
// service itself or as `inviteq outbox`. DB and Client are required.
type Relay struct {
	DB     *sql.DB
	Client *enqueue.Client

	// Size is how many rows are handed on in one transaction. Defaults to 1000.
	Size int
	// Every is how often it looks when there was nothing. Defaults to 0.5 s.
	Every time.Duration
	// Report, if set, is told about every batch that was not empty, and every error.
	Report func(Batch)
}

// Batch says what became of some rows of the outbox.
type Batch struct {
	Accepted int // Handed on, and gone from the outbox.
	Refused  int // inviteq refuses them: they stay, and column problem says why.
	// Err says why no more was done: the database or Redis failed. It is tried again,
	// after a second, then after twice as long, at most half a minute.
	Err error
}

// Run hands rows on until ctx ends. Each batch is one transaction: its rows are locked
// (SKIP LOCKED, so that relays do not wait for each other), handed on, and deleted when
// inviteq has accepted them as durably as the client's Config.Durability says. If
// anything dies in between, the rows are still there, and what the ledger has already it
// knows by the id.
func (r *Relay) Run(ctx context.Context) error {
	if r.DB == nil || r.Client == nil {
		return errors.New("outbox: a relay needs a DB and a Client")
	}
	report := r.Report
	if report == nil {
		report = func(Batch) {}
	}
	trouble, calls := 0, 1
	for {
		b := r.side(ctx, calls)
		done := b.Accepted + b.Refused
		if done > 0 || b.Err != nil && ctx.Err() == nil {
			report(b)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to end
		}
		pause := time.Duration(0)
		switch {
		case b.Err != nil:
			pause = min(30*time.Second, time.Second<<min(trouble, 5))
			trouble++
		case done == 0:
			pause, trouble = cmp.Or(max(0, r.Every), time.Second/2), 0
		default:
			trouble = 0
		}
		if calls = 1; done >= r.size() {
			calls = 2 // Many wait: one batch is with the database while the other is with Redis.
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

func (r *Relay) size() int {
	if r.Size > 0 {
		return r.Size
	}
	return 1000
}

// side hands so many batches on, side by side.
func (r *Relay) side(ctx context.Context, calls int) (sum Batch) {
	batches := make([]Batch, calls)
	var parts sync.WaitGroup
	for n := range batches {
		parts.Go(func() { batches[n] = r.Once(ctx) })
	}
	parts.Wait()
	for _, b := range batches {
		sum = Batch{sum.Accepted + b.Accepted, sum.Refused + b.Refused, errors.Join(sum.Err, b.Err)}
	}
	return sum
}

// row is one of the outbox.
type row struct {
	seq    int64
	id     string
	text   string
	refuse error
}

// Once hands one batch on; for a program that has a loop of its own.
func (r *Relay) Once(ctx context.Context) (b Batch) {
	tx, err := r.DB.BeginTx(ctx, nil)
	if err != nil {
		return Batch{Err: fmt.Errorf("outbox: %w", err)}
	}
	defer func() {
		if b.Err != nil {
			_ = tx.Rollback() // The rows are there again.
		}
	}()
	rows, err := r.take(ctx, tx)
	if err != nil {
		return Batch{Err: fmt.Errorf("outbox: %w", err)}
	}
	if err := r.invite(ctx, rows); err != nil {
		return Batch{Err: fmt.Errorf("outbox: %w", err)}
	}
	for _, w := range rows {
		if w.refuse == nil {
			b.Accepted++
			continue
		}
		b.Refused++
		if _, err := tx.ExecContext(ctx, `INSERT INTO inviteq_outbox (id, invite, problem) VALUES ($1, $2, $3)`, w.id, w.text, w.refuse.Error()); err != nil {
			return Batch{Err: fmt.Errorf("outbox: %w", err)}
		}
	}
	if err := tx.Commit(); err != nil {
		return Batch{Err: fmt.Errorf("outbox: %w", err)}
	}
	return b
}

const takeRows = `DELETE FROM inviteq_outbox o USING (
	SELECT seq FROM inviteq_outbox WHERE problem IS NULL ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED
) taken WHERE o.seq = taken.seq RETURNING o.seq, o.id, o.invite`

// take deletes rows and returns them, in their order.
func (r *Relay) take(ctx context.Context, tx *sql.Tx) (taken []row, _ error) {
	found, err := tx.QueryContext(ctx, takeRows, r.size())
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var w row
		if err := found.Scan(&w.seq, &w.id, &w.text); err != nil {
			return nil, err
		}
		taken = append(taken, w)
	}
	slices.SortFunc(taken, func(a, b row) int { return int(a.seq - b.seq) })
	return taken, found.Err()
}

// invite hands rows on and writes down which are refused.
func (r *Relay) invite(ctx context.Context, rows []row) error {
	invites, readable := make([]tasks.Invite, 0, len(rows)), make([]*row, 0, len(rows))
	for n := range rows {
		w := &rows[n]
		i, err := read(w.text, w.id)
		if w.refuse = err; err == nil {
			invites, readable = append(invites, i), append(readable, w)
		}
	}
	refused, err := r.Client.InviteSeveral(ctx, invites)
	if err != nil {
		return err
	}
	for n, w := range readable {
		w.refuse = refused[n]
	}
	return nil
}

var errUnreadable = errors.New("column invite is not the JSON of an invite, or names another id")

func read(text, id string) (tasks.Invite, error) {
	var j tasks.InviteJSON
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&j) != nil || j.ID != id { // The decoder's own error may quote the row.
		return tasks.Invite{}, errUnreadable
	}
	return j.Invite()
}
