package worker

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

const (
	listAtOnce = 500
	listShift  = 50 // by how much two pages overlap, so that a list that moves hides nobody
	fewPages   = 2  // of the newest invitations, before each address is asked for by itself
	atOnce     = 8  // reads for single addresses at a time
	readAgain  = 30 * time.Second
)

// reads asks Clerk's list what became of calls. Reads take no token that a create
// needs.
type reads struct {
	ledger *ledger.Ledger
	clerk  *clerk.Client
	facts  func() ownership.Facts
	roll   *roll
}

func newReads(l *ledger.Ledger, c *clerk.Client, facts func() ownership.Facts) *reads {
	r := &reads{ledger: l, clerk: c, facts: facts}
	r.roll = newRoll(r)
	return r
}

// spend takes a token for one read, or says that there is none to spare.
func (r *reads) spend(ctx context.Context) error {
	d, err := r.ledger.Spend(ctx, ledger.Now)
	if err != nil {
		return err
	}
	if !d.Allowed {
		return &snooze{d.RetryAt, "the read quota is spent"}
	}
	return nil
}

// about lists what Clerk shows for one address, whatever its status. Whether
// Clerk's query finds exact addresses, prefixes or parts is not documented, so
// every row is compared again. What carries the mark of one of the ids belongs to
// it, however Clerk spells the address.
func (r *reads) about(ctx context.Context, e tasks.Email, ids ...string) ([]clerk.Invitation, error) {
	if err := r.spend(ctx); err != nil {
		return nil, err
	}
	page, err := r.newest(ctx, e.Raw(), 0)
	return of(r.named(page), e, ids...), err
}

// named is an invitation with what tells whose it may be.
type named struct {
	clerk.Invitation
	key, mark string // of its address; the id of ours that it carries
}

func (r *reads) named(list []clerk.Invitation) []named {
	all, mark := make([]named, len(list)), r.facts().Mark
	for i, inv := range list {
		all[i] = named{Invitation: inv, key: tasks.EmailKey(inv.EmailAddress)}
		all[i].mark, _ = ownership.MarkOf(inv, mark)
	}
	return all
}

// of picks what is for an address, or carries the mark of one of the ids.
func of(list []named, e tasks.Email, ids ...string) (found []clerk.Invitation) {
	for _, inv := range list {
		if inv.key == e.Key() || slices.Contains(ids, inv.mark) {
			found = append(found, inv.Invitation)
		}
	}
	return found
}

// since lists all invitations of any status that were created after a moment of the
// ledger's time, the newest first, on so many pages at most. reached says that the
// list goes back that far.
func (r *reads) since(ctx context.Context, since time.Time, pages int) (shown []clerk.Invitation, reached bool, _ error) {
	clock := r.facts().Clock
	since = since.Add(-clock.Uncertainty - time.Second)
	for n := range pages {
		if err := r.spend(ctx); err != nil {
			return shown, false, err
		}
		page, err := r.newest(ctx, "", n*(listAtOnce-listShift))
		if err != nil {
			return shown, false, err
		}
		shown = append(shown, page...)
		if len(page) < listAtOnce || clock.LedgerTime(page[len(page)-1].CreatedAt).Before(since) {
			return shown, true, nil
		}
	}
	return shown, false, nil
}

// newest lists a page of the invitations of any status that match a query, or of all,
// the newest first.
func (r *reads) newest(ctx context.Context, query string, offset int) ([]clerk.Invitation, error) {
	page, err := r.clerk.List(ctx, clerk.ListOptions{Statuses: clerk.AllStatuses(), Query: query, OrderBy: "-created_at", Limit: listAtOnce, Offset: offset})
	if err == nil {
		err = whole(page, offset)
	}
	return page.Data, err
}

// whole says that a page lacks rows which Clerk itself counts: what is not on it
// is not absent. The invites come up again when the lease ends.
func whole(page clerk.Page, offset int) error {
	if n := len(page.Data); n < listAtOnce && int64(offset+n) < page.Total {
		return &snooze{time.Now().Add(readAgain), "a list came short"}
	}
	return nil
}

