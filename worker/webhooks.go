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
	payload, err := json.Marshal(webhook.MessageOf(e))
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
	var m webhook.Message
	if err := json.Unmarshal(task.Payload(), &m); err != nil {
		return hopeless(errors.New("payload is not a webhook's"))
	}
	switch gone, err := y.gone(ctx); {
	case err != nil:
		return err
	case gone:
		return hopeless(webhook.ErrGone)
	}
	err := y.receiver.Send(ctx, m)
	if errors.Is(err, webhook.ErrGone) {
		y.log.Error().Err(err).Msg("webhook")
		return errors.Join(hopeless(err), y.ledger.SetReceiverGone(ctx, y.receiver.Fingerprint()))
	}
	return err
}

// webhookDelay is when a post that has failed n times is tried again.
func webhookDelay(n int) time.Duration {
	return webhook.Retries[min(n+1, len(webhook.Retries)-1)]
}
