package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// deletedJSON is Clerk's answer to a delete.
type deletedJSON struct {
	Object  string `json:"object"`
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

func deleted(id string) *answer { return ok(deletedJSON{"invitation", id, true}) }

// erase is DELETE /v1/invitations/{id}, for our id or Clerk's. What was not sent yet is
// canceled; what Clerk has, of any status, is deleted there. The record stays, in a state
// from which nothing is sent again by itself.
func (x *exchange) erase() *answer {
	wait, refused := x.wait(revokeWait)
	if refused == nil {
		refused = x.checkID()
	}
	if refused == nil {
		refused = x.canErase()
	}
	if refused != nil {
		return refused
	}
	ctx, cancel := x.toTheEnd(storeTime + wait)
	defer cancel()
	r, known, err := x.record(ctx, x.id)
	switch {
	case err != nil:
		return unavailable(err)
	case !known && (x.token.Scope == access.Own || !strings.HasPrefix(x.id, "inv_")):
		return noInvitation()
	}
	if refused := x.mayErase(ctx, r, known); refused != nil {
		return refused
	}
	if !known {
		return x.eraseAtClerk(ctx, ledger.Record{InvitationID: x.id})
	}
	x.entry.Invites = 1
	if settling(r) || r.State == tasks.Failed {
		switch r, err = x.takeBack(ctx, wait, r.Invite.ID); {
		case errors.Is(err, enqueue.ErrNotFound):
			return forgotten()
		case err != nil:
			return unavailable(err)
		case settling(r):
			return refuse(http.StatusConflict, codeConflict, "conflict",
				"The invitation is being sent, and will be revoked once Clerk has answered. Please repeat the request to delete it.").after(5 * time.Second)
		}
	}
	switch {
	case r.InvitationID != "":
		return x.eraseAtClerk(ctx, r)
	case r.State == tasks.Canceled:
		return deleted(r.Invite.ID)
	default: // Clerk has refused it.
		return noInvitation()
	}
}

// canErase asks whether this API has a key for Clerk.
func (x *exchange) canErase() *answer {
	if x.cfg.Eraser == nil {
		return refuse(http.StatusNotImplemented, codeNoClerk, "Not available", "This API has no key for Clerk, so it cannot delete there. A worker's own API has one.")
	}
	return nil
}

// mayErase asks whether the token may delete for good: what tokens of its name have asked
// for, or, with the role admin, whatever there is.
func (x *exchange) mayErase(ctx context.Context, r ledger.Record, known bool) *answer {
	if x.token.Scope == access.Own || x.token.Manages() {
		return nil
	}
	if known {
		owners, err := x.cfg.Ledger.Owners(ctx, r)
		if err != nil {
			return unavailable(err)
		}
		if owners[0] == x.token.Name {
			return nil
		}
	}
	return refuse(http.StatusForbidden, codeNotAllowed, "Not allowed", "Deleting what others have asked for needs a token of the role admin.")
}

// takeBack cancels an invite that may have to be sent yet, and waits until it is known
// whether Clerk has it.
func (x *exchange) takeBack(ctx context.Context, wait time.Duration, id string) (r ledger.Record, _ error) {
	if _, err := x.cfg.Client.Revoke(ctx, id); err != nil {
		return r, err
	}
	records, err := x.await(wait, func(r ledger.Record) bool { return !settling(r) }, id)
	if err != nil {
		return r, err
	}
	if len(records) == 0 {
		return r, enqueue.ErrNotFound
	}
	return records[0], nil
}

// settling reports whether it is not known yet if Clerk has the invite.
func settling(r ledger.Record) bool { return r.State.Open() || r.State == tasks.Parked }

// eraseAtClerk deletes there. That a pending invitation is gone is written down
// afterwards: should this process die before, a repeat, or a comparison with Clerk's
// list, does so.
func (x *exchange) eraseAtClerk(ctx context.Context, r ledger.Record) *answer {
	found, err := x.cfg.Eraser.Invitation(ctx, r.InvitationID)
	if err != nil {
		return clerkUnavailable(err)
	}
	if r.Invite.ID != "" && r.State == tasks.Pending {
		if _, err := x.cfg.Ledger.Observe(ctx, ledger.Now, ledger.Observation{
			ID: r.Invite.ID, From: tasks.Pending, To: tasks.Revoked, Reason: tasks.ReasonGoneAtClerk,
		}); err != nil {
			return unavailable(err)
		}
		found = true // The first request to say so, though an earlier one may have done it.
	}
	if !found {
		return noInvitation()
	}
	return deleted(r.InvitationID)
}

func noInvitation() *answer { return notFound("No invitation was found with the given id.") }

func clerkUnavailable(err error) *answer {
	a := refuse(http.StatusServiceUnavailable, codeUnavailable, "Service unavailable", "Clerk cannot be asked at the moment. Please try again.")
	a.err = err
	return a.after(5 * time.Second)
}
