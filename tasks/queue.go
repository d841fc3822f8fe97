package tasks

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// The task types.
const (
	TypeCreate     = "invitation:create"      // one invite
	TypeBulkCreate = "invitation:bulk_create" // a chunk of an import
	TypeRevoke     = "invitation:revoke"      // revoke one invite or invitation
	TypeReconcile  = "invitation:reconcile"   // compare the ledger with Clerk's list
)

// ChunkSize is how many invites of an import share one task.
const ChunkSize = 100

// Timeout is how long a handler may run: it waits a moment for the outcome of
// its invite and makes no slow call itself.
const Timeout = 30 * time.Second

// Retention is how long asynq keeps a finished task for people to look at. The
// ledger keeps the invite itself for longer.
const Retention = 24 * time.Hour

// AskedPass is the id of the task of a reconciliation that a person has asked for: there
// is one at a time. PassTimeout is how long a pass may take.
const (
	AskedPass   = "reconcile:asked"
	PassTimeout = 25 * time.Minute
)

// DefaultInstance names the only instance of most installations.
const DefaultInstance = "default"

// CheckInstance says what is wrong with the name of an instance: one Clerk
// instance (one secret key) with its own ledger, queues and quotas.
func CheckInstance(name string) error {
	if name == "" || len(name) > 32 {
		return errors.New("instance must have 1 to 32 characters")
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return errors.New("instance may contain a-z, 0-9, - and _ only")
		}
	}
	return nil
}

// Queues are the names of an instance's asynq queues. The default instance has
// the bare names; others put their own in front, as in "acme:interactive".
type Queues struct{ Interactive, Import, Control string }

// QueuesOf returns the queue names of an instance.
func QueuesOf(instance string) Queues {
	prefix := instance + ":"
	if instance == DefaultInstance || instance == "" {
		prefix = ""
	}
	return Queues{prefix + "interactive", prefix + "import", prefix + "control"}
}

// Of returns the queue of a lane.
func (q Queues) Of(l Lane) string {
	if l == Import {
		return q.Import
	}
	return q.Interactive
}

// Names lists the queues, the most urgent first.
func (q Queues) Names() []string { return []string{q.Interactive, q.Control, q.Import} }

// TaskID is the id of the asynq task of a chunk.
func (b BulkCreate) TaskID() string { return b.ImportID + ":" + strconv.Itoa(b.From) }

// Options are the asynq options of every task: asynq's own retry counter is put
// out of reach, because attempts are counted in the ledger, where waiting does
// not count (asynq archives on Retried >= MaxRetry before it asks IsFailure).
func Options(queue, taskID string) []asynq.Option {
	return []asynq.Option{
		asynq.Queue(queue),
		asynq.TaskID(taskID),
		asynq.MaxRetry(math.MaxInt32),
		asynq.Timeout(Timeout),
		asynq.Retention(Retention),
	}
}
