package enqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// RevokeStatus is what a request to revoke (Revocation.RequestID) has done, as far as
// it has come. It is kept for a week after it is done.
type RevokeStatus struct {
	RequestID string     `json:"request_id"`
	AskedAt   time.Time  `json:"asked_at"`
	DoneAt    *time.Time `json:"done_at"` // nil: a worker is still at it

	Canceled int `json:"canceled"` // Invites that had not been sent.
	Revoked  int `json:"revoked"`  // Invitations of ours that Clerk has revoked.
	Foreign  int `json:"foreign"`  // Invitations of others that Clerk has revoked; those of the address are counted once it is done.
	TooLate  int `json:"too_late"` // Invites that had been accepted, or had expired, before the revoke came.
	Gone     int `json:"gone"`     // Invitations named by Clerk's id that Clerk does not have.
	Waiting  int `json:"waiting"`  // Invites that still have to be revoked.

	// Of RevokeImport and Renew.
	ImportID string `json:"import_id"` // "": invites were named
	Rows     int    `json:"rows"`      // Invites that the request looks at.
	Renewed  int    `json:"renewed"`   // Invited anew.
	Skipped  int    `json:"skipped"`   // Not invited anew: they have been before, or the person has a newer invite.

	Invitations []string        `json:"invitations"` // Clerk's ids of what was revoked, the first hundred.
	Refusals    []RevokeRefusal `json:"refusals"`    // Revokes that Clerk has refused so far.
}

// RevokeRefusal is a revoke that Clerk refuses. A worker tries it again: after a
// minute, then twice as long each time, at most after two hours.
type RevokeRefusal struct {
	ID           string    `json:"id"`            // The invite; the request itself where other programs' invitations are refused.
	InvitationID string    `json:"invitation_id"` // "" with the request's own id: the worker's log names them.
	Tries        int       `json:"tries"`
	Why          string    `json:"why"` // The kind of the last refusal, such as refused.
	Since        time.Time `json:"since"`
	NextAt       time.Time `json:"next_at"`
}

// Done reports whether nothing is left to be revoked.
func (s RevokeStatus) Done() bool { return s.DoneAt != nil }

// RevokeStatus says what a request to revoke has done. The error is ErrNotFound if
// there is no such request, or it was done more than a week ago.
func (c *Client) RevokeStatus(ctx context.Context, requestID string) (RevokeStatus, error) {
	l, err := c.open(ctx)
	if err != nil {
		return RevokeStatus{}, fmt.Errorf("revoke %s: %w", requestID, err)
	}
	s, err := revokeStatus(ctx, l, requestID)
	if err != nil {
		return s, fmt.Errorf("revoke %s: %w", requestID, err)
	}
	return s, nil
}

func revokeStatus(ctx context.Context, l *ledger.Ledger, id string) (RevokeStatus, error) {
	request, err := l.RevokeRequest(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) { // It may have been closed.
		done, err := l.RevokeDone(ctx, id)
		if errors.Is(err, ledger.ErrNotFound) {
			err = ErrNotFound
		}
		return statusOf(id, done), err
	}
	if err != nil {
		return RevokeStatus{}, err
	}
	if request.Many != nil {
		return manyStatus(ctx, l, request)
	}
	records, err := find(ctx, l, request.Target)
	if err != nil {
		return RevokeStatus{}, err
	}
	if strings.Contains(request.Target, "@") {
		records = slices.DeleteFunc(records, func(r ledger.Record) bool { return !request.Means(r) })
	}
	s := statusOf(id, request.Done(records, nil))
	for _, r := range records {
		if !r.RevokeWanted {
			continue
		}
		s.Waiting++
		if err := s.refused(ctx, l, r.Invite.ID, r.InvitationID); err != nil {
			return s, err
		}
	}
	return s, s.refused(ctx, l, id, "")
}

// refused adds the refusals that there have been of one revoke.
func (s *RevokeStatus) refused(ctx context.Context, l *ledger.Ledger, id, invitationID string) error {
	r, err := refusalOf(ctx, l, id, invitationID)
	if r != nil {
		s.Refusals = append(s.Refusals, *r)
	}
	return err
}

// refusalOf says how often Clerk has refused a revoke; nil: it has not.
func refusalOf(ctx context.Context, l *ledger.Ledger, id, invitationID string) (*RevokeRefusal, error) {
	t, err := l.RevokeTries(ctx, id)
	if err != nil || t.Count == 0 {
		return nil, err
	}
	return &RevokeRefusal{id, invitationID, t.Count, t.Why, utc(t.Since), utc(t.NextAt)}, nil
}

// statusOf is what a request has done, without what is left.
func statusOf(id string, d ledger.RevokeDone) RevokeStatus {
	return RevokeStatus{
		RequestID: id, AskedAt: utc(d.Asked), DoneAt: tasks.TimeOrNull(utc(d.At)), Canceled: d.Canceled, Revoked: d.Revoked, Foreign: d.Foreign, TooLate: d.TooLate, Gone: d.Gone,
		ImportID: d.ImportID, Rows: d.Rows, Renewed: d.Renewed, Skipped: d.Skipped,
		Invitations: append([]string{}, d.Invitations...), Refusals: []RevokeRefusal{},
	}
}

// WaitRevoked returns when a revoke has ended in some way: nothing is left to be
// revoked, or Clerk has refused (then RevokeStatus.Refusals says so, and a worker goes
// on trying). It returns the context's error, and how far the revoke has come, if
// that ends earlier. A revoke of an address takes a quarter of a minute at least, since
// Clerk's list may lag.
func (c *Client) WaitRevoked(ctx context.Context, r Revocation) (RevokeStatus, error) {
	var last RevokeStatus
	for pause := firstLook; ; pause = min(pause*3/2, nextLook) {
		var now RevokeStatus
		var err error
		if r.RequestID != "" {
			now, err = c.RevokeStatus(ctx, r.RequestID)
		} else {
			now, err = c.inviteRevoked(ctx, r.ID)
		}
		if errors.Is(err, ErrNotFound) && last.RequestID != "" {
			// A worker of an earlier version was last at it: it keeps no record of what it has done.
			last.DoneAt, last.Waiting = tasks.TimeOrNull(utc(time.Now())), 0
			return last, nil
		}
		if last = now; err != nil || last.Done() || len(last.Refusals) > 0 {
			return last, err
		}
		if err := sleep(ctx, pause); err != nil {
			return last, fmt.Errorf("the revoke is not done yet: %w", err)
		}
	}
}

// inviteRevoked is the status of the revoke of one invite, which has no request.
func (c *Client) inviteRevoked(ctx context.Context, id string) (RevokeStatus, error) {
	l, err := c.open(ctx)
	if err != nil {
		return RevokeStatus{}, fmt.Errorf("revoke %s: %w", id, err)
	}
	r, err := l.Read(ctx, id)
	if err != nil {
		return RevokeStatus{}, fmt.Errorf("revoke %s: %w", id, err)
	}
	s := statusOf("", ledger.RevokeRequest{}.Done([]ledger.Record{r}, nil))
	if !r.RevokeWanted {
		s.DoneAt = tasks.TimeOrNull(utc(r.UpdatedAt))
		return s, nil
	}
	s.Waiting = 1
	return s, s.refused(ctx, l, id, r.InvitationID)
}
