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
	case noted.Decision != approved:
		if err := p.cfg.Store.spend(ctx, p.request(d), p.cfg.ApproveAbove); err != nil {
			return Applied{}, p.askFor(ctx, d, err)
		}
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
	r := p.request(d)
	r.Request = a.Request
	return a, p.cfg.Store.applied(ctx, r)
}

// askFor lets operators know of a plan that turns out to need one only now.
func (p *Plans) askFor(ctx context.Context, d *draft, err error) error {
	if _, ok := errors.AsType[*approvalError](err); !ok {
		return err
	}
	if failed := p.cfg.Store.ask(ctx, p.request(d)); failed != nil {
		return failed
	}
	return err
}

func (p *Plans) request(d *draft) Request {
	return Request{ID: d.ID, Kind: d.Kind, People: d.People, Owner: p.cfg.Owner, Sample: d.Sample}
}

func (p *Plans) invite(ctx context.Context, d *draft, a *Applied) error {
	a.Import = importOf(d.ID)
	r, err := p.cfg.Client.BulkInvite(ctx, enqueue.Each(d.invites), enqueue.BulkOptions{ImportID: a.Import, Owner: p.cfg.Owner, Hold: p.cfg.Hold})
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
