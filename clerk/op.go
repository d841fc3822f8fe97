package clerk

import "strconv"

// Op is one call that we make to Clerk.
//
// The zero value is OpCreate, the operation that must be treated with the most
// care.
type Op uint8

// The calls.
const (
	OpCreate     Op = iota // POST /invitations
	OpBulkCreate           // POST /invitations/bulk
	OpRevoke               // POST /invitations/{id}/revoke
	OpDelete               // DELETE /invitations/{id}
	OpList                 // GET /invitations
	OpUsers                // GET /users
	OpProbe                // GET /invitations, one row, to see whether Clerk is back
	opEnd
)

var opNames = [...]string{
	OpCreate:     "create",
	OpBulkCreate: "bulk_create",
	OpRevoke:     "revoke",
	OpDelete:     "delete",
	OpList:       "list",
	OpUsers:      "users",
	OpProbe:      "probe",
}

// String returns a stable snake_case word for logs and metrics.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "op_" + strconv.Itoa(int(o))
}

// Endpoint returns whose limit the call spends.
func (o Op) Endpoint() Endpoint {
	switch o {
	case OpCreate:
		return Single
	case OpBulkCreate:
		return Bulk
	default:
		return Other
	}
}

// mails reports whether the call, sent twice, may mail a person twice. An Op
// that we do not know is assumed to.
func (o Op) mails() bool {
	switch o {
	case OpRevoke, OpDelete, OpList, OpUsers, OpProbe:
		return false
	default:
		return true
	}
}

// Endpoint is a limit of Clerk's. Limits are counted in requests, not in
// invitations, per instance, and per endpoint
// (https://clerk.com/docs/guides/how-clerk-works/system-limits, 2026-05).
type Endpoint uint8

// The endpoints.
const (
	Single Endpoint = iota // POST /invitations: 100 requests an hour
	Bulk                   // POST /invitations/bulk: 25 requests an hour, at most MaxBulk invitations each
	Other                  // everything else; all calls together 1000 (development: 100) in 10 s
)

// String returns a stable word for logs and metrics.
func (e Endpoint) String() string {
	switch e {
	case Single:
		return "single"
	case Bulk:
		return "bulk"
	case Other:
		return "other"
	default:
		return "endpoint_" + strconv.Itoa(int(e))
	}
}
