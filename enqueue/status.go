package enqueue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Status is an invite and what became of it. Its address masks itself wherever
// it is printed or marshalled; JSON returns the open form for a report that
// its owner asked for.
type Status struct {
	ID           string       `json:"id"`
	EmailAddress tasks.Email  `json:"email_address"`
	Lane         tasks.Lane   `json:"lane"`
	State        tasks.State  `json:"state"`
	Reason       tasks.Reason `json:"reason"`        // Why it is in this state; may be "".
	InvitationID string       `json:"invitation_id"` // Clerk's id, once it has one.
	Attempts     int          `json:"attempts"`      // Calls that Clerk answered with "not now". Waiting does not count.
	ImportID     string       `json:"import_id"`
	CreatedAt    time.Time    `json:"created_at"`
	UpdatedAt    time.Time    `json:"updated_at"`          // When its state last changed.
	NotBefore    time.Time    `json:"not_before,omitzero"` // While queued: not sent earlier. The zero time: at once.
	ETA          time.Time    `json:"eta,omitzero"`        // While queued: when it will be sent, at the current rate. Otherwise zero.

	Revoking bool           `json:"revoking"`                // A revoke is wanted, and a worker has not carried it out yet.
	Refusal  *RevokeRefusal `json:"revoke_refusal,omitzero"` // What Clerk has said to that so far, if it refuses; in answers of Client.Status only.
}

// StatusJSON is a Status in the open: one line of inviteq's --json output. All
// keys are always there; a time that there is none of is null, a word that
// there is none of is "". Times are RFC 3339 in UTC, to the millisecond.
type StatusJSON struct {
	ID           string       `json:"id"`
	EmailAddress string       `json:"email_address"`
	Lane         tasks.Lane   `json:"lane"`
	State        tasks.State  `json:"state"`
	Reason       tasks.Reason `json:"reason"`
	InvitationID string       `json:"invitation_id"`
	Attempts     int          `json:"attempts"`
	ImportID     string       `json:"import_id"`
	CreatedAt    *time.Time   `json:"created_at"`
	UpdatedAt    *time.Time   `json:"updated_at"`
	NotBefore    *time.Time   `json:"not_before"`
	ETA          *time.Time   `json:"eta"`

	Revoking bool           `json:"revoking"`
	Refusal  *RevokeRefusal `json:"revoke_refusal"`
}

// JSON returns the status with the address in the open, for an owner's report.
func (s Status) JSON() StatusJSON {
	return StatusJSON{
		ID: s.ID, EmailAddress: s.EmailAddress.Raw(), Lane: s.Lane, State: s.State, Reason: s.Reason,
		InvitationID: s.InvitationID, Attempts: s.Attempts, ImportID: s.ImportID,
		CreatedAt: tasks.TimeOrNull(s.CreatedAt), UpdatedAt: tasks.TimeOrNull(s.UpdatedAt), NotBefore: tasks.TimeOrNull(s.NotBefore), ETA: tasks.TimeOrNull(s.ETA),
		Revoking: s.Revoking, Refusal: s.Refusal,
	}
}

func newStatus(r ledger.Record) Status {
	return Status{
		ID: r.Invite.ID, EmailAddress: r.Invite.EmailAddress, Lane: r.Invite.Lane, State: r.State, Reason: r.Reason,
		InvitationID: r.InvitationID, Attempts: r.Attempts, ImportID: r.Invite.ImportID,
		CreatedAt: utc(r.CreatedAt), UpdatedAt: utc(r.UpdatedAt), NotBefore: utc(r.Invite.NotBefore),
		Revoking: r.RevokeWanted,
	}
}

// utc has the precision of the ledger, milliseconds.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// Status returns what is known of our id, of Clerk's id (inv_…), or of an
// address, whose invites come the newest first (at most 32). If nothing is
// known, the error is ErrNotFound; a target that cannot be any of these is a
// *tasks.ValidationError.
func (c *Client) Status(ctx context.Context, target string) ([]Status, error) {
	l, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	records, err := find(ctx, l, target)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, ErrNotFound
	}
	all, err := statuses(ctx, l, records)
	for n := range all {
		if err == nil && all[n].Revoking {
			all[n].Refusal, err = refusalOf(ctx, l, all[n].ID, all[n].InvitationID)
		}
	}
	return all, err
}

// find returns the records that a target means; none if there are none.
func find(ctx context.Context, l *ledger.Ledger, target string) ([]ledger.Record, error) {
	if err := tasks.CheckTarget(target); err != nil {
		return nil, &tasks.ValidationError{Problems: []tasks.Problem{{Field: "target", Reason: err.Error()}}}
	}
	if strings.Contains(target, "@") {
		email, err := tasks.ParseEmail(target)
		if err != nil {
			return nil, err
		}
		return l.FindAddress(ctx, email)
	}
	r, err := l.Read(ctx, target)
	if !errors.Is(err, ErrNotFound) {
		return []ledger.Record{r}, err
	}
	if !isInvitationID(target) {
		return nil, nil
	}
	ids, err := l.FindInvitations(ctx, target)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return l.Get(ctx, ids[target])
}

func isInvitationID(s string) bool { return strings.HasPrefix(s, "inv_") }

// statuses adds the ETAs, in two round trips for all of them.
func statuses(ctx context.Context, l *ledger.Ledger, records []ledger.Record) ([]Status, error) {
	etas, err := l.ETAs(ctx, ledger.Now, records...)
	if err != nil {
		return nil, err
	}
	out := make([]Status, len(records))
	for n, r := range records {
		out[n] = newStatus(r)
		out[n].ETA = utc(etas[n])
	}
	return out, nil
}
