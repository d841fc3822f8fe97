package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/worker/webhook"
)

// snooze is the error with which a handler says: not failed, run me again then.
// asynq counts no retry for it (isFailure) and asks it for the delay (retryDelay).
type snooze struct {
	until time.Time
	why   string
}

// Error is what asynqmon shows as the task's last error.
func (s *snooze) Error() string { return "waiting: " + s.why }

// isFailure is asynq's IsFailure.
func isFailure(err error) bool {
	_, waits := errors.AsType[*snooze](err)
	return !waits
}

// minSnooze keeps a task that waits for something close from running all the
// time. asynq floors retry times to the second, so it is more than one.
const minSnooze = 2 * time.Second

// retryDelay is asynq's RetryDelayFunc. asynq floors the time to the second and
// may run the task up to a second early, so a second is added, and jitter.
func retryDelay(n int, err error, task *asynq.Task) time.Duration {
	if s, ok := errors.AsType[*snooze](err); ok {
		d := max(time.Until(s.until), minSnooze)
		return d + time.Second + rand.N(max(d/20, time.Millisecond))
	}
	if task != nil && task.Type() == webhook.TaskType {
		return webhookDelay(n)
	}
	// A handler fails only when Redis does: the ledger counts nothing.
	return min(time.Minute, time.Second<<min(n, 6)) + rand.N(time.Second)
}

// hopeless is the error of a task that will never work: asynq archives it, with
// the reason, for a person to see.
func hopeless(err error) error { return fmt.Errorf("%w: %w", err, asynq.SkipRetry) }
