// Package preflight tells by reads alone, which cost none of the scarce calls, what
// would become of a list if it were imported now.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Clerk is what a check needs of a Clerk client.
type Clerk interface {
	List(ctx context.Context, o clerk.ListOptions) (clerk.Page, error)
	UsersByEmail(ctx context.Context, addresses []string) (clerk.Users, error)
}

// Check looks at a list. Fill in Ledger and Clerk, and call Run once.
type Check struct {
	Ledger *ledger.Ledger
	Clerk  Clerk

	Deliver   bool           // The caller is going to deliver the list itself: the ETA does not ask for a worker.
	ReadShare float64        // Share of the read quota that it may use. Defaults to 0.2.
	Progress  func(Forecast) // Called after each batch, by the goroutine that called Run.

	pending map[string]bool // who has a pending invitation, if all of them were read
}

// Forecast is what a check has come to.
type Forecast struct {
	tasks.Forecast

	Asked int // invites that were looked at
	Took  time.Duration
}

// Run looks at every invite of a list; they have the ids with which they would be
// imported. The forecast says how far it got even if there is an error.
func (c *Check) Run(ctx context.Context, list iter.Seq2[tasks.Invite, error], size int) (f Forecast, err error) {
	if c.ReadShare <= 0 || c.ReadShare > 1 {
		c.ReadShare = 0.2
	}
	began := time.Now()
	defer func() { f.Took = time.Since(began) }()
	if err := c.readPending(ctx, size, &f); err != nil {
		return f, err
	}
	batch := make([]tasks.Invite, 0, clerk.MaxUserAddresses)
	for i, err := range list {
		if err != nil {
			return f, err
		}
		if batch = append(batch, i); len(batch) == cap(batch) {
			if err := c.look(ctx, batch, &f); err != nil {
				return f, err
			}
			batch = batch[:0]
			if f.Took = time.Since(began); c.Progress != nil {
				c.Progress(f)
			}
		}
	}
	if err := c.look(ctx, batch, &f); err != nil {
		return f, err
	}
	return f, c.estimate(ctx, &f)
}

// readPending reads who has a pending invitation, unless Clerk has so many of them
// that it costs less to ask for each person of the list.
func (c *Check) readPending(ctx context.Context, size int, f *Forecast) error {
	first, err := c.list(ctx, clerk.ListOptions{Statuses: []clerk.Status{clerk.Pending}, Limit: 1}, f)
	if err != nil {
		return err
	}
	if int64(size) < first.Total/clerk.MaxPage {
		return nil
	}
	c.pending = make(map[string]bool, first.Total)
	scan := &clerk.Scan{Lister: c.Clerk, Statuses: []clerk.Status{clerk.Pending}, Before: c.wait}
	for inv, err := range scan.Recent(ctx, time.Time{}) {
		if err != nil {
			return fmt.Errorf("list invitations: %w", err)
		}
		c.pending[tasks.EmailKey(inv.EmailAddress)] = true
	}
	f.Reads += scan.Report().Reads
	return nil
}

func (c *Check) wait(ctx context.Context) error { return c.Ledger.AwaitShare(ctx, c.ReadShare) }

func (c *Check) list(ctx context.Context, o clerk.ListOptions, f *Forecast) (clerk.Page, error) {
	if err := c.wait(ctx); err != nil {
		return clerk.Page{}, err
	}
	f.Reads++
	page, err := c.Clerk.List(ctx, o)
	if err != nil {
		return page, fmt.Errorf("list invitations: %w", err)
	}
	return page, nil
}

// look counts a batch.
func (c *Check) look(ctx context.Context, batch []tasks.Invite, f *Forecast) error {
	if len(batch) == 0 {
		return nil
	}
	ids, people, addresses := make([]string, len(batch)), make([]tasks.Email, len(batch)), make([]string, len(batch))
	for n, i := range batch {
		ids[n], people[n], addresses[n] = i.ID, i.EmailAddress, i.EmailAddress.Raw()
	}
	records, err := c.Ledger.Get(ctx, ids...)
	if err != nil {
		return err
	}
	others, err := c.Ledger.FindAddresses(ctx, people...)
	if err != nil {
		return err
	}
	if err := c.wait(ctx); err != nil {
		return err
	}
	f.Reads++
	users, err := c.Clerk.UsersByEmail(ctx, addresses)
	if err != nil {
		return fmt.Errorf("list users: %w", err)
	}
	for n, i := range batch {
		invited, err := c.invited(ctx, i.EmailAddress, f)
		if err != nil {
			return err
		}
		switch {
		case slices.ContainsFunc(records, func(r ledger.Record) bool { return r.Invite.ID == i.ID }):
			f.Known++
		case users.Has(addresses[n]):
			f.Users++
		case invited && !i.IgnoreExisting:
			f.Invited++
		case !i.IgnoreExisting && slices.ContainsFunc(others[n], func(r ledger.Record) bool { return r.State.Open() }):
			f.Waiting++
		default:
			f.ToSend++
			if invited {
				f.Again++
			}
		}
	}
	f.Asked += len(batch)
	return nil
}

// invited reports whether Clerk has a pending invitation for the address.
func (c *Check) invited(ctx context.Context, e tasks.Email, f *Forecast) (bool, error) {
	if c.pending != nil {
		return c.pending[e.Key()], nil
	}
	page, err := c.list(ctx, clerk.ListOptions{Query: e.Raw(), Statuses: []clerk.Status{clerk.Pending}, Limit: clerk.MaxPage}, f)
	return slices.ContainsFunc(page.Data, func(inv clerk.Invitation) bool { return tasks.EmailKey(inv.EmailAddress) == e.Key() }), err
}

// estimate says when the last one would go.
func (c *Check) estimate(ctx context.Context, f *Forecast) error {
	o, err := c.Ledger.Overview(ctx, ledger.Now)
	if err == nil {
		f.Before, err = c.Ledger.Before(ctx, tasks.Import, f.ToSend)
	}
	if err != nil {
		return errors.Join(errors.New("the queue cannot be looked at"), err)
	}
	if c.Deliver {
		o = o.WithWorker()
	}
	if f.ToSend > 0 {
		f.ETA = tasks.TimeOrNull(o.ETA(tasks.Import, f.Before+int64(f.ToSend)-1).UTC().Truncate(time.Second))
	}
	return nil
}
