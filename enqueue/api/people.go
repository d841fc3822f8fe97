package api

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// forgottenJSON is the answer of POST /v1/people/forget.
type forgottenJSON struct {
	Object string `json:"object"`
	Done   bool   `json:"done"` // Nothing is left in Redis.
	enqueue.Forgotten
	DeletedAtClerk int `json:"deleted_at_clerk"`
}

// exportedJSON is the answer of POST /v1/people/export. It holds everything in the open.
type exportedJSON struct {
	Object string `json:"object"`
	enqueue.Exported
}

// readPerson takes in the address, which stands in the body and in no URL.
func (x *exchange) readPerson() *answer { return x.readJSON(maxBody) }

// atClerk takes the parameter at_clerk out of the body of forget.
func (x *exchange) atClerk() (yes bool, refused *answer) {
	var object map[string]json.RawMessage
	if err := tasks.DecodeStrict(bytes.NewReader(x.body), &object); err != nil {
		return false, invalidBody(err.Error())
	}
	value, given := object["at_clerk"]
	if !given {
		return false, nil
	}
	if json.Unmarshal(value, &yes) != nil || string(value) == "null" {
		return false, refuseParam(codeValue, "at_clerk", "must be true or false.")
	}
	delete(object, "at_clerk")
	x.body, _ = json.Marshal(object) // as it was read
	return yes, nil
}

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
	atClerk, refused := x.atClerk()
	if refused == nil && atClerk {
		refused = x.canErase()
	}
	if refused != nil {
		return refused
	}
	e, refused := x.person()
	if refused != nil {
		return refused
	}
	ctx, cancel := x.toTheEnd(importFor)
	defer cancel()
	n := 0
	if atClerk {
		var err error
		if n, err = x.cfg.Eraser.Person(ctx, e); err != nil {
			return clerkUnavailable(err)
		}
	}
	f, err := x.cfg.Client.Forget(ctx, e)
	if err != nil {
		return unavailable(err)
	}
	x.entry.Invites = len(f.Invites)
	if atClerk {
		f.Pending = []string{}
	}
	return ok(forgottenJSON{"forgotten", f.Done(), f, n})
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
