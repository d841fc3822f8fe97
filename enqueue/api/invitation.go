package api

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// invitation is an invite in the shape of Clerk's Invitation, without url. It
// holds an address in the open: it goes to its owner and nowhere else.
type invitation struct {
	Object         string          `json:"object"`
	ID             string          `json:"id"` // Clerk's, once there is one, else ours.
	EmailAddress   string          `json:"email_address"`
	PublicMetadata json.RawMessage `json:"public_metadata"`
	Revoked        bool            `json:"revoked,omitempty"`
	Status         string          `json:"status"`
	ExpiresAt      *int64          `json:"expires_at"` // Unix milliseconds, like all times here.
	CreatedAt      int64           `json:"created_at"`
	UpdatedAt      int64           `json:"updated_at"`
	Inviteq        extra           `json:"inviteq"`
}

// extra is what Clerk's Invitation has no room for.
type extra struct {
	ID       string       `json:"id"` // Ours.
	State    string       `json:"state"`
	Reason   tasks.Reason `json:"reason"`
	Lane     string       `json:"lane"`
	ImportID string       `json:"import_id"`
	Attempts int          `json:"attempts"`
	ETA      *int64       `json:"eta"`      // While queued: when it will be sent, as things stand.
	Masked   bool         `json:"masked"`   // The address and the metadata are not shown to this token.
	Revoking bool         `json:"revoking"` // A worker will ask Clerk to revoke it, or has asked.

	RequestID string `json:"request_id,omitzero"` // Of a revoke of what is not in the ledger: for GET /v1/revokes/{id}.
}

// String does not say whom it is for.
func (i invitation) String() string { return "invitation " + i.ID }

// GoString is String.
func (i invitation) GoString() string { return i.String() }

type invitationPage struct {
	Data       []invitation `json:"data"`
	TotalCount int64        `json:"total_count"`
}

// Clerk's statuses.
const (
	pending  = "pending"
	accepted = "accepted"
	revoked  = "revoked"
	expired  = "expired"
)

// statusOf says how a state looks in Clerk's words.
func statusOf(s tasks.State) string {
	switch s {
	case tasks.Queued, tasks.Sending, tasks.Unknown, tasks.Pending, tasks.Parked:
		return pending // It is on its way, or may still go.
	case tasks.Accepted:
		return accepted
	case tasks.Expired:
		return expired
	default: // Revoked, and what was never sent and will not be: canceled, rejected, failed.
		return revoked
	}
}

// statesOf are the states that a list of these statuses shows: all that look like one of
// them, but nobody whom Clerk was never to invite, or has refused (rejected, failed).
func statesOf(statuses ...string) []tasks.State {
	var states []tasks.State
	for _, s := range tasks.States {
		if s == tasks.Rejected || s == tasks.Failed {
			continue
		}
		for _, status := range statuses {
			if statusOf(s) == status {
				states = append(states, s)
				break
			}
		}
	}
	return states
}

func newInvitation(r ledger.Record, eta time.Time) invitation {
	i := invitation{
		Object: "invitation", ID: r.Invite.ID,
		// As Clerk answers it.
		EmailAddress:   strings.ToLower(r.Invite.EmailAddress.Raw()),
		PublicMetadata: r.Invite.PublicMetadata,
		Status:         statusOf(r.State),
		ExpiresAt:      new(r.ExpiresAt().UnixMilli()),
		CreatedAt:      r.CreatedAt.UnixMilli(),
		UpdatedAt:      r.UpdatedAt.UnixMilli(),
		Inviteq: extra{
			ID: r.Invite.ID, State: r.State.String(), Reason: r.Reason, Lane: r.Invite.Lane.String(),
			ImportID: r.Invite.ImportID, Attempts: r.Attempts, Revoking: r.RevokeWanted && r.State != tasks.Revoked,
		},
	}
	if r.InvitationID != "" {
		i.ID = r.InvitationID
	}
	if i.PublicMetadata == nil {
		i.PublicMetadata = json.RawMessage("{}")
	}
	i.Revoked = i.Status == revoked
	if !eta.IsZero() {
		i.Inviteq.ETA = new(eta.UnixMilli())
	}
	return i
}

