package enqueue

import (
	"context"
	"errors"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// The record of an invite comes before its task. Both are scripts, and a server
// runs what comes over one connection in its order: so the record can be written
// in the very round trip that leaves the task. An invite goes this way if
//
//   - it is no member of an import, whose task is the chunk's;
//   - Redis is one server: a cluster keeps no order between two of its nodes.
//
// The task is left before the answer about the id is known. Should the ledger have
// known the id, it is the task of the invite that has it, and does no harm: handlers
// read the ledger. If that invite needs none, it is taken back.
//
// asynq's client knows nothing of it. It calls its script as ever, on a connection
// that sends ahead what the context carries.

// oneTrip is the connection of asynq's client.
type oneTrip struct{ *redis.Client }

// ahead is what a context carries for a oneTrip.
type ahead struct {
	ledger *ledger.Ledger
	entry  ledger.Entry

	sent       bool // A oneTrip has come by.
	admissions []ledger.Admission
	left       bool // The task was left now: there was none.
	err        error
}

type aheadKey struct{}

var errNoRecord = errors.New("the record could not be written")

// EvalSha sends what ctx carries ahead of the call. If that fails, so does the
// call, in a way that keeps asynq from repeating its own half.
func (c oneTrip) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	a, ok := ctx.Value(aheadKey{}).(*ahead)
	if !ok || a.sent {
		return c.Client.EvalSha(ctx, sha, keys, args...)
	}
	a.sent = true
	pipe := c.Pipeline()
	read := a.ledger.QueueAdmit(ctx, pipe, ledger.Now, a.entry)
	call := pipe.EvalSha(ctx, sha, keys, args...)
	_, _ = pipe.Exec(ctx) // Each of the two has its own error.
	if a.admissions, a.err = read(); a.err != nil {
		call = redis.NewCmd(ctx)
		call.SetErr(errNoRecord)
	}
	n, err := call.Int()
	a.left = n == 1 && err == nil
	return call
}

// inOneTrip admits an invite and leaves its task. It returns nothing if the usual
// way must be gone: Redis does not know a script yet, or the ledger's salt has
// changed. What the attempt has left behind does no harm then: the task, if it is
// there, is the one that the usual way leaves, and it waits for its record a
// fraction of a second.
func (c *Client) inOneTrip(ctx context.Context, l *ledger.Ledger, i tasks.Invite, isNew bool) (_ *ahead, taskErr, _ error) {
	entry, err := l.PrepareOne(i, isNew)
	if err != nil {
		return nil, nil, err
	}
	a := &ahead{ledger: l, entry: entry}
	taskErr = c.giveCreate(context.WithValue(ctx, aheadKey{}, a), i)
	if !a.sent {
		return nil, nil, nil
	}
	if _, fromServer := errors.AsType[redis.Error](a.err); fromServer {
		return nil, nil, nil
	}
	return a, taskErr, a.err
}

// takeBack takes the task away that a trip has left for an id whose invite needs none.
// Should a worker be quicker, it finds the ledger as it is.
func (c *Client) takeBack(trip *ahead, i tasks.Invite) {
	if trip == nil || !trip.left {
		return
	}
	_ = asynq.NewInspectorFromRedisClient(c.rdb).DeleteTask(c.queues.Of(i.Lane), i.ID)
}

// asynqClient returns asynq's client on a connection, and whether it can send two
// calls in one round trip.
func asynqClient(rdb redis.UniversalClient) (_ *asynq.Client, inOne bool) {
	if one, ok := rdb.(*redis.Client); ok {
		return asynq.NewClientFromRedisClient(oneTrip{one}), true
	}
	return asynq.NewClientFromRedisClient(rdb), false
}
