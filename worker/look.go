package worker

import (
	"context"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
	"github.com/inviteq/inviteq/worker/verdict"
)

// look reads what Clerk shows for the address of each invite, and returns it with the
// facts by which it is to be judged. Those for whom that could not be read are left
// out; the error says why, if it is so for all of them. Nothing is read, or shown,
// while the clocks are too far apart.
func (r *reads) look(ctx context.Context, records []ledger.Record) (map[string]verdict.Shown, ownership.Facts, error) {
	facts := r.facts()
	if !facts.Clock.Trusted() {
		return nil, facts, clocksApart()
	}
	shown, err := r.shown(ctx, records)
	// Clerk has answered: a worker that has just started knows its clock only now.
	if facts.Clock = r.facts().Clock; !facts.Clock.Trusted() {
		return nil, facts, clocksApart()
	}
	return shown, facts, err
}

func clocksApart() error {
	return &snooze{time.Now().Add(readAgain), "the clocks are too far apart"}
}

func (r *reads) shown(ctx context.Context, records []ledger.Record) (map[string]verdict.Shown, error) {
	calls, err := r.ledger.Calls(ctx, records...)
	if err != nil {
		return nil, err
	}
	byID, err := r.invitations(ctx, records, calls)
	if len(byID) == 0 {
		return nil, err
	}
	var all []string
	for _, shown := range byID {
		for _, inv := range shown {
			all = append(all, inv.ID)
		}
	}
	owners, err := r.ledger.FindInvitations(ctx, all...)
	if err != nil {
		return nil, err
	}
	found := make(map[string]verdict.Shown, len(byID))
	for _, rec := range records {
		id := rec.Invite.ID
		shown, ok := byID[id]
		if !ok {
			continue
		}
		s := verdict.Shown{Calls: calls[id], Invitations: shown, Owners: owners}
		if rec.Reason == tasks.ReasonInvitationExists && slices.ContainsFunc(shown, verdict.IsPending) {
			if s.Siblings, s.Leaving, err = r.others(ctx, rec, shown, owners); err != nil {
				return nil, err
			}
		}
		found[id] = s
	}
	return found, nil
}

// others returns what else there is for the address of an invite: other invites
// that are in doubt, and those of the invitations that are being revoked.
func (r *reads) others(ctx context.Context, of ledger.Record, shown []clerk.Invitation, owners map[string]string) (siblings []verdict.Sibling, leaving []string, _ error) {
	records, err := r.ledger.FindAddress(ctx, of.Invite.EmailAddress)
	if err != nil {
		return nil, nil, err
	}
	wishes, err := r.ledger.RevokeRequests(ctx)
	if err != nil {
		return nil, nil, err
	}
	wishes = slices.DeleteFunc(wishes, func(w ledger.RevokeRequest) bool { return w.Means(of) })
	facts := r.facts()
	for _, inv := range shown {
		n := slices.IndexFunc(records, func(o ledger.Record) bool { return o.InvitationID == inv.ID })
		ours := n >= 0 && (records[n].RevokeWanted || endedLately(records[n], facts))
		if ours || slices.ContainsFunc(wishes, func(w ledger.RevokeRequest) bool {
			switch {
			case w.Target == inv.ID:
				return true
			case w.Many != nil:
				return n >= 0 && w.Many.ImportID != "" && w.Many.ImportID == records[n].Invite.ImportID && w.Means(records[n])
			case tasks.EmailKey(w.Target) != of.Invite.EmailAddress.Key():
				return false
			case n >= 0:
				return w.Means(records[n])
			}
			return owners[inv.ID] == "" && facts.Clock.MayPrecede(inv.CreatedAt, w.CreatedAt)
		}) {
			leaving = append(leaving, inv.ID)
		}
	}
	records = slices.DeleteFunc(records, func(o ledger.Record) bool { return o.Invite.ID == of.Invite.ID || !ownership.MayArrive(o, facts) })
	calls, err := r.ledger.Calls(ctx, records...)
	for _, o := range records {
		siblings = append(siblings, verdict.Sibling{Record: o, Calls: calls[o.Invite.ID]})
	}
	return siblings, leaving, err
}

// endedLately reports whether the invitation of an invite has ended so short a time ago
// that a list may still show it as pending.
func endedLately(r ledger.Record, f ownership.Facts) bool {
	return r.State != tasks.Pending && f.Now.Sub(r.UpdatedAt) < watchLag
}
