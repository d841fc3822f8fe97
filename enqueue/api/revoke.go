package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// revoke is POST /v1/invitations/{id}/revoke, for our id or Clerk's. What was not
// sent yet is canceled at once. The rest is a worker's to do, and the answer waits
// a moment for it.
func (x *exchange) revoke() *answer {
	wait, refused := x.wait(revokeWait)
	if refused != nil {
		return refused
	}
	if refused := x.checkID(); refused != nil {
		return refused
	}
	ctx, cancel := x.toTheEnd(storeTime + wait)
	defer cancel()
	before, known, err := x.record(ctx, x.id)
	switch {
	case err != nil:
		return unavailable(err)
	case !known && x.token.Scope == access.Own: // To this token nothing exists that others have made, also at Clerk.
		return noInvitation()
	case known && before.State == tasks.Canceled:
		return alreadyRevoked()
	}
	done, err := x.cfg.Client.Revoke(ctx, x.id)
	switch {
	case errors.Is(err, enqueue.ErrNotFound):
		return noInvitation()
	case err != nil:
		return unavailable(err)
	case len(done) == 0 || done[0].RequestID != "":
		return x.requested(wait, done)
	}
	x.entry.Invites = 1
	switch done[0].Verdict {
	case enqueue.AlreadyRevoked, enqueue.NeverInvited:
		return alreadyRevoked()
	case enqueue.TooLate:
		return refuse(http.StatusBadRequest, codeAlreadyAccepted, "already accepted", "The invitation has already been accepted.")
	case enqueue.AlreadyExpired:
		return refuse(http.StatusBadRequest, codeAlreadyExpired, "already expired", "The invitation has expired.")
	case enqueue.Canceled, enqueue.RevokeAsked:
	}
	records, err := x.await(wait, func(r ledger.Record) bool { return settled(r) && r.State != tasks.Pending }, done[0].ID)
	switch {
	case err != nil:
		return unavailable(err)
	case len(records) == 0:
		return forgotten()
	}
	got := x.showOne(ctx, http.StatusOK, records[0])
	got.err = errors.Join(got.err, done[0].TaskErr)
	return got
}

func alreadyRevoked() *answer {
	return refuse(http.StatusBadRequest, codeAlreadyRevoked, "already revoked", "The invitation has already been revoked.")
}

// requested answers for an invitation of Clerk's that is not in the ledger. A worker
// revokes it at Clerk; what Clerk says is the answer, if it comes in time.
func (x *exchange) requested(wait time.Duration, done []enqueue.Revocation) *answer {
	if len(done) == 0 {
		return noInvitation()
	}
	var s enqueue.RevokeStatus
	err := x.until(wait, func(ctx context.Context) (_ bool, err error) {
		s, err = x.cfg.Client.RevokeStatus(ctx, done[0].RequestID)
		return s.Done() || len(s.Refusals) > 0, err
	})
	switch {
	case err != nil:
		return unavailable(errors.Join(err, done[0].TaskErr))
	case s.Gone > 0:
		return noInvitation()
	case s.TooLate > 0:
		return refuse(http.StatusBadRequest, codeAlreadyAccepted, "already accepted", "The invitation has already been accepted, or has expired.")
	}
	// Who was invited Clerk's answer does not say to a worker, and it is nobody's business here.
	i := invitation{
		Object: "invitation", ID: x.id, PublicMetadata: json.RawMessage("{}"), Status: pending,
		CreatedAt: s.AskedAt.UnixMilli(), UpdatedAt: s.AskedAt.UnixMilli(),
		Inviteq: extra{State: tasks.Pending.String(), Lane: tasks.Interactive.String(), Masked: true, Revoking: true, RequestID: s.RequestID},
	}
	if s.Done() {
		i.Status, i.Revoked, i.UpdatedAt = revoked, true, s.DoneAt.UnixMilli()
		i.Inviteq.State, i.Inviteq.Reason, i.Inviteq.Revoking = tasks.Revoked.String(), tasks.ReasonRevokeRequested, false
	}
	got := ok(i)
	got.err = done[0].TaskErr
	return got
}

// revokeState is GET /v1/revokes/{id}: what a request to revoke has done.
func (x *exchange) revokeState() *answer {
	if refused := x.checkID(); refused != nil {
		return refused
	}
	s, err := x.cfg.Client.RevokeStatus(x.ctx, x.id)
	if err == nil && x.token.Scope == access.Own { // Only wishes about imports are a token's own.
		if _, err = x.ownImport(x.ctx, s.ImportID); err != nil && !errors.Is(err, enqueue.ErrNotFound) {
			return unavailable(err)
		}
	}
	switch {
	case errors.Is(err, enqueue.ErrNotFound):
		return notFound("No revoke was found with the given id, or it was done more than a week ago.")
	case err != nil:
		return unavailable(err)
	}
	return ok(s)
}

// revokeImport is POST /v1/imports/{id}/revoke.
func (x *exchange) revokeImport() *answer {
	return x.many(x.cfg.Client.RevokeImport, enqueue.Revocable)
}

// renewImport is POST /v1/imports/{id}/renew.
func (x *exchange) renewImport() *answer { return x.many(x.cfg.Client.Renew, enqueue.Renewable) }

// many leaves a wish about the invites of an import, which goes on when the client has
// gone.
func (x *exchange) many(do func(context.Context, enqueue.ManyOptions) (enqueue.RevokeStatus, error), allowed []tasks.State) *answer {
	q := x.r.URL.Query()
	if refused := refuseUnknown(q, "state"); refused != nil {
		return refused
	}
	if refused := x.checkID(); refused != nil {
		return refused
	}
	importID, err := x.ownImport(x.ctx, x.id)
	if err != nil {
		return noImport(err)
	}
	o := enqueue.ManyOptions{ImportID: importID}
	for _, name := range q["state"] {
		s, err := tasks.ParseState(name)
		if err != nil || !slices.Contains(allowed, s) {
			return refuseParam(codeValue, "state", "must be one of "+enqueue.StateNames(allowed)+".")
		}
		o.States = append(o.States, s)
	}
	ctx, cancel := x.toTheEnd(importFor)
	defer cancel()
	s, err := do(ctx, o)
	if err != nil {
		return noImport(err)
	}
	return ok(s)
}
