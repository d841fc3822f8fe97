package api

import (
	"errors"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// inviteJSON is the answer of GET /v1/invites/{id}. It holds an address in the
// open.
type inviteJSON struct {
	Object string `json:"object"`
	enqueue.StatusJSON
}

// invite is GET /v1/invites/{id}: everything that inviteq knows of an invite. The
// Idempotency-Key of the request that made it does as well, to whoever made it.
func (x *exchange) invite() *answer {
	if refused := x.plain(); refused != nil {
		return refused
	}
	list, err := x.cfg.Client.Status(x.ctx, x.id)
	if errors.Is(err, enqueue.ErrNotFound) {
		list, err = x.cfg.Client.Status(x.ctx, idempotencyKey{x.id, x.token.Name}.invite())
	}
	switch {
	case errors.Is(err, enqueue.ErrNotFound):
		return notFound("No invite was found with the given id, or made by a request of yours with that Idempotency-Key.")
	case err != nil:
		return unavailable(err)
	}
	x.entry.Invites = 1
	return ok(inviteJSON{"invite", list[0].JSON()})
}

// plain checks a request that has an id and no parameters. What cannot be an id,
// an address for instance, goes neither into Redis nor into the log.
func (x *exchange) plain() *answer {
	if refused := refuseUnknown(x.r.URL.Query()); refused != nil {
		return refused
	}
	return x.checkID()
}

func (x *exchange) checkID() *answer {
	if tasks.CheckID(x.id) != nil {
		return notFound("No such id is known.")
	}
	x.entry.ID = x.id
	return nil
}
