package api

import (
	"net/http"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// forgottenJSON is the answer of POST /v1/people/forget.
type forgottenJSON struct {
	Object string `json:"object"`
	Done   bool   `json:"done"` // Nothing is left in Redis.
	enqueue.Forgotten
}

// exportedJSON is the answer of POST /v1/people/export. It holds everything in the open.
type exportedJSON struct {
	Object string `json:"object"`
	enqueue.Exported
}

// readPerson takes in the address, which stands in the body and in no URL.
func (x *exchange) readPerson() *answer { return x.readJSON(maxBody) }

// person reads the address, and asks whether the token may have anything to do with it.
func (x *exchange) person() (e tasks.Email, refused *answer) {
	if !x.token.Manages() {
		return e, refuse(http.StatusForbidden, codeNotAllowed, "Not allowed", "This needs a token of the role admin and the scope instance.")
	}
	if refused := refuseUnknown(x.r.URL.Query()); refused != nil {
		return e, refused
	}
	invite, bad, err := parseOne(x.body, tasks.Interactive)
	switch {
	case err != nil:
		return e, invalidBody(err.Error())
	case len(bad) > 0:
		return e, &answer{status: http.StatusUnprocessableEntity, problems: bad}
	}
	x.entry.ID = "person:" + x.cfg.Ledger.Person(invite.EmailAddress)
	return invite.EmailAddress, nil
}

// forget is POST /v1/people/forget. It goes on when the client has gone.
func (x *exchange) forget() *answer {
	e, refused := x.person()
	if refused != nil {
		return refused
	}
	ctx, cancel := x.toTheEnd(importFor)
	defer cancel()
	f, err := x.cfg.Client.Forget(ctx, e)
	if err != nil {
		return unavailable(err)
	}
	x.entry.Invites = len(f.Invites)
	return ok(forgottenJSON{"forgotten", f.Done(), f})
}

// export is POST /v1/people/export.
func (x *exchange) export() *answer {
	e, refused := x.person()
	if refused != nil {
		return refused
	}
	exported, err := x.cfg.Client.Export(x.ctx, e)
	if err != nil {
		return unavailable(err)
	}
	x.entry.Invites = len(exported.Invites)
	return ok(exportedJSON{"export", exported})
}
