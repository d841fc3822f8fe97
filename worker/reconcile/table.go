package reconcile

import (
	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
)

// finding is what a comparison says.
type finding uint8

const (
	agree  finding = iota // both sides say the same, or what follows from it
	settle                // Clerk knows better: the ledger follows
	lag                   // Clerk's list is behind what Clerk has told us
	leave                 // the record is not in a state that an invitation can speak for
)

// compare looks one pair up in the table of doc.go. When it says settle, to is
// the state that the ledger goes to.
func compare(have tasks.State, seen clerk.Status) (f finding, to tasks.State) {
	to, ok := map[clerk.Status]tasks.State{
		clerk.Pending:  tasks.Pending,
		clerk.Accepted: tasks.Accepted,
		clerk.Expired:  tasks.Expired,
		clerk.Revoked:  tasks.Revoked,
	}[seen]
	if !ok {
		return leave, have // A status that Clerk has added since.
	}
	if have == to {
		return agree, have
	}
	switch have {
	case tasks.Pending, tasks.Unknown:
		return settle, to
	case tasks.Expired, tasks.Revoked:
		switch {
		case to == tasks.Pending:
			return lag, have
		case to == tasks.Accepted, have == tasks.Expired:
			return settle, to
		}
		return agree, have // Revoked, and expired since.
	case tasks.Accepted:
		if to == tasks.Pending {
			return lag, have
		}
		return agree, have
	default:
		return leave, have
	}
}
