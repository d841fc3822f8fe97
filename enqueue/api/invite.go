package api

import (
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
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
	r, found, err := x.record(x.ctx, x.id)
	if err == nil && !found {
		var id string
		if id, err = x.inviteID(x.ctx, idempotencyKey{x.id, x.token}); err == nil && id != x.id {
			r, found, err = x.record(x.ctx, id)
		}
	}
	if err == nil && !found {
		return notFound("No invite was found with the given id, or made by a request of yours with that Idempotency-Key.")
	}
	var list []enqueue.Status
	var open []bool
	if err == nil {
		list, err = x.cfg.Client.Status(x.ctx, r.Invite.ID)
	}
	if err == nil {
		open, err = x.open(x.ctx, []ledger.Record{r})
	}
	if err != nil {
		return unavailable(err)
	}
	x.entry.Invites = 1
	j := inviteJSON{"invite", list[0].JSON()}
	if !open[0] {
		j.EmailAddress = list[0].EmailAddress.String()
	}
	return ok(j)
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
