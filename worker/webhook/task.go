package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
)

// TaskType is the task that posts one event. Workers enqueue it for themselves: it is no
// part of the wire format.
const TaskType = "webhook:post"

// Post is the payload of a task: it names an event. What is posted comes from the
// ledger, because others can write to the queue as well. Tasks of before have the
// whole message and no position.
type Post struct {
	Position string `json:"position"`
	Data     Named  `json:"data"`
}

// Named is the event by its names.
type Named struct {
	EventID  string `json:"event_id"`
	InviteID string `json:"invite_id,omitzero"`
	ImportID string `json:"import_id,omitzero"`
}

// PostOf returns the payload for an event.
func PostOf(e tasks.Event) Post { return Post{e.Position, Named{e.ID, e.InviteID, e.ImportID}} }

// ParsePost decodes a payload.
func ParsePost(payload []byte) (p Post, err error) {
	if json.Unmarshal(payload, &p) != nil {
		err = errors.New("payload is not a webhook's")
	}
	return p, err
}

// Enqueue gives the event a task. again is "" for the first one: then its id is that of
// the event, and asynq.ErrTaskIDConflict says that it has one; a replay has another id.
func (p Post) Enqueue(ctx context.Context, client *asynq.Client, queue, again string) error {
	payload, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = client.EnqueueContext(ctx, asynq.NewTask(TaskType, payload),
		asynq.Queue(queue), asynq.TaskID("webhook:"+p.Data.EventID+again), asynq.MaxRetry(len(Retries)-1),
		asynq.Timeout(tasks.Timeout), asynq.Retention(tasks.Retention))
	return err
}

// Answer is what the receiver has said to a post: the result of its task, after every
// try. asynq keeps it for a day after a good one (tasks.Retention), and for ninety days
// after the last bad one, those of 10,000 tasks at most.
type Answer struct {
	Type   string        `json:"type"`   // of the message
	Status int           `json:"status"` // of HTTP; 0 if there was no answer
	Took   time.Duration `json:"took_ns"`
}
