package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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
	// Keep is how long a row stays after it was handed on. If Redis has forgotten it by
	// then (a crash or a failover has lost what was acknowledged last), it is handed on
	// again; a repeat is absorbed. It should be longer than what Redis may lose: with
	// appendfsync everysec about two seconds. Defaults to 10 s.
	Keep time.Duration
	// Every is how often it looks when there was nothing. Defaults to 0.5 s.
	Every time.Duration
	// Report, if set, is told about every batch that was not empty, and every error.
	Report func(Batch)
}

// Batch says what became of some rows of the outbox.
type Batch struct {
	Accepted int // Handed on.
	Refused  int // inviteq refuses them: they stay in table inviteq_outbox, where column problem says why; set it to NULL to try again.
	Again    int // Had been handed on, and Redis has forgotten them: they are handed on again.
	// Err says why no more was done: the database or Redis failed. It is tried again,
	// after a second, then after twice as long, at most half a minute.
	Err error
}

// Run hands rows on until ctx ends, and then returns nil: what goes wrong meanwhile is
// tried again, and told to Report. It is an error if DB or Client is missing.
//
// Each batch is one transaction: its rows are locked
// (SKIP LOCKED, so that relays do not wait for each other), handed on, and moved to table
// inviteq_outbox_handed when inviteq has accepted them as durably as the client's Config.Durability says. If
// anything dies in between, they are handed on again, and what the ledger has already it
// knows by the id. Keep later they are deleted there, if the ledger still has them.
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
		done := b.Accepted + b.Refused + b.Again
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
		sum = Batch{sum.Accepted + b.Accepted, sum.Refused + b.Refused, sum.Again + b.Again, errors.Join(sum.Err, b.Err)}
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

// Once hands one batch on, and, if there was no more, deletes what was handed on before
// and is remembered; for a program that has a loop of its own.
func (r *Relay) Once(ctx context.Context) (b Batch) {
	taken := 0
	if err := r.inTx(ctx, func(tx *sql.Tx) (err error) { b, taken, err = r.handOn(ctx, tx); return err }); err != nil {
		return Batch{Err: err}
	}
	for full := taken < r.size(); full; {
		again := 0
		if b.Err = r.inTx(ctx, func(tx *sql.Tx) (err error) { again, full, err = r.finish(ctx, tx); return err }); b.Err != nil {
			return b
		}
		b.Again += again
	}
	return b
}

// inTx commits what do does, unless that fails: then the rows are as they were.
func (r *Relay) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := r.DB.BeginTx(ctx, nil)
	if err == nil {
		if err = do(tx); err == nil {
			err = tx.Commit()
		} else {
			_ = tx.Rollback() // err says more
		}
	}
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// rowsOf is a set of rows. Their numbers are one text, which any driver can send.
const rowsOf = ` WHERE seq IN (SELECT unnest(string_to_array($1, ',')::bigint[]))`

const (
	takeRows = `WITH taken AS (
	DELETE FROM inviteq_outbox o USING (
		SELECT seq FROM inviteq_outbox WHERE problem IS NULL ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED
	) first WHERE o.seq = first.seq RETURNING o.seq, o.id, o.invite
), kept AS (INSERT INTO inviteq_outbox_handed (seq, id, invite) SELECT seq, id, invite FROM taken)
SELECT seq, id, invite FROM taken ORDER BY seq`
	markRows   = `UPDATE inviteq_outbox_handed SET handed_at = clock_timestamp()` + rowsOf
	handedRows = `SELECT seq, id, '' FROM inviteq_outbox_handed WHERE handed_at < clock_timestamp() - $2 * interval '1 second' ORDER BY handed_at LIMIT $1 FOR UPDATE SKIP LOCKED`
	deleteRows = `DELETE FROM inviteq_outbox_handed` + rowsOf
	waitAgain  = `INSERT INTO inviteq_outbox (id, invite) SELECT id, invite FROM inviteq_outbox_handed` + rowsOf + ` ORDER BY seq ON CONFLICT (id) DO NOTHING`
	refuseRow  = `INSERT INTO inviteq_outbox (id, invite, problem) VALUES ($1, $2, $3)`
)

// handOn hands rows on. They go into the other table, whose clock is PostgreSQL's.
func (r *Relay) handOn(ctx context.Context, tx *sql.Tx) (b Batch, taken int, _ error) {
	rows, err := take(ctx, tx, takeRows, r.size())
	if err != nil || len(rows) == 0 {
		return b, 0, err
	}
	began := time.Now()
	if err := r.invite(ctx, rows); err != nil {
		return b, 0, err
	}
	var accepted, refused []int64
	for _, w := range rows {
		if w.refuse == nil {
			accepted = append(accepted, w.seq)
			continue
		}
		refused = append(refused, w.seq)
		if _, err := tx.ExecContext(ctx, refuseRow, w.id, w.text, w.refuse.Error()); err != nil {
			return b, 0, err
		}
	}
	b.Accepted, b.Refused = len(accepted), len(refused)
	if err := change(ctx, tx, deleteRows, refused); err != nil {
		return b, 0, err
	}
	if time.Since(began) > time.Second { // Redis' answer is what counts, and it was slow.
		err = change(ctx, tx, markRows, accepted)
	}
	return b, len(rows), err
}

// finish deletes rows that were handed on long enough ago. Those that the ledger does not
// know any more wait again. full is true if there may be more.
func (r *Relay) finish(ctx context.Context, tx *sql.Tx) (again int, full bool, _ error) {
	rows, err := take(ctx, tx, handedRows, r.size(), cmp.Or(max(0, r.Keep), 10*time.Second).Seconds())
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	ids, all := make([]string, len(rows)), make([]int64, len(rows))
	for n, w := range rows {
		ids[n], all[n] = w.id, w.seq
	}
	known, err := r.Client.Remembers(ctx, ids)
	if err != nil {
		return 0, false, err
	}
	var lost []int64
	for n, is := range known {
		if !is {
			lost = append(lost, all[n])
		}
	}
	if err := change(ctx, tx, waitAgain, lost); err != nil {
		return 0, false, err
	}
	return len(lost), len(rows) == r.size(), change(ctx, tx, deleteRows, all)
}

// take returns rows, which no other relay is at.
func take(ctx context.Context, tx *sql.Tx, query string, args ...any) (taken []row, _ error) {
	found, err := tx.QueryContext(ctx, query, args...)
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
	return taken, found.Err()
}

// change does something to rows.
func change(ctx context.Context, tx *sql.Tx, query string, rows []int64) error {
	if len(rows) == 0 {
		return nil
	}
	text := make([]byte, 0, 8*len(rows))
	for n, seq := range rows {
		if n > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, seq, 10)
	}
	_, err := tx.ExecContext(ctx, query, string(text))
	return err
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
