package reconcile

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Row is one difference of a report, for people to read: its address is masked.
type Row struct {
	Finding      Finding   `json:"finding"`
	Address      string    `json:"address,omitzero"`
	InviteID     string    `json:"invite_id,omitzero"`     // of the record that it is about
	InvitationID string    `json:"invitation_id,omitzero"` // Clerk's
	Ledger       string    `json:"ledger,omitzero"`        // the state that the record had
	Clerk        string    `json:"clerk,omitzero"`         // the status of the invitation
	Made         time.Time `json:"made,omitzero"`          // when Clerk made it
}

// Finding is the kind of a difference.
type Finding string

// The findings, what needs a person first.
const (
	Missing     Finding = "missing"
	Gone        Finding = "gone"
	Doubled     Finding = "doubled" // the older of two that are pending
	Settled     Finding = "settled"
	Rebuilt     Finding = "rebuilt"
	Foreign     Finding = "foreign"
	Unadoptable Finding = "unadoptable" // foreign, and cannot be recorded
	Lagging     Finding = "lagging"
)

// Findings are all of them, in this order.
var Findings = []Finding{Missing, Gone, Doubled, Settled, Rebuilt, Foreign, Unadoptable, Lagging}

// Means says it in words.
func (f Finding) Means() string {
	return map[Finding]string{
		Missing:     "pending in the ledger, absent at Clerk like most others: is the key that of another instance?",
		Gone:        "deleted at Clerk; inviteq does not send them again by itself",
		Doubled:     "further pending invitations for one person",
		Settled:     "the ledger follows what Clerk says",
		Rebuilt:     "ours by their mark, forgotten by the ledger, recorded again",
		Foreign:     "not made by inviteq",
		Unadoptable: "not made by inviteq, and cannot be recorded: the address is one that inviteq refuses, or the invite has another invitation",
		Lagging:     "one side has not been told yet; the next pass looks again",
	}[f]
}

// AtClerk reports whether it is about one of the invitations that were scanned, each of
// which has one such finding or agrees.
func (f Finding) AtClerk() bool {
	return f == Rebuilt || f == Foreign || f == Unadoptable || f == Lagging
}

// RowsKept is how many rows of a finding a report keeps; all are counted.
const RowsKept = 2000

// row keeps a difference.
func (p *Pass) row(r Row) {
	if p.kept[r.Finding]++; p.kept[r.Finding] <= RowsKept {
		p.rows = append(p.rows, r)
	}
}

// encodeRows makes what the ledger keeps: the rows in the order of Findings, and before
// them the report that they belong to, by its beginning.
func (p *Pass) encodeRows() ([]string, error) {
	slices.SortStableFunc(p.rows, func(a, b Row) int {
		return slices.Index(Findings, a.Finding) - slices.Index(Findings, b.Finding)
	})
	kept := []string{p.report.StartedAt.Format(time.RFC3339Nano)}
	for _, r := range p.rows {
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		kept = append(kept, string(b))
	}
	return kept, nil
}

// Rows returns n rows of a finding ("": of all, in the order of Findings) of a report
// that LastReport has returned, and how many there are. There are none if they could not
// be kept.
func Rows(ctx context.Context, l *ledger.Ledger, of Report, finding Finding, from, n int) (rows []Row, kept int, err error) {
	start, counts := 1, of.Counts()
	for _, f := range Findings {
		have := min(counts[f], RowsKept)
		if finding == "" || f == finding {
			kept += have
		} else if kept == 0 {
			start += have
		}
	}
	first, texts, err := l.LastRows(ctx, of.Kind, start+from, max(0, min(n, kept-from)))
	if err != nil || first != of.StartedAt.Format(time.RFC3339Nano) {
		return nil, 0, err
	}
	for _, text := range texts {
		var r Row
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, 0, err
		}
		rows = append(rows, r)
	}
	return rows, kept, nil
}

func masked(address string) string { return string(tasks.Mask([]byte(address))) }

// rowOf is the row of a record and of an invitation, either of which may be empty.
func rowOf(f Finding, r ledger.Record, inv clerk.Invitation) Row {
	row := Row{Finding: f, Address: masked(inv.EmailAddress), InviteID: r.Invite.ID, InvitationID: inv.ID, Clerk: string(inv.Status), Made: inv.CreatedAt}
	if r.Invite.ID != "" {
		row.Address = r.Invite.EmailAddress.String()
	}
	if !r.CreatedAt.IsZero() {
		row.Ledger = r.State.String()
	}
	return row
}

// stranger counts an invitation that is not ours.
func (p *Pass) stranger(f Finding, inv clerk.Invitation) {
	p.report.Foreign++
	if f == Unadoptable {
		p.report.Unadoptable++
	}
	p.row(rowOf(f, ledger.Record{}, inv))
}

// settled counts a record that follows what Clerk says.
func (p *Pass) settled(r ledger.Record, inv clerk.Invitation, to tasks.State) {
	p.report.settled(r.State, to)
	p.row(rowOf(Settled, r, inv))
}
