package reconcile

import (
	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/worker/ledger"
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
func compare(have ledger.State, seen clerk.Status) (f finding, to ledger.State) {
	to, ok := map[clerk.Status]ledger.State{
		clerk.Pending:  ledger.Pending,
		clerk.Accepted: ledger.Accepted,
		clerk.Expired:  ledger.Expired,
		clerk.Revoked:  ledger.Revoked,
	}[seen]
	if !ok {
		return leave, have // A status that Clerk has added since.
	}
	if have == to {
		return agree, have
	}
	switch have {
	case ledger.Pending, ledger.Unknown:
		return settle, to
	case ledger.Expired, ledger.Revoked:
		switch {
		case to == ledger.Pending:
			return lag, have
		case to == ledger.Accepted, have == ledger.Expired:
			return settle, to
		}
		return agree, have // Revoked, and expired since.
	case ledger.Accepted:
		if to == ledger.Pending {
			return lag, have
		}
		return agree, have
	default:
		return leave, have
	}
}
