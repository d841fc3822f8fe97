package reconcile

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// candidate is the newest pending invitation that was seen for a person.
type candidate struct {
	id      string
	created int64
}

// double notices a second pending invitation for one person: an invite used
// ignore_existing, or another program made it.
func (p *Pass) double(ctx context.Context, inv clerk.Invitation) error {
	person := maphash.String(p.seed, tasks.EmailKey(inv.EmailAddress))
	first, ok := p.pending[person]
	if inv.Status != clerk.Pending {
		if ok && first.id == inv.ID {
			delete(p.pending, person)
		}
		return nil
	}
	this := candidate{inv.ID, inv.CreatedAt.UnixMilli()}
	if !ok || first.id == this.id {
		p.pending[person] = this
		return nil
	}
	older := first
	if this.created < first.created {
		older = this
	} else {
		p.pending[person] = this
	}
	p.report.Doubled++
	extra := Row{Finding: Doubled, Address: masked(inv.EmailAddress), InvitationID: older.id, Clerk: string(clerk.Pending), Made: time.UnixMilli(older.created)}
	p.row(extra)
	if !p.RevokeExtra || p.DryRun {
		return nil
	}
	if err := p.waitForRead(ctx); err != nil {
		return err
	}
	p.report.Reads++
	switch _, err := p.Clerk.Revoke(ctx, older.id); {
	case err == nil:
	case clerk.KindOf(err).Permanent():
		return nil // It is not pending any more: the next pass sees what it is.
	default:
		return fmt.Errorf("revoke an extra invitation: %w", err)
	}
	p.report.Revoked++
	return p.gone(ctx, extra)
}

// gone writes down that an invitation has been revoked, if it is one of ours.
func (p *Pass) gone(ctx context.Context, extra Row) error {
	owners, err := p.Ledger.FindInvitations(ctx, extra.InvitationID)
	ours := owners[extra.InvitationID]
	if err != nil || ours == "" {
		return err
	}
	changed, err := p.Ledger.Observe(ctx, ledger.Now, ledger.Observation{
		ID: ours, From: tasks.Pending, To: tasks.Revoked, Reason: tasks.ReasonReplaced,
	})
	if len(changed) == 1 && changed[0] {
		p.report.settled(tasks.Pending, tasks.Revoked)
		extra.Finding, extra.InviteID, extra.Ledger, extra.Clerk = Settled, ours, tasks.Pending.String(), tasks.Revoked.String()
		p.row(extra)
	}
	return err
}
