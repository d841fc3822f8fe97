package reconcile

import (
	"context"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// meet looks at invitations that no record names. One may be the answer to an
// unknown invite for its address; the others were created by somebody else.
func (p *Pass) meet(ctx context.Context, strangers []clerk.Invitation) error {
	var adopt []ledger.Stranger
	for _, inv := range strangers {
		email, err := tasks.ParseEmail(inv.EmailAddress)
		if err != nil {
			p.report.Foreign++ // Ours would have been refused.
			continue
		}
		records, err := p.Ledger.FindAddress(ctx, email)
		if err != nil {
			return err
		}
		r, answer := awaits(records, inv)
		switch {
		case answer && (r.State == tasks.Unknown || givenUp(r)):
			if err := p.takeUp(ctx, r, inv); err != nil {
				return err
			}
			continue
		case answer:
			p.report.Lagging++ // Whoever sends it has not written down the answer yet.
			continue
		case p.forgotten(inv):
			p.report.Forgotten++
			continue
		}
		p.report.Foreign++
		if _, to := compare(tasks.Unknown, inv.Status); p.Adopt && !p.DryRun {
			adopt = append(adopt, ledger.Stranger{
				Invite:       tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: email, PublicMetadata: inv.PublicMetadata},
				InvitationID: inv.ID, State: to, CreatedAt: inv.CreatedAt,
			})
		}
	}
	n, err := p.Ledger.Adopt(ctx, time.Now(), adopt...)
	p.report.Adopted += n
	return err
}

// awaits returns the invite whose answer the invitation may be: one that is
// unknown, or else one that is under way, or waits for another attempt and will
// look first, or else one that was given up although a call had left.
func awaits(records []ledger.Record, inv clerk.Invitation) (ledger.Record, bool) {
	for _, state := range []tasks.State{tasks.Unknown, tasks.Sending, tasks.Queued} {
		for _, r := range records {
			if r.State == state && !r.SentAt.IsZero() && r.MayBe(inv.CreatedAt) {
				return r, true
			}
		}
	}
	for _, r := range records {
		if givenUp(r) && r.InvitationID == "" && r.MayBe(inv.CreatedAt) && inv.CreatedAt.Before(r.SentAt.Add(lateMost)) {
			return r, true
		}
	}
	return ledger.Record{}, false
}

// lateMost is how long after it has left a call may still take effect. What is
// newer is somebody else's, and nobody has asked us to revoke that.
const lateMost = 15 * time.Minute

// givenUp reports whether an invite has ended without an invitation although one
// may come of a call that is late.
func givenUp(r ledger.Record) bool {
	return r.Doubt && (r.State == tasks.Canceled || r.State == tasks.Failed || r.State == tasks.Parked)
}

// forgotten reports whether an invitation was settled so long ago that no record
// would name it if it were ours.
func (p *Pass) forgotten(inv clerk.Invitation) bool {
	settled := inv.UpdatedAt
	if inv.Status == clerk.Expired && inv.ExpiresAt.After(settled) {
		settled = inv.ExpiresAt
	}
	return p.report.Retention > 0 && inv.Status != clerk.Pending && settled.Before(p.report.StartedAt.Add(-p.report.Retention))
}

// takeUp gives an invite the invitation that is the answer to its call.
func (p *Pass) takeUp(ctx context.Context, r ledger.Record, inv clerk.Invitation) error {
	_, to := compare(tasks.Unknown, inv.Status)
	p.report.settled(r.State, to)
	if p.DryRun {
		return nil
	}
	if r.State != tasks.Unknown {
		_, err := p.Ledger.Observe(ctx, time.Now(), ledger.Observation{ID: r.Invite.ID, From: r.State, To: to, Reason: tasks.ReasonAlreadyAtClerk, InvitationID: inv.ID})
		return err
	}
	_, err := p.Ledger.Settle(ctx, time.Now(), ledger.Settlement{
		ID: r.Invite.ID, Turn: r.Turn, To: to, Reason: tasks.ReasonAlreadyAtClerk, InvitationID: inv.ID,
	})
	return err
}
