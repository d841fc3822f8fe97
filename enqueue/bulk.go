package enqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// BulkOptions say how BulkInvite treats a list. The zero value is ready to use.
type BulkOptions struct {
	// ImportID names the import, for Import, List and for going on after an
	// error. Defaults to a new id. It has the form of an id (tasks.CheckID).
	ImportID string

	// Name is that of the file that the list came from. It is shown with the import;
	// "" keeps none, as a name that looks like an address.
	Name string

	// Owner says who asks, for invites that name nobody: it is shown with the import.
	Owner string

	// Hold is how long the import waits before its first invite is sent, so that the
	// caller can still take it back before any mail is sent. It counts for an
	// import that has not begun yet. Client.ResumeImport lets it go at once. Defaults
	// to 0: it goes at once.
	Hold time.Duration

	// KeepLanes leaves each invite in the lane that it names. Otherwise all of
	// them go into tasks.Import, because the zero lane of an invite that names
	// none is the one in which people wait.
	KeepLanes bool

	// Progress, if set, is told after each chunk (tasks.ChunkSize invites) how
	// far it has got. It is called by the goroutine that called BulkInvite.
	Progress func(BulkResult)
}

// maxName is how much of a file's name is kept, in bytes.
const maxName = 100

// shownName is the part of a file's name that can be shown anywhere.
func shownName(name string) string {
	if strings.Contains(name, "@") {
		return ""
	}
	name = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, name)
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "")
}

// MaxConflicts is how many conflicts a BulkResult names.
const MaxConflicts = 1000

// BulkResult says what has become of the invites of a list. Admitted, Known and
// Conflicting add up to those that have been taken from it.
type BulkResult struct {
	ImportID    string
	Held        bool // It waits, as BulkOptions.Hold has asked.
	Admitted    int  // New: they will be sent.
	Known       int  // In the ledger already with the same content: from an earlier run, or twice in the list.
	Conflicting int  // Not accepted: their id has other content in the ledger.

	// Conflicts names the conflicting ones, at most the first MaxConflicts.
	Conflicts []Conflict

	// TaskErr says why a chunk has no asynq task (the first reason, if there
	// are several). Its invites are accepted all the same: see Result.TaskErr.
	TaskErr error
}

// Done is how many invites have been taken from the list.
func (r BulkResult) Done() int { return r.Admitted + r.Known + r.Conflicting }

// Conflict is an invite of a list whose id is taken by other content. Without an
// id of its own an invite of an import has one made of the import's id and its
// address (tasks.ImportInviteID): then the same address stood in this import
// before, with other content.
type Conflict struct {
	Position int // Its place in the list, from 0.
	ID       string
	ImportID string // The import of the invite that has the id; "" if it belongs to none, or is forgotten.
}

// Err returns the conflict as an error.
func (c Conflict) Err() error { return &ConflictError{c.ID, c.ImportID} }

// RowInvalidError says that an invite of a list is not valid.
type RowInvalidError struct {
	Position int   // Its place in the list, from 0.
	Err      error // A *tasks.ValidationError.
}

// Error names the place and the problems, never a value.
func (e *RowInvalidError) Error() string {
	return fmt.Sprintf("invite at position %d: %v", e.Position, e.Err)
}

// Unwrap returns the *tasks.ValidationError.
func (e *RowInvalidError) Unwrap() error { return e.Err }

// Each is a list in memory, for BulkInvite.
func Each(invites []tasks.Invite) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for _, i := range invites {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// BulkInvite accepts a list of any length as one import. It reads the list as
// it goes and holds two chunks of tasks.ChunkSize invites at a time: while one
// is written (a round trip for its records, another for its one task), the next
// is read and encoded. The invites are sent in the order of the list.
//
// An invite without an id gets one made of the import's id and its address. The
// same list under the same ImportID therefore makes no second invite, even if
// rows have moved or been added; BulkInvite may be repeated as often as needed.
//
// An error of the list, an invalid invite or a failing Redis ends it with an
// *ImportError, which says how far it got; the BulkResult says so too. Chunks
// are taken whole: of the one in which the list broke, nothing is. Conflicts do
// not end it. For a list in memory there is Each.
func (c *Client) BulkInvite(ctx context.Context, list iter.Seq2[tasks.Invite, error], o BulkOptions) (BulkResult, error) {
	if o.ImportID == "" {
		o.ImportID = tasks.NewID("imp")
	}
	if err := tasks.CheckID(o.ImportID); err != nil {
		return BulkResult{}, &tasks.ValidationError{Problems: []tasks.Problem{{Field: "import_id", Reason: err.Error()}}}
	}
	ctx, end := startSpan(ctx, "inviteq enqueue import", func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("inviteq.import_id", o.ImportID)}
	})
	in := importer{client: c, opts: o, result: BulkResult{ImportID: o.ImportID}}
	err := in.run(ctx, list)
	end(err)
	if err != nil {
		err = &ImportError{ImportID: o.ImportID, Done: in.result.Done(), Err: err}
	}
	return in.result, err
}

// importer is one run of BulkInvite. The goroutine that called it reads the
// list and keeps the result; another one writes.
type importer struct {
	client  *Client
	ledger  *ledger.Ledger
	opts    BulkOptions
	result  BulkResult
	chunks  chan encoded
	written chan written
	pending bool // A chunk is being written.
}

// encoded is a chunk that is ready to be written.
type encoded struct {
	chunk []tasks.Invite
	entry ledger.Entry
}

