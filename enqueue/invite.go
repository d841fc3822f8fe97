package enqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Result is an accepted invite.
type Result struct {
	// Status is the invite as it stands. A new one is queued; ask
	// Client.Status for its ETA.
	Status

	// Existing says that the id was known with the same content: nothing was
	// added, and Status tells how far the invite has got.
	Existing bool `json:"existing"`

	// Forgotten says that the known invite was settled so long ago that its
	// record is gone: of the Status only the ID is set.
	Forgotten bool `json:"forgotten,omitzero"`

	// TaskErr says why the asynq task could not be left beside the record. The
	// invite is accepted all the same: a worker sends what is in the ledger
	// and gives the record a task within a few minutes. It is worth a log
	// line, not a second call.
	TaskErr error `json:"-"`
}

// Invite accepts one invite: Redis gets its record, then its task. That takes one
// round trip, and two if the invite belongs to an import, or if Redis is a cluster.
// The zero lane is tasks.Interactive.
//
// All that is wrong with the invite comes back as a *tasks.ValidationError. An
// id that is taken by other content is a *ConflictError. After any other error
// the invite may have been accepted or not: call again with the id of the
// Result, which is set then too.
func (c *Client) Invite(ctx context.Context, i tasks.Invite) (_ Result, err error) {
	if err := i.Validate(); err != nil {
		return Result{}, err
	}
	isNew := i.ID == ""
	if isNew {
		i.ID = tasks.NewID("inq")
	}
	ctx, end := startSpan(ctx, "inviteq enqueue", func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("inviteq.id", i.ID), attribute.String("inviteq.lane", i.Lane.String())}
	})
	defer func() { end(err) }()
	named := Result{Status: Status{ID: i.ID}}
	l, err := c.open(ctx)
	if err != nil {
		return named, fmt.Errorf("invite %s: %w", i.ID, err)
	}
	now := l.Time() // Redis' own clock stamps the record, some moments from now
	var trip *ahead
	var taskErr error
	if c.inOne && i.ImportID == "" {
		if trip, taskErr, err = c.inOneTrip(ctx, l, i, isNew); err != nil {
			return named, fmt.Errorf("invite %s: %w", i.ID, err)
		}
	}
	var admissions []ledger.Admission
	var chunk tasks.BulkCreate
	if trip != nil {
		admissions = trip.admissions
	} else if admissions, chunk, err = l.Admit(ctx, ledger.Now, []tasks.Invite{i}); err != nil {
		return named, fmt.Errorf("invite %s: %w", i.ID, err)
	}
	imports, err := c.reconsider(ctx, l, []tasks.Invite{i}, admissions)
	switch {
	case err != nil:
		return named, fmt.Errorf("invite %s: %w", i.ID, err)
	case admissions[0] == ledger.Conflict:
		c.takeBack(trip, i)
		return named, &ConflictError{i.ID, imports[i.ID]}
	case admissions[0] == ledger.Known && !isNew:
		return c.existing(ctx, l, i, trip)
	}
	switch {
	case trip != nil:
	case chunk.Count > 0 && i.ImportID != "":
		taskErr = c.giveChunk(ctx, chunk, i.NotBefore)
	default:
		taskErr = c.giveCreate(ctx, i)
	}
	return Result{Status: newStatus(queued(i, now)), TaskErr: taskErr}, nil
}

// existing answers for an id that the ledger knew. Its first producer may have
// died before it left a task, so one is left again as long as it is of use.
func (c *Client) existing(ctx context.Context, l *ledger.Ledger, i tasks.Invite, trip *ahead) (Result, error) {
	r := Result{Status: Status{ID: i.ID}, Existing: true}
	known, err := l.Read(ctx, i.ID)
	if errors.Is(err, ErrNotFound) {
		c.takeBack(trip, i)
		r.Forgotten = true
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("invite %s is accepted, but its state cannot be read: %w", i.ID, err)
	}
	r = Result{Status: newStatus(known), Existing: true}
	needed := known.State == tasks.Queued && known.Invite.ImportID == ""
	if !needed || known.Invite.Lane != i.Lane {
		c.takeBack(trip, i)
		trip = nil
	}
	if needed && trip == nil {
		r.TaskErr = c.giveCreate(ctx, known.Invite)
	}
	return r, nil
}

// queued is the record that Admit has just written.
func queued(i tasks.Invite, now time.Time) ledger.Record {
	return ledger.Record{Invite: i, State: tasks.Queued, CreatedAt: now, UpdatedAt: now}
}

func (c *Client) giveCreate(ctx context.Context, i tasks.Invite) error {
	opts := tasks.Options(c.queues.Of(i.Lane), i.ID)
	if !i.NotBefore.IsZero() {
		opts = append(opts, asynq.ProcessAt(i.NotBefore))
	}
	return c.give(ctx, tasks.TypeCreate, tasks.Create{ID: i.ID}.Encode(), opts)
}

func (c *Client) giveChunk(ctx context.Context, chunk tasks.BulkCreate, notBefore time.Time) error {
	opts := tasks.Options(c.queues.Import, chunk.TaskID())
	if !notBefore.IsZero() {
		opts = append(opts, asynq.ProcessAt(notBefore))
	}
	return c.give(ctx, tasks.TypeBulkCreate, chunk.Encode(), opts)
}
