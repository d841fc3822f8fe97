package enqueue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Exported is everything that Redis holds about a person, in the open.
type Exported struct {
	EmailAddress string           `json:"email_address"`
	Person       string           `json:"person"` // The keyed hash by which logs know them.
	At           time.Time        `json:"at"`
	Invites      []ExportedInvite `json:"invites"`
	Events       []ExportedEvent  `json:"events"`  // What became of the invites, as far as it is kept.
	Revokes      []RevokeStatus   `json:"revokes"` // Requests to revoke that name the address and are not done.
	Tasks        []ExportedTask   `json:"tasks"`
	Elsewhere    []string         `json:"elsewhere"` // Other places in Redis where the address stands, such as another person's metadata.
}

// ExportedInvite is an invite as it was asked for, and what became of it.
type ExportedInvite struct {
	Request tasks.InviteJSON `json:"request"`
	Owner   string           `json:"owner"` // Who asked: a token, or a tenant; "" is the command line.
	Status  StatusJSON       `json:"status"`
	SentAt  *time.Time       `json:"sent_at"`
}

// ExportedEvent is one change of an invite's state.
type ExportedEvent struct {
	At           time.Time    `json:"at"`
	ID           string       `json:"id"`
	From         string       `json:"from"`
	To           string       `json:"to"`
	Reason       tasks.Reason `json:"reason"`
	InvitationID string       `json:"invitation_id"`
}

// ExportedTask is an asynq task that is about an invite of the person, or holds the
// address.
type ExportedTask struct {
	Queue   string `json:"queue"`
	ID      string `json:"id"`
	Type    string `json:"type"`
	State   string `json:"state"`
	Payload string `json:"payload"`
}

// Export returns what is kept about a person. It is as much work as Forget, and needs
// the same rights.
func (c *Client) Export(ctx context.Context, e tasks.Email) (x Exported, err error) {
	l, err := c.open(ctx)
	if err == nil {
		x, err = c.export(ctx, l, e)
	}
	if err != nil {
		return x, fmt.Errorf("export: %w", err)
	}
	return x, nil
}

func (c *Client) export(ctx context.Context, l *ledger.Ledger, e tasks.Email) (Exported, error) {
	x := Exported{
		EmailAddress: e.Raw(), Person: l.Person(e), At: utc(l.Time()),
		Invites: []ExportedInvite{}, Events: []ExportedEvent{}, Revokes: []RevokeStatus{}, Tasks: []ExportedTask{}, Elsewhere: []string{},
	}
	records, err := l.FindAddress(ctx, e)
	if err != nil {
		return x, err
	}
	owners, err := l.Owners(ctx, records...)
	if err != nil {
		return x, err
	}
	list, err := statuses(ctx, l, records)
	if err != nil {
		return x, err
	}
	known := map[string]bool{}
	for n, r := range records {
		known[r.Invite.ID] = true
		x.Invites = append(x.Invites, ExportedInvite{r.Invite.JSON(), owners[n], list[n].JSON(), tasks.TimeOrNull(utc(r.SentAt))})
	}
	requests, err := l.RevokeRequestsFor(ctx, e)
	if err != nil {
		return x, err
	}
	for _, r := range requests {
		known[r.ID] = true
		s, err := revokeStatus(ctx, l, r.ID)
		if err != nil {
			return x, err
		}
		x.Revokes = append(x.Revokes, s)
	}
	for event, err := range l.KeptEvents(ctx) {
		if err != nil {
			return x, err
		}
		if known[event.InviteID] {
			x.Events = append(x.Events, ExportedEvent{utc(event.At), event.InviteID, event.From, event.To, event.Reason, event.InvitationID})
		}
	}
	for t, err := range c.allTasks(ctx) {
		if err != nil {
			return x, err
		}
		if known[t.ID] || taskMentions(e, t) {
			x.Tasks = append(x.Tasks, ExportedTask{t.Queue, t.ID, t.Type, t.State.String(), string(t.Payload)})
		}
	}
	found, err := l.Mentions(ctx, e)
	for _, m := range found {
		if !known[m.Field] && !strings.HasPrefix(m.Key, "asynq:") { // Else it has been said.
			x.Elsewhere = append(x.Elsewhere, m.String())
		}
	}
	return x, err
}
