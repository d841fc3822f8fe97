package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Plan is what it takes to make Clerk hold exactly the wanted invitations.
type Plan struct {
	Invite []tasks.Invite // wanted, and neither invited nor waiting
	Revoke []Extra        // pending, and not wanted
	Leave  int            // wanted, and invited, accepted or waiting already

	Pending int // pending invitations at Clerk
	Report  clerk.Report
}

// Extra is a pending invitation that the list does not want.
type Extra struct {
	InvitationID string
	EmailAddress tasks.Email // zero if Clerk shows an address that we would refuse
}

// RevokeShare is the share of all pending invitations that the plan revokes, 0 to 1.
func (p Plan) RevokeShare() float64 {
	if p.Pending == 0 {
		return 0
	}
	return float64(len(p.Revoke)) / float64(p.Pending)
}

// ErrListMoves says that two scans of Clerk's list did not agree, so that a plan
// made from it would be a guess.
var ErrListMoves = errors.New("Clerk's list kept changing while it was read; try again when fewer invitations are being made")

// Desired compares a list of who should be invited with Clerk and the ledger. It
// changes nothing.
func (p *Pass) Desired(ctx context.Context, wanted []tasks.Invite) (Plan, error) {
	if p.ReadShare <= 0 || p.ReadShare > 1 {
		p.ReadShare = 0.2
	}
	open := make(map[string]bool, len(wanted)) // by person: still to be invited
	for _, i := range wanted {
		open[i.EmailAddress.Key()] = true
	}
	listed := map[string]bool{}
	for key := range open {
		listed[key] = true
	}
	var plan Plan
	scan := &clerk.Scan{Lister: p.Clerk, Before: p.waitForRead}
	seen := map[string]bool{}
	for inv, err := range scan.All(ctx) {
		if err != nil {
			return plan, fmt.Errorf("list invitations: %w", err)
		}
		if seen[inv.ID] {
			continue // A later pass shows it again because something about it has changed.
		}
		seen[inv.ID] = true
		key := tasks.EmailKey(inv.EmailAddress)
		switch {
		case inv.Status == clerk.Pending:
			plan.Pending++
			if !listed[key] {
				email, _ := tasks.ParseEmail(inv.EmailAddress) // zero if we would refuse it
				plan.Revoke = append(plan.Revoke, Extra{inv.ID, email})
			}
			open[key] = false
		case inv.Status == clerk.Accepted:
			open[key] = false
		}
	}
	plan.Report = scan.Report()
	if !plan.Report.Agreed {
		return plan, fmt.Errorf("%w (%s)", ErrListMoves, plan.Report.Doubt)
	}
	for _, i := range wanted {
		key := i.EmailAddress.Key()
		if !open[key] {
			plan.Leave++
			continue
		}
		records, err := p.Ledger.FindAddress(ctx, i.EmailAddress)
		if err != nil {
			return plan, err
		}
		if waits(records) {
			plan.Leave++
		} else {
			plan.Invite = append(plan.Invite, i)
		}
		open[key] = false // A second row for the same person asks for no second invite.
	}
	return plan, nil
}

// waits reports whether an invite is on its way, or has a person's attention.
func waits(records []ledger.Record) bool {
	for _, r := range records {
		if r.State.Open() || r.State == tasks.Parked || r.State == tasks.Accepted {
			return true
		}
	}
	return false
}
