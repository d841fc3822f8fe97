package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

// meet looks at invitations that no record names. One may be the answer to an
// unknown invite for its address; the others were created by somebody else.
func (p *Pass) meet(ctx context.Context, strangers []clerk.Invitation) error {
	var adopt, rebuilt []ledger.Stranger
	for _, inv := range strangers {
		email, err := tasks.ParseEmail(inv.EmailAddress)
		if err != nil {
			p.stranger(Unadoptable, inv) // Ours would have been refused.
			continue
		}
		records, err := p.Ledger.FindAddress(ctx, email)
		if err != nil {
			return err
		}
		r, answer, err := p.answers(ctx, records, inv)
		if err != nil {
			return err
		}
		switch {
		case answer && r.State == tasks.Unknown:
			if err := p.takeUp(ctx, r, inv); err != nil {
				return err
			}
			continue
		case answer:
			// The answer has not been written down yet; or the call was lost, and a worker
			// looks for what it has made.
			p.report.Lagging++
			p.row(rowOf(Lagging, r, inv))
			continue
		case p.forgotten(inv):
			p.report.Forgotten++
			continue
		}
		if ours, ok := p.rebuilt(inv, email, records); ok {
			p.report.Rebuilt++
			p.row(rowOf(Rebuilt, ledger.Record{Invite: ours.Invite}, inv))
			if !p.DryRun {
				rebuilt = append(rebuilt, ours)
			}
			continue
		}
		p.stranger(Foreign, inv)
		if p.Adopt && !p.DryRun && (p.AdoptBefore.IsZero() || inv.CreatedAt.Before(p.AdoptBefore)) {
			adopt = append(adopt, ledger.Stranger{
				Invite:       tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: email, PublicMetadata: inv.PublicMetadata},
				InvitationID: inv.ID, State: stateOf(inv.Status), CreatedAt: inv.CreatedAt,
			})
		}
	}
	if _, err := p.Ledger.Adopt(ctx, ledger.Now, rebuilt...); err != nil {
		return err
	}
	n, err := p.Ledger.Adopt(ctx, ledger.Now, adopt...)
	p.report.Adopted += n
	return err
}

// answers returns the invite whose answer the invitation is, or is about to be said
// to be (package ownership).
func (p *Pass) answers(ctx context.Context, records []ledger.Record, inv clerk.Invitation) (ledger.Record, bool, error) {
	calls, err := p.Ledger.Calls(ctx, records...)
	if err != nil {
		return ledger.Record{}, false, err
	}
	facts := p.facts()
	if !facts.Clock.Trusted() {
		return ledger.Record{}, false, nil
	}
	for _, r := range records {
		own := calls[r.Invite.ID]
		if r.State == tasks.Sending { // Its call may have left, and has no end yet.
			own = append(own, ledger.Call{Sent: r.SentAt, Bound: facts.Now})
		}
		if !r.State.Open() { // It takes up only what may still arrive.
			own = slices.DeleteFunc(own, func(c ledger.Call) bool { return !c.Bound.After(facts.Now) })
		}
		if ownership.Of(r, own, inv, facts) == ownership.Ours {
			return r, true, nil
		}
	}
	return ledger.Record{}, false, nil
}

func (p *Pass) facts() ownership.Facts {
	if p.Facts != nil {
		return p.Facts()
	}
	f := ownership.Facts{Now: p.Ledger.Time(), Clock: ownership.Clock{Uncertainty: ledger.ClockSlack}}
	if c, ok := p.Clerk.(interface {
		ClockOffset() (offset, uncertainty time.Duration, known bool)
	}); ok {
		if offset, uncertainty, known := c.ClockOffset(); known {
			f.Clock = ownership.Clock{Offset: offset - p.Ledger.Offset(), Uncertainty: uncertainty}
		}
	}
	return f
}

// rebuilt returns the record of an invitation that carries the mark of an invite
// which the ledger has forgotten.
func (p *Pass) rebuilt(inv clerk.Invitation, email tasks.Email, records []ledger.Record) (ledger.Stranger, bool) {
	id, marked := ownership.MarkOf(inv, p.facts().Mark)
	if !marked || tasks.CheckID(id) != nil || slices.ContainsFunc(records, func(r ledger.Record) bool { return r.Invite.ID == id }) {
		return ledger.Stranger{}, false
	}
	return ledger.Stranger{
		Invite:       tasks.Invite{ID: id, EmailAddress: email, PublicMetadata: ownership.WithoutMark(inv, p.facts().Mark)},
		InvitationID: inv.ID, State: stateOf(inv.Status), CreatedAt: inv.CreatedAt,
	}, true
}

func stateOf(s clerk.Status) tasks.State {
	_, to := compare(tasks.Unknown, s)
	return to
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

// takeUp gives an unknown invite the invitation that is the answer to its call.
func (p *Pass) takeUp(ctx context.Context, r ledger.Record, inv clerk.Invitation) error {
	p.settled(r, inv, stateOf(inv.Status))
	if p.DryRun {
		return nil
	}
	_, err := p.Ledger.Settle(ctx, ledger.Now, ledger.Settlement{
		ID: r.Invite.ID, Turn: r.Turn, To: stateOf(inv.Status), Reason: tasks.ReasonAlreadyAtClerk, InvitationID: inv.ID,
	})
	return err
}
