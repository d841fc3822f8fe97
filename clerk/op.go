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
