package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

const (
	lookLease   = 30 * time.Second // while one worker looks, the others do not
	maxPages    = 20               // of listAtOnce, newest first, before a look gives up
	listAtOnce  = 500
	pageOverlap = 50 // so that a list that grows while it is read hides nobody
)

// reads asks Clerk what it has, within the read quota, and says what that means for
// invites. It writes nothing.
type reads struct {
	ledger *ledger.Ledger
	clerk  *clerk.Client
	policy verdict.Policy
}

// spend takes a token for one read, or says that there is none to spare.
func (r *reads) spend(ctx context.Context) error {
	d, err := r.ledger.Spend(ctx, time.Now())
	if err != nil {
		return err
	}
	if !d.Allowed {
		return &snooze{d.RetryAt, "the read quota is spent"}
	}
	return nil
}

// list reads one page of invitations of any status, the newest first: of all of
// them, or of those that the query finds. A page that lacks rows which Clerk itself
// counts is an error, since what is not on it is not absent.
func (r *reads) list(ctx context.Context, query string, offset int) ([]clerk.Invitation, error) {
	if err := r.spend(ctx); err != nil {
		return nil, err
	}
	page, err := r.clerk.List(ctx, clerk.ListOptions{
		Statuses: clerk.AllStatuses(), Query: query, OrderBy: "-created_at", Limit: listAtOnce, Offset: offset,
	})
	if err != nil {
		return nil, err
	}
	if n := len(page.Data); n < listAtOnce && int64(offset+n) < page.Total {
		return nil, &snooze{time.Now().Add(lookLease), "a list came short"}
	}
	return page.Data, nil
}

// about lists the invitations for one address. Whether Clerk's query finds exact
// addresses, prefixes or parts is not documented, so every row is compared again.
func (r *reads) about(ctx context.Context, e tasks.Email) ([]clerk.Invitation, error) {
	rows, err := r.list(ctx, e.Raw(), 0)
	return slices.DeleteFunc(rows, func(inv clerk.Invitation) bool { return tasks.EmailKey(inv.EmailAddress) != e.Key() }), err
}

// status reads where an invitation stands. If it is gone, there is nothing left to
// revoke.
func (r *reads) status(ctx context.Context, invitationID string) (tasks.State, error) {
	rows, err := r.list(ctx, invitationID, 0)
	if err != nil {
		return tasks.Pending, err
	}
	for _, inv := range rows {
		if inv.ID == invitationID {
			return verdict.StateOf(inv.Status), nil
		}
	}
	return tasks.Revoked, nil
}

// since lists all invitations that were created after a moment.
func (r *reads) since(ctx context.Context, since time.Time) ([]clerk.Invitation, error) {
	var all []clerk.Invitation
	for n := range maxPages {
		rows, err := r.list(ctx, "", n*(listAtOnce-pageOverlap))
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if len(rows) < listAtOnce || rows[len(rows)-1].CreatedAt.Before(since) {
			return all, nil
		}
	}
	return nil, &snooze{time.Now().Add(lookLease), "too many invitations since then to look through"}
}

// look decides about unknown invites. One list, newest first, serves all of them
// but those whose invitation may be as old as the invite: Clerk is asked for their
// addresses.
func (r *reads) look(ctx context.Context, due []ledger.Record) ([]ledger.Settlement, error) {
	var listed []clerk.Invitation
	var since time.Time
	for _, one := range due {
		if one.AnyCall() {
			shown, err := r.about(ctx, one.Invite.EmailAddress)
			if err != nil {
				return nil, err
			}
			listed = append(listed, shown...)
		} else if t := one.AnswerSince(); since.IsZero() || t.Before(since) {
			since = t
		}
	}
	if !since.IsZero() {
		newest, err := r.since(ctx, since)
		if err != nil {
			return nil, err
		}
		listed = append(listed, newest...)
	}
	owners, err := r.ledger.FindInvitations(ctx, ids(listed)...)
	if err != nil {
		return nil, err
	}
	byAddress := map[string][]clerk.Invitation{}
	for _, inv := range listed {
		key := tasks.EmailKey(inv.EmailAddress)
		byAddress[key] = append(byAddress[key], inv)
	}
	var members []ledger.Settlement
	for _, one := range due {
		members = append(members, r.policy.Look(time.Now(), one, byAddress[one.Invite.EmailAddress.Key()], owners))
	}
	return members, nil
}

// find reads whether Clerk has the invitation of one invite.
func (r *reads) find(ctx context.Context, one ledger.Record) (ledger.Settlement, bool, error) {
	shown, err := r.about(ctx, one.Invite.EmailAddress)
	if err != nil || len(shown) == 0 {
		return ledger.Settlement{}, false, err
	}
	owners, err := r.ledger.FindInvitations(ctx, ids(shown)...)
	if err != nil {
		return ledger.Settlement{}, false, err
	}
	s, found := verdict.Find(one, shown, owners)
	return s, found, nil
}

// ruledOut reads who of a batch Clerk would refuse: people who are users already,
// and people who have a pending invitation. Those who asked for ignore_existing are
// left to Clerk.
func (r *reads) ruledOut(ctx context.Context, batch []ledger.Record) (map[string]ledger.Settlement, error) {
	asked := slices.DeleteFunc(slices.Clone(batch), func(one ledger.Record) bool { return one.Invite.IgnoreExisting })
	if len(asked) == 0 {
		return nil, nil
	}
	addresses := make([]string, len(asked))
	for i, one := range asked {
		addresses[i] = one.Invite.EmailAddress.Raw()
	}
	if err := r.spend(ctx); err != nil {
		return nil, err
	}
	users, err := r.clerk.UsersByEmail(ctx, addresses)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := map[string]ledger.Settlement{}
	var mu sync.Mutex
	var reading sync.WaitGroup
	rule := func(one ledger.Record, kind clerk.Kind) {
		mu.Lock()
		defer mu.Unlock()
		out[one.Invite.ID] = r.policy.Refusal(now, one, kind, "")
	}
	for _, one := range asked {
		if users.Has(one.Invite.EmailAddress.Raw()) {
			rule(one, clerk.KindExists)
			continue
		}
		reading.Go(func() {
			if shown, err := r.about(ctx, one.Invite.EmailAddress); err == nil && slices.ContainsFunc(shown, verdict.IsPending) {
				rule(one, clerk.KindDuplicate)
			}
		})
	}
	reading.Wait()
	return out, nil
}

// isolate finds out who is to blame for a refused bulk when Clerk does not say.
// Those the reads find are settled; the others go again, and if nobody is found,
// one by one.
func (r *reads) isolate(ctx context.Context, suspects []ledger.Record) []ledger.Settlement {
	out, err := r.ruledOut(ctx, suspects)
	found := err == nil && len(out) > 0
	var members []ledger.Settlement
	for _, one := range suspects {
		s, ok := out[one.Invite.ID]
		if !ok {
			s = verdict.Innocent(time.Now(), one)
			s.Solo = s.Solo || !found
		}
		members = append(members, s)
	}
	return members
}

func ids(invitations []clerk.Invitation) []string {
	s := make([]string, len(invitations))
	for i, inv := range invitations {
		s[i] = inv.ID
	}
	return s
}
