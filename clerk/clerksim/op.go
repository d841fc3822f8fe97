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
	OpUsers      Op = "users"
	OpUsersCount Op = "users_count"
	OpUnknown    Op = "unknown"
)

var ops = []Op{OpCreate, OpBulkCreate, OpList, OpRevoke, OpUsers, OpUsersCount, OpUnknown}

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

// route finds the operation of a request, and the id in its path.
func route(r *http.Request) (op Op, id string, status int) {
	path, ok := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), "/v1/")
	if !ok {
		return OpUnknown, "", http.StatusNotFound
	}
	methods := map[string]Op{}
	switch path {
	case "invitations":
		methods = map[string]Op{http.MethodPost: OpCreate, http.MethodGet: OpList}
	case "invitations/bulk":
		methods = map[string]Op{http.MethodPost: OpBulkCreate}
	case "users":
		methods = map[string]Op{http.MethodGet: OpUsers}
	case "users/count":
		methods = map[string]Op{http.MethodGet: OpUsersCount}
	default:
		rest, ok := strings.CutPrefix(path, "invitations/")
		if !ok {
			return OpUnknown, "", http.StatusNotFound
		}
		id, ok = strings.CutSuffix(rest, "/revoke")
		if !ok || id == "" || strings.Contains(id, "/") {
			return OpUnknown, "", http.StatusNotFound
		}
		methods = map[string]Op{http.MethodPost: OpRevoke}
	}
	op, ok = methods[r.Method]
	if !ok {
		return OpUnknown, "", http.StatusMethodNotAllowed
	}
	return op, id, 0
}