// written is what became of a chunk.
type written struct {
	chunk      []tasks.Invite
	admissions []ledger.Admission
	imports    map[string]string // Those of the conflicting ids.
	taskErr    error
	err        error
}

func (in *importer) run(ctx context.Context, list iter.Seq2[tasks.Invite, error]) (err error) {
	if in.ledger, err = in.client.open(ctx); err != nil {
		return err
	}
	if in.opts.Hold > 0 {
		if in.result.Held, err = in.ledger.HoldImport(ctx, ledger.Now, in.opts.ImportID, in.opts.Hold); err != nil {
			return err
		}
	}
	if err := in.room(ctx); err != nil {
		return err
	}
	in.chunks, in.written = make(chan encoded), make(chan written)
	go in.write(ctx)
	defer close(in.chunks)
	defer func() { err = cmp.Or(in.settle(), err) }() // What is being written counts, whatever happened.

	chunk, position := in.newChunk(), 0
	for i, err := range list {
		if err != nil {
			return err
		}
		if err := in.prepare(&i); err != nil {
			return &RowInvalidError{position, err}
		}
		position++
		if chunk = append(chunk, i); len(chunk) == tasks.ChunkSize {
			if err := in.hand(ctx, chunk); err != nil {
				return err
			}
			if position%(roomEvery*tasks.ChunkSize) == 0 {
				if err := in.room(ctx); err != nil {
					return err
				}
			}
			chunk = in.newChunk()
		}
	}
	return in.hand(ctx, chunk)
}

// roomEvery is after how many chunks it is asked again whether Redis has room.
const roomEvery = 10

// room refuses to go on while Redis has little memory left: people who click, and the
// deliveries of what is there, must not meet the wall.
func (in *importer) room(ctx context.Context) error {
	return redisconn.Room(ctx, in.client.rdb, in.ledger.Key())
}

func (*importer) newChunk() []tasks.Invite { return make([]tasks.Invite, 0, tasks.ChunkSize) }

// hand gives a chunk to the writer once the last one is written.
func (in *importer) hand(ctx context.Context, chunk []tasks.Invite) error {
	entry, err := in.ledger.Prepare(chunk)
	if err := cmp.Or(in.settle(), err); err != nil || len(chunk) == 0 {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	in.chunks <- encoded{chunk, entry}
	in.pending = true
	return nil
}

// settle waits for the chunk that is being written, if any, and counts it.
func (in *importer) settle() error {
	if !in.pending {
		return nil
	}
	w := <-in.written
	in.pending = false
	if w.err != nil {
		return w.err
	}
	in.result.count(w)
	if in.opts.Progress != nil {
		in.opts.Progress(in.result)
	}
	return nil
}

func (r *BulkResult) count(w written) {
	for n, a := range w.admissions {
		switch a {
		case ledger.Admitted:
			r.Admitted++
		case ledger.Known:
			r.Known++
		case ledger.Conflict:
			if r.Conflicting++; len(r.Conflicts) < MaxConflicts {
				r.Conflicts = append(r.Conflicts, Conflict{r.Done() - 1, w.chunk[n].ID, w.imports[w.chunk[n].ID]})
			}
		}
	}
	r.TaskErr = cmp.Or(r.TaskErr, w.taskErr)
}

// write is the other goroutine. That a task could not be left stops nothing: the
// records are there, and if it is Redis that is gone, the next chunk says so.
func (in *importer) write(ctx context.Context) {
	name := shownName(in.opts.Name)
	for e := range in.chunks {
		w := written{chunk: e.chunk}
		var fresh tasks.BulkCreate
		w.admissions, fresh, w.err = in.ledger.AdmitEntry(ctx, ledger.Now, e.entry)
		if w.err == nil && fresh.Count > 0 {
			w.taskErr = in.client.giveChunk(ctx, fresh, earliest(e.chunk))
			if name != "" {
				w.err = in.ledger.NameImport(ctx, in.opts.ImportID, name)
				name = ""
			}
		}
		if w.err == nil {
			w.imports, w.err = in.client.reconsider(ctx, in.ledger, e.chunk, w.admissions)
		}
		in.written <- w
	}
}

// prepare fills in what the import decides, and validates.
func (in *importer) prepare(i *tasks.Invite) error {
	var problems []tasks.Problem
	if i.ImportID != "" && i.ImportID != in.opts.ImportID {
		problems = append(problems, tasks.Problem{Field: "import_id", Reason: "must be empty or that of the import"})
	}
	i.ImportID = in.opts.ImportID
	i.Owner = cmp.Or(i.Owner, in.opts.Owner)
	if !in.opts.KeepLanes {
		i.Lane = tasks.Import
	}
	if i.ID == "" && !i.EmailAddress.IsZero() {
		i.ID = tasks.ImportInviteID(i.ImportID, i.EmailAddress)
	}
	if v, ok := errors.AsType[*tasks.ValidationError](i.Validate()); ok {
		problems = append(problems, v.Problems...)
	}
	if len(problems) > 0 {
		return &tasks.ValidationError{Problems: problems}
	}
	return nil
}

// earliest is when the first of the invites may be sent; the zero time when one
// may be sent at once.
func earliest(chunk []tasks.Invite) time.Time {
	at := chunk[0].NotBefore
	for _, i := range chunk {
		if i.NotBefore.Before(at) {
			at = i.NotBefore
		}
	}
	return at
}
