package reconcile

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// lagMost is how far Clerk's list is trusted not to be behind when it does not
// show by itself how far it goes.
const lagMost = time.Hour

// mostLooked is how many invitations a pass looks for one by one. More are absent
// only when Clerk is not the one that the ledger knows (another key, an instance
// that was emptied), and then the first thousand say so as well.
const mostLooked = 1000

// told returns the time before which an invite must have become pending for its
// absence to mean anything. A list that lags, by whatever time, is what it was a
// while ago: it shows nothing that is newer than its newest. So it speaks for what
// is older than that.
func (p *Pass) told() time.Time {
	told := p.report.StartedAt.Add(-lagMost)
	if p.newest.After(told) {
		told = p.newest
	}
	return told.Add(-ledger.ClockSlack)
}

// missing looks for invites that are pending in the ledger and were not in
// Clerk's list, although it goes further than they do. An absence is never acted
// on at once: each nominee is looked for by its id twice, some time apart.
func (p *Pass) missing(ctx context.Context) error {
	told := p.told()
	var nominees []ledger.Record
	for records, err := range p.Ledger.EveryIn(ctx, batchSize, tasks.Pending) {
		if err != nil {
			return err
		}
		for _, r := range records {
			_, seen := p.seen[maphash.String(p.seed, r.InvitationID)]
			switch {
			case seen || !r.UpdatedAt.Before(told):
			case len(nominees) < mostLooked:
				nominees = append(nominees, r)
			default:
				p.report.Unconfirmed++
			}
		}
	}
	for look := range 2 {
		if len(nominees) == 0 {
			return nil
		}
		if look > 0 {
			if err := pause(ctx, lookApart); err != nil {
				return err
			}
		}
		absent := nominees[:0]
		for _, r := range nominees {
			inv, found, err := p.find(ctx, r.InvitationID)
			if err != nil {
				return err
			}
			if !found {
				absent = append(absent, r)
				continue
			}
			if f, to := compare(r.State, inv.Status); f == settle && !p.DryRun {
				p.settled(r, inv, to)
				if _, err := p.Ledger.Observe(ctx, ledger.Now, ledger.Observation{ID: r.Invite.ID, From: r.State, To: to, Reason: reasonOf(r, to)}); err != nil {
					return err
				}
			}
		}
		nominees = absent
	}
	return p.declare(ctx, nominees)
}

// declare ends the invites whose invitations somebody has deleted at Clerk, as it
// allows in order to forget a person. They are never sent again by themselves. If
// more are absent than there, Clerk is more likely not the one that the ledger knows:
// then they are missing, which is only reported.
func (p *Pass) declare(ctx context.Context, absent []ledger.Record) error {
	deleted := len(absent)+p.report.Unconfirmed <= p.report.Same
	for _, r := range absent {
		if len(p.report.MissingIDs) < idsKept {
			p.report.MissingIDs = append(p.report.MissingIDs, r.Invite.ID)
		}
		if !deleted {
			p.report.Missing++
			p.row(rowOf(Missing, r, clerk.Invitation{ID: r.InvitationID}))
			continue
		}
		p.report.Gone++
		p.row(rowOf(Gone, r, clerk.Invitation{ID: r.InvitationID}))
		if p.DryRun {
			continue
		}
		if _, err := p.Ledger.Observe(ctx, ledger.Now, ledger.Observation{
			ID: r.Invite.ID, From: r.State, To: tasks.Revoked, Reason: tasks.ReasonGoneAtClerk,
		}); err != nil {
			return err
		}
	}
	return nil
}

// find reads one invitation by its id. There is no GET by id: the query finds
// ids as well as addresses, in a way that is not documented, so compare again.
func (p *Pass) find(ctx context.Context, id string) (clerk.Invitation, bool, error) {
	if err := p.waitForRead(ctx); err != nil {
		return clerk.Invitation{}, false, err
	}
	p.report.Reads++
	p.tell()
	page, err := p.Clerk.List(ctx, clerk.ListOptions{Statuses: clerk.AllStatuses(), Query: id, Limit: 10})
	if err != nil {
		return clerk.Invitation{}, false, err
	}
	for _, inv := range page.Data {
		if inv.ID == id {
			return inv, true, nil
		}
	}
	return clerk.Invitation{}, false, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
