package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// PreviewInvites makes a plan to invite people. Addresses that cannot be invited are
// named in it and left out.
func (p *Plans) PreviewInvites(ctx context.Context, addresses []string) (Plan, error) {
	if err := checkSize(len(addresses)); err != nil {
		return Plan{}, err
	}
	d := &draft{Plan: Plan{Kind: Invite}}
	var people []string
	seen := map[string]bool{}
	for n, address := range addresses {
		email, why := p.invitable(address)
		switch {
		case why != "":
			d.Refused = append(d.Refused, Refusal{n + 1, why})
		case seen[email.Key()]:
			d.Duplicates++
		default:
			seen[email.Key()] = true
			invite := p.cfg.Template
			invite.EmailAddress, invite.Lane = email, tasks.Import
			d.invites = append(d.invites, invite)
			people = append(people, p.cfg.Ledger.Person(email))
			d.sample(email)
		}
	}
	d.People = len(d.invites)
	if d.People == 0 {
		d.Next = "Nobody on the list can be invited. Correct what is refused."
		return d.Plan, nil
	}
	p.name(d, people)
	for n := range d.invites {
		i := &d.invites[n]
		i.ImportID = importOf(d.ID)
		i.ID = tasks.ImportInviteID(i.ImportID, i.EmailAddress)
	}
	if known := p.draft(d.ID); known != nil && time.Since(known.made) < time.Minute {
		d.Forecast = known.Forecast // A preview that is repeated costs no reads.
	} else if p.cfg.Forecast != nil {
		f, err := p.cfg.Forecast(ctx, enqueue.Each(d.invites), d.People)
		if err != nil {
			return Plan{}, err
		}
		d.Forecast = &f
	}
	return p.keep(ctx, d)
}

// invitable is the address, or why it is not invited.
func (p *Plans) invitable(address string) (tasks.Email, string) {
	email, err := tasks.ParseEmail(address)
	if err != nil {
		return email, err.Error()
	}
	_, domain, _ := strings.Cut(email.Key(), "@")
	if len(p.cfg.Domains) > 0 && !slices.ContainsFunc(p.cfg.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
		return email, "is of a domain that agents may not invite; an operator allows it with --allow-domain"
	}
	return email, ""
}

// PreviewRevokes makes a plan to take back invites that the ledger knows: those of
// people or ids, or all of an import.
func (p *Plans) PreviewRevokes(ctx context.Context, targets []string, importID string) (Plan, error) {
	d := &draft{Plan: Plan{Kind: Revoke}}
	if importID != "" {
		if len(targets) > 0 {
			return Plan{}, errors.New("give either an import or people, not both")
		}
		return p.previewImport(ctx, d, importID)
	}
	if err := checkSize(len(targets)); err != nil {
		return Plan{}, err
	}
	seen := map[string]bool{}
	for n, target := range targets {
		list, err := p.cfg.Client.Status(ctx, target)
		if err != nil && !errors.Is(err, enqueue.ErrNotFound) {
			if bad := tasks.CheckTarget(target); bad != nil {
				err = bad
			}
			d.Refused = append(d.Refused, Refusal{n + 1, err.Error()})
			continue
		}
		live := slices.DeleteFunc(list, func(s enqueue.Status) bool { return !slices.Contains(enqueue.Live, s.State) })
		if len(live) == 0 {
			d.Refused = append(d.Refused, Refusal{n + 1, "has no invite of ours that could be taken back"})
		}
		for _, s := range live {
			if seen[s.ID] {
				d.Duplicates++
				continue
			}
			seen[s.ID] = true
			d.ids = append(d.ids, s.ID)
			d.sample(s.EmailAddress)
			if unsent(s.State) {
				d.Cancels++
			}
		}
	}
	if d.People = len(d.ids); d.People == 0 {
		d.Next = "There is nothing to take back."
		return d.Plan, nil
	}
	p.name(d, d.ids)
	return p.keep(ctx, d)
}

// previewImport is about what an import has now.
func (p *Plans) previewImport(ctx context.Context, d *draft, importID string) (Plan, error) {
	i, err := p.cfg.Client.Import(ctx, importID)
	if err != nil {
		return Plan{}, err
	}
	for _, s := range enqueue.Live {
		d.People += int(i.States[s])
		if unsent(s) {
			d.Cancels += int(i.States[s])
		}
	}
	if d.People == 0 {
		d.Next = "There is nothing to take back."
		return d.Plan, nil
	}
	d.whole = importID
	p.name(d, []string{importID, fmt.Sprint(i.Total)})
	return p.keep(ctx, d)
}

// unsent reports whether an invite in this state has not been mailed.
func unsent(s tasks.State) bool { return s == tasks.Queued || s == tasks.Parked }

func checkSize(n int) error {
	switch {
	case n == 0:
		return errors.New("name somebody")
	case n > MaxPeople:
		return fmt.Errorf("%d people are too many for one plan (%d); have an operator run `inviteq import` with a file", n, MaxPeople)
	}
	return nil
}

func (d *draft) sample(e tasks.Email) {
	if len(d.Sample) < sampled {
		d.Sample = append(d.Sample, e.String())
	}
}
