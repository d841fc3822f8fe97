package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// outcomeWait is how long a handler waits for the outcome of its invite, which
// usually settles while its task runs.
const outcomeWait = 1500 * time.Millisecond

// pausedSnooze is how long a task sleeps whose lane is paused. The invite itself
// goes as soon as somebody resumes.
const pausedSnooze = 5 * time.Minute

// openSnooze is how long a task sleeps whose invite is being sent, or read about.
const openSnooze = 15 * time.Second

// handlers run the tasks of producers.
type handlers struct {
	ledger         *ledger.Ledger
	revokes        *revokes
	outcomes       *outcomes
	wakeDispatcher func()
	wakeChores     func()
}

// create makes sure that the record exists, nudges the dispatcher and
// waits a moment. The task ends with the outcome, or sleeps until the ETA.
func (h *handlers) create(ctx context.Context, task *asynq.Task) error {
	p, err := tasks.ParseCreate(task.Payload())
	if err != nil {
		return hopeless(err)
	}
	id := p.ID
	if p.Invite != nil {
		if id, err = h.adopt(ctx, p.Invite); err != nil {
			return err
		}
	}
	settled, stop := h.outcomes.await(ctx, id)
	defer stop()
	r, err := recordOf(ctx, h.ledger, id)
	if n, _ := asynq.GetRetryCount(ctx); n == 0 && errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("invite %s: %w", id, ledger.ErrNotFound) // Its producer may be about to write it.
	} else if err != nil {
		return err
	}
	if err := h.ledger.TaskSeen(ctx, id); err != nil {
		return err
	}
	if r.State == tasks.Queued {
		h.wakeDispatcher()
	}
	if r.State.Open() && time.Until(r.ReadyAt) <= 0 {
		select {
		case r = <-settled:
		case <-time.After(outcomeWait):
			if r, err = recordOf(ctx, h.ledger, id); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.State.Open() {
		return h.sleepUntilETA(ctx, r)
	}
	return report(task, outcomeOf(r))
}

// adopt writes the record of an invite that came whole in a foreign producer's
// payload. Its id is the task's, so that the task may run any number of times.
func (h *handlers) adopt(ctx context.Context, i *tasks.Invite) (string, error) {
	if i.ID == "" {
		taskID, _ := asynq.GetTaskID(ctx)
		if err := tasks.CheckID(taskID); err != nil {
			return "", hopeless(fmt.Errorf("the task's id %w; give the invite an id", err))
		}
		i.ID = taskID
	}
	admitted, _, err := h.ledger.Admit(ctx, ledger.Now, []tasks.Invite{*i})
	if err != nil {
		return "", err
	}
	if admitted[0] == ledger.Conflict {
		return "", hopeless(ledger.ErrConflict)
	}
	return i.ID, nil
}

// recordOf reads the record of one invite, which must be there.
func recordOf(ctx context.Context, l *ledger.Ledger, id string) (ledger.Record, error) {
	r, err := l.Read(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		err = hopeless(fmt.Errorf("invite %s: %w", id, err))
	}
	return r, err
}

// bulkCreate follows a chunk of an import: the task ends when every member
// has its outcome.
func (h *handlers) bulkCreate(ctx context.Context, task *asynq.Task) error {
	b, err := tasks.ParseBulkCreate(task.Payload())
	if err != nil {
		return hopeless(err)
	}
	var members []string
	if len(b.Invites) > 0 {
		if members, err = h.adoptAll(ctx, b); err != nil {
			return err
		}
	} else {
		if err := h.ledger.ChunkSeen(ctx, b); err != nil {
			return err
		}
		if members, err = h.ledger.Members(ctx, b); err != nil {
			return err
		}
	}
	records, err := h.ledger.Get(ctx, members...)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	var last *ledger.Record
	for i, r := range records {
		counts[r.State.String()]++
		if r.State.Open() {
			last = &records[i]
		}
	}
	if last == nil {
		return report(task, counts)
	}
	h.wakeDispatcher()
	return h.sleepUntilETA(ctx, *last)
}

func (h *handlers) adoptAll(ctx context.Context, b tasks.BulkCreate) ([]string, error) {
	ids := make([]string, len(b.Invites))
	for n := range b.Invites {
		i := &b.Invites[n]
		if i.ID == "" {
			i.ID = tasks.ImportInviteID(b.ImportID, i.EmailAddress)
		}
		ids[n] = i.ID
	}
	admitted, _, err := h.ledger.Admit(ctx, ledger.Now, b.Invites)
	if err != nil {
		return nil, err
	}
	for n, a := range admitted {
		if a == ledger.Conflict {
			return nil, hopeless(fmt.Errorf("invites[%d]: %w", n, ledger.ErrConflict))
		}
	}
	return ids, nil
}

// revoke carries out a revoke that needs Clerk.
func (h *handlers) revoke(ctx context.Context, task *asynq.Task) error {
	p, err := tasks.ParseRevoke(task.Payload())
	if err != nil {
		return hopeless(err)
	}
	taskID, _ := asynq.GetTaskID(ctx)
	done, outcome, err := h.revokes.target(ctx, p, taskID)
	if err != nil {
		return err
	}
	h.wakeChores()     // What is with Clerk is theirs to revoke.
	h.wakeDispatcher() // It may have made invites anew.
	if !done {
		return &snooze{time.Now().Add(minSnooze), "the invitation is being revoked"}
	}
	return report(task, outcome)
}

// sleepUntilETA lets a task sleep until its invite will have been sent, as far as
// anybody knows.
func (h *handlers) sleepUntilETA(ctx context.Context, r ledger.Record) error {
	if r.State != tasks.Queued {
		return &snooze{time.Now().Add(openSnooze), r.State.String()}
	}
	etas, err := h.ledger.ETAs(ctx, ledger.Now, r)
	if err != nil {
		return err
	}
	if etas[0].IsZero() {
		return &snooze{time.Now().Add(pausedSnooze), "its lane is paused"}
	}
	return &snooze{etas[0], "its turn comes then"}
}

// outcome is the result that asynqmon shows for a finished task.
type outcome struct {
	State        string       `json:"state"`
	Reason       tasks.Reason `json:"reason,omitzero"`
	InvitationID string       `json:"invitation_id,omitzero"`
}

func outcomeOf(r ledger.Record) outcome { return outcome{r.State.String(), r.Reason, r.InvitationID} }

func report(task *asynq.Task, result any) error {
	b, err := json.Marshal(result)
	if err != nil {
		return err
	}
	rw := task.ResultWriter()
	if rw == nil {
		return errors.New("task has no result writer")
	}
	_, err = rw.Write(b)
	return err
}
