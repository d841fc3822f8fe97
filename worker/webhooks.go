package worker

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/webhook"
)

// typeWebhook is the task that posts one event. Workers enqueue it for
// themselves: it is no part of the wire format.
const typeWebhook = "webhook:post"

// webhookGroup is the group of consumers that the relays of all workers form.
const webhookGroup = "webhooks"

// post is the payload of a task: it names an event. What is posted comes from the
// ledger, because others can write to the queue as well. Tasks of before have the
// whole message and no position.
type post struct {
	Position string   `json:"position"`
	Data     postData `json:"data"`
}

type postData struct {
	EventID  string `json:"event_id"`
	InviteID string `json:"invite_id,omitzero"`
	ImportID string `json:"import_id,omitzero"`
}

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
	payload, err := json.Marshal(post{e.Position, postData{e.ID, e.InviteID, e.ImportID}})
	if err != nil {
		return err
	}
	_, err = y.client.EnqueueContext(ctx, asynq.NewTask(typeWebhook, payload),
		asynq.Queue(y.queue), asynq.TaskID("webhook:"+e.ID), asynq.MaxRetry(len(webhook.Retries)-1),
		asynq.Timeout(tasks.Timeout), asynq.Retention(tasks.Retention))
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
	var p post
	if err := json.Unmarshal(task.Payload(), &p); err != nil {
		return hopeless(errors.New("payload is not a webhook's"))
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
	err = y.receiver.Send(ctx, webhook.MessageOf(e))
	if errors.Is(err, webhook.ErrGone) {
		y.log.Error().Err(err).Msg("webhook")
		return errors.Join(hopeless(err), y.ledger.SetReceiverGone(ctx, y.receiver.Fingerprint()))
	}
	return err
}

// event reads the event that a task names. The stream keeps a hundred thousand of
// them; of an older one the receiver is told how it stands now, which is what it
// would have to know in the end.
func (y *relay) event(ctx context.Context, p post) (tasks.Event, error) {
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
