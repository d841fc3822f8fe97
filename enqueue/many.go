package enqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Revocable are the states in which an invite can still be taken back, Live those of
// them in which it may yet reach a person, and Renewable those from which a person can
// be invited anew.
var (
	Live      = []tasks.State{tasks.Queued, tasks.Sending, tasks.Unknown, tasks.Pending, tasks.Parked}
	Revocable = append(slices.Clone(Live), tasks.Failed)
	Renewable = []tasks.State{tasks.Pending, tasks.Expired, tasks.Revoked}
)

// ManyOptions say which invites RevokeImport and Renew mean. Of those of an import it
// is those that it has now, and never one that comes later.
type ManyOptions struct {
	// ImportID names the import. Renew needs IDs instead, or no import.
	ImportID string

	// IDs names invites, of Renew only.
	IDs []string

	// States are those of Revocable (defaults to Live), or of Renewable
	// (defaults to expired, and with IDs to all).
	States []tasks.State

	// Progress, if set, is told how far the request is while invites are canceled.
	Progress func(RevokeStatus)
}

// RevokeImport takes the invites of an import back. From the moment at which it is
// asked none of them is sent; they are canceled some hundred at a time, and what is
// with Clerk is revoked by a worker, as fast as Clerk's limits permit. It returns when
// all that was not sent is canceled; RevokeStatus tells about the rest. The wish stands
// in Redis: if this process ends, a worker carries it on. If the import is not known,
// the error is ErrNotFound.
func (c *Client) RevokeImport(ctx context.Context, o ManyOptions) (RevokeStatus, error) {
	if len(o.States) == 0 {
		o.States = Live
	}
	if o.ImportID == "" || len(o.IDs) > 0 {
		return RevokeStatus{}, errors.New("an import must be named, and nothing else")
	}
	return c.many(ctx, o, Revocable, false)
}

// Renew invites people anew, with the same content: those of an import, those that IDs
// names, or all that are in the given states. A pending invitation is revoked first,
// and the new invite, which belongs to the same import, is made in the step that sees
// that it is gone: a person has at most one live link, and gets one mail for a renewal.
// An invite is renewed once, however often that is asked for (its renewal can be
// renewed), and only if it is the newest for its address; the others are counted as
// skipped. Like RevokeImport it leaves a wish that a worker carries on.
func (c *Client) Renew(ctx context.Context, o ManyOptions) (RevokeStatus, error) {
	if len(o.States) == 0 && len(o.IDs) > 0 {
		o.States = Renewable
	} else if len(o.States) == 0 {
		o.States = []tasks.State{tasks.Expired}
	}
	if o.ImportID == "" && len(o.IDs) == 0 {
		for s, err := range c.All(ctx, ListOptions{States: o.States}) {
			if err != nil {
				return RevokeStatus{}, fmt.Errorf("renew: %w", err)
			}
			o.IDs = append(o.IDs, s.ID)
		}
		if len(o.IDs) == 0 {
			return RevokeStatus{}, fmt.Errorf("renew: %w", ErrNotFound)
		}
	}
	return c.many(ctx, o, Renewable, true)
}

func (c *Client) many(ctx context.Context, o ManyOptions, allowed []tasks.State, renew bool) (RevokeStatus, error) {
	for _, s := range o.States {
		if !slices.Contains(allowed, s) {
			return RevokeStatus{}, &tasks.ValidationError{Problems: []tasks.Problem{{Field: "state", Reason: "must be one of " + StateNames(allowed)}}}
		}
	}
	l, err := c.open(ctx)
	if err != nil {
		return RevokeStatus{}, fmt.Errorf("import %s: %w", o.ImportID, err)
	}
	if o.ImportID != "" {
		if _, err := l.Import(ctx, o.ImportID); err != nil {
			return RevokeStatus{}, fmt.Errorf("import %s: %w", o.ImportID, err)
		}
	}
	r, err := l.RequestMany(ctx, ledger.Now, o.ImportID, o.States, renew, o.IDs...)
	if err != nil {
		return RevokeStatus{}, fmt.Errorf("import %s: %w", o.ImportID, err)
	}
	// Without its task a worker finds it within minutes.
	_ = c.giveRevoke(ctx, r.ID, r.ID)
	id := r.ID
	for !r.Many.Begun() {
		r, err = l.SweepRequest(ctx, ledger.Now, id)
		if errors.Is(err, ledger.ErrNotFound) { // A worker has brought it to its end.
			return c.RevokeStatus(ctx, id)
		}
		if err != nil {
			return RevokeStatus{RequestID: id}, fmt.Errorf("revoke %s goes on without this process: %w", id, err)
		}
		if o.Progress != nil {
			o.Progress(manyOf(r))
		}
	}
	return c.RevokeStatus(ctx, id)
}

// StateNames lists states for people, as in "pending, expired".
func StateNames(states []tasks.State) string {
	names := make([]string, len(states))
	for n, s := range states {
		names[n] = s.String()
	}
	return strings.Join(names, ", ")
}

// manyOf is the status of a request about many, without refusals.
func manyOf(r ledger.RevokeRequest) RevokeStatus {
	s := statusOf(r.ID, r.Done(nil, nil))
	s.Waiting = r.Many.Waiting
	return s
}

// refusalsShown is how many refusals of a request about many are named.
const refusalsShown = 20

func manyStatus(ctx context.Context, l *ledger.Ledger, r ledger.RevokeRequest) (RevokeStatus, error) {
	s := manyOf(r)
	left, err := l.ManyLeft(ctx, r.ID, refusalsShown)
	for _, one := range left {
		if err == nil && one.RevokeWanted {
			err = s.refused(ctx, l, one.Invite.ID, one.InvitationID)
		}
	}
	return s, err
}