// show turns records into invitations, with their ETAs.
func (x *exchange) show(ctx context.Context, records []ledger.Record) ([]invitation, error) {
	etas, err := x.cfg.Ledger.ETAs(ctx, ledger.Now, records...)
	if err != nil {
		return nil, err
	}
	open, err := x.open(ctx, records)
	if err != nil {
		return nil, err
	}
	list := make([]invitation, len(records))
	for n, r := range records {
		list[n] = newInvitation(r, etas[n])
		if !open[n] {
			list[n].mask(r.Invite.EmailAddress)
		}
	}
	return list, nil
}

func (i *invitation) mask(e tasks.Email) {
	i.EmailAddress, i.PublicMetadata, i.Inviteq.Masked = e.String(), json.RawMessage("{}"), true
}

// open says of which records the token sees addresses and metadata, and counts those
// that it has not asked for itself.
func (x *exchange) open(ctx context.Context, records []ledger.Record) ([]bool, error) {
	open := make([]bool, len(records))
	if x.token.Role == access.Viewer {
		return open, nil
	}
	owners := make([]string, len(records))
	for n := range owners {
		owners[n] = x.token.Name
	}
	if !x.asked {
		var err error
		if owners, err = x.cfg.Ledger.Owners(ctx, records...); err != nil {
			return nil, err
		}
	}
	for n, owner := range owners {
		if open[n] = x.token.Reveals(owner); open[n] && owner != x.token.Name {
			x.revealed++
		}
	}
	return open, nil
}

// seen leaves out the records that do not exist for the token.
func (x *exchange) seen(ctx context.Context, records []ledger.Record) ([]ledger.Record, error) {
	if x.token.Scope == access.Instance {
		return records, nil
	}
	owners, err := x.cfg.Ledger.Owners(ctx, records...)
	if err != nil {
		return nil, err
	}
	mine := records[:0]
	for n, r := range records {
		if x.token.Sees(owners[n]) {
			mine = append(mine, r)
		}
	}
	return mine, nil
}

// showOne is the answer that consists of one invitation.
func (x *exchange) showOne(ctx context.Context, status int, r ledger.Record) *answer {
	list, err := x.show(ctx, []ledger.Record{r})
	if err != nil {
		return unavailable(err)
	}
	return &answer{status: status, value: list[0]}
}

// record returns the record of our id or Clerk's. found is false if there is none, or
// if it does not exist for the token.
func (x *exchange) record(ctx context.Context, id string) (r ledger.Record, found bool, err error) {
	r, err = x.cfg.Ledger.Read(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		var ids map[string]string
		if ids, err = x.cfg.Ledger.FindInvitations(ctx, id); err != nil || ids[id] == "" {
			return r, false, err
		}
		if r, err = x.cfg.Ledger.Read(ctx, ids[id]); errors.Is(err, ledger.ErrNotFound) {
			return r, false, nil
		}
	}
	records := []ledger.Record{r}
	if err == nil {
		records, err = x.seen(ctx, records)
	}
	if err != nil || len(records) == 0 {
		return r, false, err
	}
	return records[0], true, nil
}

// await looks at the invites until done holds for all of them, as until does. It
// returns them as they were last seen; those that are not known are left out.
func (x *exchange) await(d time.Duration, done func(ledger.Record) bool, ids ...string) (records []ledger.Record, _ error) {
	err := x.until(d, func(ctx context.Context) (_ bool, err error) {
		records, err = x.cfg.Ledger.Get(ctx, ids...)
		return !slices.ContainsFunc(records, func(r ledger.Record) bool { return !done(r) }), err
	})
	return records, err
}

// until looks again and again until look says that all is done, the time is up, the
// client has gone, or the server wants to end.
func (x *exchange) until(d time.Duration, look func(context.Context) (bool, error)) error {
	if d > 0 {
		x.leave() // Waiting is cheap, and must not keep others out.
		if leave := x.enter(x.waiting); leave != nil {
			defer leave()
		} else {
			d = 0
		}
	}
	ctx, cancel := x.toTheEnd(storeTime + d)
	defer cancel()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for pause := 40 * time.Millisecond; ; pause = min(pause*3/2, 500*time.Millisecond) {
		if done, err := look(ctx); err != nil || done || d <= 0 {
			return err
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
			continue
		case <-deadline.C:
		case <-x.ctx.Done():
		case <-x.draining:
		}
		again.Stop()
		d = 0 // One more look, the last.
	}
}

func settled(r ledger.Record) bool { return !r.State.Open() }
