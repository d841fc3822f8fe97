package worker

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/webhook"
)

// typeWebhook is the task that posts one event. Workers enqueue it for
// themselves: it is no part of the wire format.
const typeWebhook = "webhook:post"

// webhookGroup is the group of consumers that the relays of all workers form.
const webhookGroup = "webhooks"

// webhookGone reports whether the receiver has said that it wants no more. Another
// URL is another receiver.
func (w *Worker) webhookGone(ctx context.Context) (bool, error) {
	gone, err := w.ledger.ReceiverGone(ctx)
	return gone == w.cfg.Webhook.Fingerprint(), err
}

// relay gives every event a task that posts it. The workers share the events;
// each is enqueued at least once, and its id is the task's.
func (w *Worker) relay(ctx context.Context) {
	if w.cfg.Webhook == nil {
		return
	}
	name := tasks.NewID("relay")
	for ctx.Err() == nil {
		for e, err := range w.ledger.ConsumeEvents(ctx, webhookGroup, name) {
			if err == nil {
				err = w.enqueueWebhook(ctx, e)
			}
			if err != nil {
				w.health.redis(err)
				break
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (w *Worker) enqueueWebhook(ctx context.Context, e tasks.Event) error {
	if e.To == tasks.Sending.String() {
		return nil // It says nothing to anybody outside, and doubles their number.
	}
	if gone, err := w.webhookGone(ctx); gone || err != nil {
		return err
	}
	payload, err := json.Marshal(webhook.MessageOf(e))
	if err != nil {
		return err
	}
	_, err = w.client.EnqueueContext(ctx, asynq.NewTask(typeWebhook, payload),
		asynq.Queue(w.queues.Control), asynq.TaskID("webhook:"+e.ID), asynq.MaxRetry(len(webhook.Retries)-1),
		asynq.Timeout(tasks.Timeout), asynq.Retention(tasks.Retention))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// handleWebhook posts one event, once. A failure is asynq's to repeat, at the
// times of webhook.Retries.
func (w *Worker) handleWebhook(ctx context.Context, task *asynq.Task) error {
	if w.cfg.Webhook == nil {
		return hopeless(errors.New("this worker has no webhook configured"))
	}
	var m webhook.Message
	if err := json.Unmarshal(task.Payload(), &m); err != nil {
		return hopeless(errors.New("payload is not a webhook's"))
	}
	switch gone, err := w.webhookGone(ctx); {
	case err != nil:
		return err
	case gone:
		return hopeless(webhook.ErrGone)
	}
	err := w.cfg.Webhook.Send(ctx, m)
	if errors.Is(err, webhook.ErrGone) {
		w.log.Error().Err(err).Msg("webhook")
		return errors.Join(hopeless(err), w.ledger.SetReceiverGone(ctx, w.cfg.Webhook.Fingerprint()))
	}
	return err
}

// webhookDelay is when a post that has failed n times is tried again.
func webhookDelay(n int) time.Duration {
	return webhook.Retries[min(n+1, len(webhook.Retries)-1)]
}
