package worker

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/webhook"
)

// webhookGroup is the group of consumers that the relays of all workers form.
const webhookGroup = "webhooks"

// relay tells the receiver of webhooks what becomes of invites, if there is one.
type relay struct {
	ledger   *ledger.Ledger
	client   *asynq.Client
	queue    string
	receiver *webhook.Sender // may be nil
	health   *health
	log      zerolog.Logger
}

// gone reports whether the receiver has said that it wants no more. Another URL is
// another receiver.
func (y *relay) gone(ctx context.Context) (bool, error) {
	gone, err := y.ledger.ReceiverGone(ctx)
	return gone == y.receiver.Fingerprint(), err
}

// run gives every event a task that posts it. The workers share the events; each is
// enqueued at least once, and its id is the task's.
func (y *relay) run(ctx context.Context) {
	if y.receiver == nil {
		return
	}
	name := tasks.NewID("relay")
	for ctx.Err() == nil {
		for e, err := range y.ledger.ConsumeEvents(ctx, webhookGroup, name) {
			if err == nil {
				err = y.enqueue(ctx, e)
			}
			if err != nil {
				y.health.redis(err)
				break
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (y *relay) enqueue(ctx context.Context, e tasks.Event) error {
	if e.To == tasks.Sending.String() {
		return nil // It says nothing to anybody outside, and doubles their number.
	}
	if gone, err := y.gone(ctx); gone || err != nil {
		return err
	}
	err := webhook.PostOf(e).Enqueue(ctx, y.client, y.queue, "")
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// handle posts one event, once. A failure is asynq's to repeat, at the
// times of webhook.Retries.
func (y *relay) handle(ctx context.Context, task *asynq.Task) error {
	if y.receiver == nil {
		return hopeless(errors.New("this worker has no webhook configured"))
	}
	p, err := webhook.ParsePost(task.Payload())
	if err != nil {
		return hopeless(err)
	}
	switch gone, err := y.gone(ctx); {
	case err != nil:
		return err
	case gone:
		return hopeless(webhook.ErrGone)
	}
	e, err := y.event(ctx, p)
	if err != nil {
		return err
	}
	answer, err := y.receiver.Send(ctx, webhook.MessageOf(e))
	if kept := report(task, answer); kept != nil && err == nil {
		y.log.Warn().Err(kept).Msg("the answer to a webhook is not shown on the pages") // It has been posted.
	}
	if errors.Is(err, webhook.ErrGone) {
		y.log.Error().Err(err).Msg("webhook")
		return errors.Join(hopeless(err), y.ledger.SetReceiverGone(ctx, y.receiver.Fingerprint()))
	}
	return err
}

// event reads the event that a task names. The stream keeps a hundred thousand of
// them; of an older one the receiver is told how it stands now, which is what it
// would have to know in the end.
func (y *relay) event(ctx context.Context, p webhook.Post) (tasks.Event, error) {
	e, found, err := y.ledger.Event(ctx, p.Position)
	if err != nil || found && e.ID == p.Data.EventID {
		return e, err
	}
	if p.Data.InviteID != "" {
		r, err := recordOf(ctx, y.ledger, p.Data.InviteID)
		return r.Event(), err
	}
	i, err := y.ledger.Import(ctx, p.Data.ImportID)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return e, hopeless(err)
	case err != nil:
		return e, err
	case i.Open() > 0:
		return e, hopeless(errors.New("the import has open invites again"))
	}
	return tasks.Event{ID: i.ID + ":completed", ImportID: i.ID, To: tasks.ImportCompleted, At: time.Now()}, nil
}

// webhookDelay is when a post that has failed n times is tried again.
func webhookDelay(n int) time.Duration {
	return webhook.Retries[min(n+1, len(webhook.Retries)-1)]
}
