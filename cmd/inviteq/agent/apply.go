package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/inviteq/inviteq/enqueue"
)

// Apply carries a plan of a kind out.
func (p *Plans) Apply(ctx context.Context, kind Kind, id string) (Applied, error) {
	noted, err := p.cfg.Store.get(ctx, id)
	if err != nil {
		return Applied{}, err
	}
	if !noted.AppliedAt.IsZero() && noted.Kind == kind {
		a := Applied{ID: id, Kind: kind, People: noted.People, Before: true, Request: noted.Request, Next: "It was applied before, so nothing was done now."}
		if kind == Invite {
			a.Import = importOf(id)
		}
		return a, nil
	}
	d := p.draft(id)
	switch {
	case d == nil || d.Kind != kind:
		return Applied{}, fmt.Errorf("there is no such plan to %s, or it is more than an hour old: make the preview again", kind)
	case noted.Decision == rejected:
		return Applied{}, errors.New("an operator has rejected this plan")
	case d.People > p.cfg.ApproveAbove && noted.Decision != approved:
		return Applied{}, fmt.Errorf("it is about %d people, so an operator must approve it first: `inviteq mcp approve %s`", d.People, id)
	}
	a := Applied{ID: id, Kind: kind, People: d.People}
	if kind == Invite {
		err = p.invite(ctx, d, &a)
	} else {
		err = p.revoke(ctx, d, &a)
	}
	if err != nil {
		return Applied{}, err
	}
	return a, p.cfg.Store.applied(ctx, Request{ID: id, Kind: kind, People: d.People, Owner: p.cfg.Owner, Sample: d.Sample, Request: a.Request})
}

func (p *Plans) invite(ctx context.Context, d *draft, a *Applied) error {
	a.Import = importOf(d.ID)
	r, err := p.cfg.Client.BulkInvite(ctx, all(d.invites), enqueue.BulkOptions{ImportID: a.Import, Owner: p.cfg.Owner, Hold: p.cfg.Hold})
	if err != nil {
		return err
	}
	switch a.Before = r.Admitted == 0; {
	case a.Before:
		a.Next = "All of them were invited by this plan before, so nothing was done now."
	case r.Held:
		a.Next = fmt.Sprintf("The first mail goes in %s. Until then revoke_preview with this import takes all of it back unseen.", p.cfg.Hold)
	default:
		a.Next = "They are queued. Status tells how far it is."
	}
	return nil
}

func (p *Plans) revoke(ctx context.Context, d *draft, a *Applied) error {
	a.Next = "They are taken back: at once who has not been mailed, the others as Clerk's limits permit."
	if d.whole != "" {
		s, err := p.cfg.Client.RevokeImport(ctx, enqueue.ManyOptions{ImportID: d.whole})
		a.Request = s.RequestID
		return err
	}
	for _, id := range d.ids {
		if _, err := p.cfg.Client.Revoke(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
