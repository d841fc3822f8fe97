package clerksim

import (
	"net/http"
	"strings"
)

// Endpoint is what a limit applies to.
type Endpoint string

// The endpoints. Every request counts for Other, too, whatever its endpoint.
const (
	Single Endpoint = "single" // POST /invitations
	Bulk   Endpoint = "bulk"   // POST /invitations/bulk
	Other  Endpoint = "other"  // everything together
)

// Op is what a request asks for.
type Op string

// The operations. OpUnknown is a request to anything else.
const (
	OpCreate     Op = "create"
	OpBulkCreate Op = "bulk_create"
	OpList       Op = "list"
	OpRevoke     Op = "revoke"
	OpDelete     Op = "delete"
	OpUsers      Op = "users"
	OpUsersCount Op = "users_count"
	OpUnknown    Op = "unknown"
)

var ops = []Op{OpCreate, OpBulkCreate, OpList, OpRevoke, OpDelete, OpUsers, OpUsersCount, OpUnknown}

// Endpoint is the endpoint that the operation counts against.
func (op Op) Endpoint() Endpoint {
	switch op {
	case OpCreate:
		return Single
	case OpBulkCreate:
		return Bulk
	}
	return Other
}

// writes reports whether the operation changes anything.
func (op Op) writes() bool {
	switch op {
	case OpCreate, OpBulkCreate, OpRevoke, OpDelete:
		return true
	}
	return false
}

// routes are the operations by path below /v1/ and method. The id of an
// invitation is written {id}.
var routes = map[string]map[string]Op{
	"invitations":             {http.MethodPost: OpCreate, http.MethodGet: OpList},
	"invitations/bulk":        {http.MethodPost: OpBulkCreate},
	"invitations/{id}":        {http.MethodDelete: OpDelete},
	"invitations/{id}/revoke": {http.MethodPost: OpRevoke},
	"users":                   {http.MethodGet: OpUsers},
	"users/count":             {http.MethodGet: OpUsersCount},
}

// route finds the operation of a request and the id in its path, or the status
// that says why there is none.
func (s *Sim) route(r *http.Request) (op Op, id string, miss int) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if s.cfg.Switches.TrailingSlash == Ignored {
		path = strings.TrimSuffix(path, "/")
	}
	if p := strings.Split(path, "/"); len(p) > 1 && p[0] == "invitations" && p[1] != "" && p[1] != "bulk" {
		id, p[1] = p[1], "{id}"
		path = strings.Join(p, "/")
	}
	methods, found := routes[path]
	if !ok || !found {
		return OpUnknown, "", http.StatusNotFound
	}
	if op, ok = methods[r.Method]; !ok {
		return OpUnknown, "", s.cfg.Switches.WrongMethodStatus
	}
	return op, id, 0
}
