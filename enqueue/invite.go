package enqueue

import (
	"context"
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

// Invite accepts one invite: Redis gets its record, then its task. That takes two
// round trips, and one if the invite leaves its id to us (and Redis is no cluster).
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
	if c.inOne && isNew && i.ImportID == "" {
		taskErr, ok, err := c.inOneTrip(ctx, l, i)
		if err != nil {
			return named, fmt.Errorf("invite %s: %w", i.ID, err)
		}
		if ok {
			return Result{Status: newStatus(queued(i, now)), TaskErr: taskErr}, nil
		}
	}
	admissions, chunk, err := l.Admit(ctx, ledger.Now, []tasks.Invite{i})
	if err != nil {
		return named, fmt.Errorf("invite %s: %w", i.ID, err)
	}
	imports, err := c.reconsider(ctx, l, []tasks.Invite{i}, admissions)
	if err != nil {
		return named, fmt.Errorf("invite %s: %w", i.ID, err)
	}
	switch {
	case admissions[0] == ledger.Conflict:
		return named, &ConflictError{i.ID, imports[i.ID]}
	case admissions[0] == ledger.Known && !isNew:
		return c.existing(ctx, l, i.ID)
	}
	r := Result{Status: newStatus(queued(i, now))}
	if chunk.Count > 0 && i.ImportID != "" {
		r.TaskErr = c.giveChunk(ctx, chunk, i.NotBefore)
	} else {
		r.TaskErr = c.giveCreate(ctx, i)
	}
	return r, nil
}

// existing answers for an id that the ledger knew. Its first producer may have
// died before it left a task, so one is left again as long as it is of use.
func (c *Client) existing(ctx context.Context, l *ledger.Ledger, id string) (Result, error) {
	r := Result{Status: Status{ID: id}, Existing: true}
	records, err := l.Get(ctx, id)
	if err != nil {
		return r, fmt.Errorf("invite %s is accepted, but its state cannot be read: %w", id, err)
	}
	if len(records) == 0 {
		r.Forgotten = true
		return r, nil
	}
	r = Result{Status: newStatus(records[0]), Existing: true}
	if records[0].State == tasks.Queued && records[0].Invite.ImportID == "" {
		r.TaskErr = c.giveCreate(ctx, records[0].Invite)
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
