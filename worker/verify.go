package worker

import (
	"context"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	lookLease  = 30 * time.Second // while one worker looks, the others do not
	lookAtOnce = 100              // unknown invites that share a look
	maxPages   = 20               // of 500, newest first, before a look gives up
	cleanReads = 2                // that must find nothing before an invite is queued again
	maxCrashes = 3                // claims whose worker died before an invite is parked
	listAtOnce = 500
)

// verify settles unknown invites by reading. One list, newest first, serves all
// that are due. It returns how many were looked at.
func (w *Worker) verify(ctx context.Context) (int, error) {
	due, err := w.ledger.DueUnknown(ctx, time.Now(), lookLease, lookAtOnce)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	listed, err := w.shownFor(ctx, due)
	if err != nil {
		return len(due), err // They come up again when the lease ends.
	}
	owners, err := w.ledger.FindInvitations(ctx, ids(listed)...)
	if err != nil {
		return len(due), err
	}
	byAddress := map[string][]clerk.Invitation{}
	for _, inv := range listed {
		key := tasks.EmailKey(inv.EmailAddress)
		byAddress[key] = append(byAddress[key], inv)
	}
	var members []ledger.Settlement
	for _, r := range due {
		members = append(members, look(time.Now(), r, byAddress[r.Invite.EmailAddress.Key()], owners, &w.cfg))
	}
	records, err := w.ledger.Settle(ctx, time.Now(), members...)
	if err != nil {
		return len(due), err
	}
	w.outcomes.tell(records)
	w.logLook(due, records)
	return len(due), nil
}

// shownFor lists every invitation that may be the answer to one of the invites.
func (w *Worker) shownFor(ctx context.Context, due []ledger.Record) ([]clerk.Invitation, error) {
	var all []clerk.Invitation
	var since time.Time
	for _, r := range due {
		if r.AnyCall() {
			// The invitation may be as old as the invite: ask for the address.
			shown, err := w.invitationsFor(ctx, r.Invite.EmailAddress)
			if err != nil {
				return nil, err
			}
			all = append(all, shown...)
		} else if t := r.AnswerSince(); since.IsZero() || t.Before(since) {
			since = t
		}
	}
	if since.IsZero() {
		return all, nil
	}
	newest, err := w.invitationsSince(ctx, since)
	return append(all, newest...), err
}

// invitationsFor lists what Clerk shows for one address, whatever its status.
// Whether Clerk's query finds exact addresses, prefixes or parts is not
// documented, so every row is compared again.
func (w *Worker) invitationsFor(ctx context.Context, e tasks.Email) ([]clerk.Invitation, error) {
	if err := w.spendRead(ctx); err != nil {
		return nil, err
	}
	page, err := w.clerk.List(ctx, clerk.ListOptions{Statuses: clerk.AllStatuses(), Query: e.Raw(), OrderBy: "-created_at", Limit: listAtOnce})
	if err == nil {
		err = whole(page, 0)
	}
	return slices.DeleteFunc(page.Data, func(inv clerk.Invitation) bool { return tasks.EmailKey(inv.EmailAddress) != e.Key() }), err
}

// whole says that a page lacks rows which Clerk itself counts: what is not on it
// is not absent. The invites come up again when the lease ends.
func whole(page clerk.Page, offset int) error {
	if n := len(page.Data); n < listAtOnce && int64(offset+n) < page.Total {
		return &snooze{time.Now().Add(lookLease), "a list came short"}
	}
	return nil
}