// invitations returns what Clerk shows for each invite's address. If its calls are
// young, the newest invitations tell it for all of them at once; where the ledger may
// have forgotten calls only, the roll tells who has none. Otherwise, and if the list
// does not reach back so far, each is asked for by itself.
func (r *reads) invitations(ctx context.Context, records []ledger.Record, calls map[string][]ledger.Call) (map[string][]clerk.Invitation, error) {
	byID := map[string][]clerk.Invitation{}
	var listed, single, forgotten []ledger.Record
	var since time.Time
	facts := r.facts()
	for _, rec := range records {
		first, forgot := firstCall(calls[rec.Invite.ID]), ownership.MayBeForgotten(rec, facts)
		switch known := !first.IsZero(); {
		case refusedForSomeone(rec), known && forgot, !known && !forgot:
			single = append(single, rec)
		case forgot:
			forgotten = append(forgotten, rec)
		default:
			listed = append(listed, rec)
			if since.IsZero() || first.Before(since) {
				since = first
			}
		}
	}
	absent, err := r.roll.lacks(ctx, forgotten, facts)
	if err != nil {
		return nil, err
	}
	for _, rec := range forgotten {
		if absent[rec.Invite.ID] {
			byID[rec.Invite.ID] = nil
		} else {
			single = append(single, rec)
		}
	}
	if len(listed) > 1 {
		shown, reached, err := r.since(ctx, since, fewPages)
		if err != nil {
			return nil, err
		}
		if reached {
			all := r.named(shown)
			for _, rec := range listed {
				byID[rec.Invite.ID] = of(all, rec.Invite.EmailAddress, rec.Invite.ID)
			}
			listed = nil
		}
	}
	each, err := r.each(ctx, append(single, listed...), calls)
	maps.Copy(byID, each)
	return byID, err
}

// refusedForSomeone reports whether an invite is unknown because of something that
// may be of any age.
func refusedForSomeone(r ledger.Record) bool {
	return r.State == tasks.Unknown && (r.Reason == tasks.ReasonInvitationExists || r.Reason == tasks.ReasonExistingUser)
}

func firstCall(calls []ledger.Call) time.Time {
	var first time.Time
	for _, c := range calls {
		if first.IsZero() || c.Sent.Before(first) {
			first = c.Sent
		}
	}
	return first
}

// each asks for every address by itself. One that Clerk will not be asked about
// holds up nobody else: if the newest invitations reach back to its calls they tell,
// otherwise it is left out.
func (r *reads) each(ctx context.Context, records []ledger.Record, calls map[string][]ledger.Call) (map[string][]clerk.Invitation, error) {
	byID := map[string][]clerk.Invitation{}
	var failed error
	var mu sync.Mutex
	together(atOnce, records, func(rec ledger.Record) {
		shown, err := r.about(ctx, rec.Invite.EmailAddress, rec.Invite.ID)
		if err != nil && refusesToSay(err) {
			shown, err = r.aboutByList(ctx, rec)
		} else if err == nil && len(shown) == 0 {
			shown, err = r.byMark(ctx, rec, calls[rec.Invite.ID])
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = err
			return
		}
		byID[rec.Invite.ID] = shown
	})
	return byID, failed
}

// together does something for each of a list, so many at a time, and returns when all
// is done.
func together[T any](most int, all []T, do func(T)) {
	var running sync.WaitGroup
	slots := make(chan struct{}, most)
	for _, one := range all {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			do(one)
		})
	}
	running.Wait()
}

// byMark looks for an invite's mark on the list of the newest invitations, where
// Clerk shows nothing for its address: it may keep that in another form.
func (r *reads) byMark(ctx context.Context, rec ledger.Record, calls []ledger.Call) ([]clerk.Invitation, error) {
	f, first := r.facts(), firstCall(calls)
	if first.IsZero() {
		first = ownership.ForgottenSince(rec, f)
	}
	if first.IsZero() || f.Mark == "" || !ownership.CanCarry(rec.Invite, f.Mark) {
		return nil, nil
	}
	shown, _, err := r.since(ctx, first, fewPages)
	return of(r.named(shown), rec.Invite.EmailAddress, rec.Invite.ID), err
}

// refusesToSay reports whether Clerk refuses a read for what it asks.
func refusesToSay(err error) bool {
	switch asError(err).Kind {
	case clerk.KindInvalid, clerk.KindRefused, clerk.KindMalformed, clerk.KindNotFound:
		return true
	default:
		return false
	}
}

// aboutByList finds an address on the list of the newest invitations.
func (r *reads) aboutByList(ctx context.Context, rec ledger.Record) ([]clerk.Invitation, error) {
	shown, reached, err := r.since(ctx, rec.CreatedAt, recoverPages)
	if err != nil {
		return nil, err
	}
	if !reached {
		return nil, &snooze{time.Now().Add(readAgain), "Clerk refuses to list one address"}
	}
	return of(r.named(shown), rec.Invite.EmailAddress, rec.Invite.ID), nil
}