// look decides about one unknown invite, given the invitations that Clerk shows
// for its address.
func look(now time.Time, r ledger.Record, shown []clerk.Invitation, owners map[string]string, cfg *Config) ledger.Settlement {
	if s, ok := find(r, shown, owners); ok {
		return s
	}
	if r.Reason == tasks.ReasonInvitationExists && slices.ContainsFunc(shown, isPending) {
		return settled(r, tasks.Rejected, tasks.ReasonAlreadyInvited, "") // Somebody else's.
	}
	noFence := r.Invite.IgnoreExisting && r.Reason != tasks.ReasonChecking
	if r.Absent+1 < cleanReads {
		s := settled(r, tasks.Unknown, r.Reason, "")
		s.At, s.Absent = now.Add(secondLook), r.Absent+1
		if noFence {
			s.At = now.Add(resendLook)
		}
		return s
	}
	switch { // Clerk says so, and shows nothing of ours.
	case r.Reason == tasks.ReasonInvitationExists:
		return settled(r, tasks.Rejected, tasks.ReasonAlreadyInvited, "")
	case r.Reason == tasks.ReasonExistingUser:
		return settled(r, tasks.Rejected, tasks.ReasonExistingUser, "")
	}
	s := settled(r, tasks.Queued, tasks.ReasonNotAtClerk, "")
	s.Charge = ledger.ChargeRelease
	switch {
	case r.Reason == tasks.ReasonChecking: // It goes on as if nothing had happened.
	case noFence && !cfg.ResendUnknown:
		s.To, s.Reason = tasks.Parked, tasks.ReasonMayHaveBeenSent
	case r.Crashes >= maxCrashes:
		s.To, s.Reason = tasks.Parked, tasks.ReasonWorkersDied
	case r.Reason != tasks.ReasonWorkerDied && r.Attempts+1 >= cfg.MaxAttempts: // A crash costs no attempt.
		s.To, s.Reason = tasks.Failed, tasks.ReasonAttempts
	default:
		s.At = now.Add(backoff(r.Attempts) / 4)
	}
	return s
}

// find settles an invite whose invitation is among those that Clerk shows for its
// address and that no other invite owns.
func find(r ledger.Record, shown []clerk.Invitation, owners map[string]string) (ledger.Settlement, bool) {
	for _, inv := range shown {
		owner, taken := owners[inv.ID]
		if r.MayBe(inv.CreatedAt) && (!taken || owner == r.Invite.ID) {
			return settled(r, stateOf(inv.Status), tasks.ReasonAlreadyAtClerk, inv.ID), true
		}
	}
	return ledger.Settlement{}, false
}

// stateOf gives Clerk's status its name in the ledger. What a later version of
// Clerk may call it, the invitation exists.
func stateOf(s clerk.Status) tasks.State {
	switch s {
	case clerk.Accepted:
		return tasks.Accepted
	case clerk.Revoked:
		return tasks.Revoked
	case clerk.Expired:
		return tasks.Expired
	default:
		return tasks.Pending
	}
}

// invitationsSince lists all invitations of any status that were created after a
// moment, the newest first.
func (w *Worker) invitationsSince(ctx context.Context, since time.Time) ([]clerk.Invitation, error) {
	var all []clerk.Invitation
	for n := range maxPages {
		if err := w.spendRead(ctx); err != nil {
			return nil, err
		}
		page, err := w.clerk.List(ctx, clerk.ListOptions{
			Statuses: clerk.AllStatuses(), OrderBy: "-created_at", Limit: listAtOnce, Offset: n * (listAtOnce - 50),
		})
		if err == nil {
			err = whole(page, n*(listAtOnce-50))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if len(page.Data) < listAtOnce || page.Data[len(page.Data)-1].CreatedAt.Before(since) {
			return all, nil
		}
	}
	return all, &snooze{time.Now().Add(lookLease), "too many invitations since then to look through"}
}

func ids(invitations []clerk.Invitation) []string {
	s := make([]string, len(invitations))
	for i, inv := range invitations {
		s[i] = inv.ID
	}
	return s
}

func (w *Worker) logLook(due, settled []ledger.Record) {
	counts := map[tasks.State]int{}
	for _, r := range settled {
		counts[r.State]++
	}
	line := w.log.Info().Int("looked_at", len(due))
	for _, s := range tasks.States {
		if counts[s] > 0 {
			line = line.Int(s.String(), counts[s])
		}
	}
	line.Msg("unknown outcomes")
}
