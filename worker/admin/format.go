package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// formatPayload says what a task is about, as a person wants to read it, and
// never shows what it cannot read: that may hold an address.
func formatPayload(taskType string, payload []byte) string {
	text, ok := "", false
	switch taskType {
	case tasks.TypeCreate:
		if p, err := tasks.ParseCreate(payload); err == nil {
			ok, text = true, "invite "+p.ID
			if p.Invite != nil {
				text = strings.TrimSpace(text) + " for " + p.Invite.EmailAddress.String() + ", whole in the task"
			}
		}
	case tasks.TypeBulkCreate:
		if p, err := tasks.ParseBulkCreate(payload); err == nil {
			ok, text = true, fmt.Sprintf("rows %d to %d of import %s", p.From+1, p.From+p.Count, p.ImportID)
			if len(p.Invites) > 0 {
				text = fmt.Sprintf("%d invites of import %s, whole in the task", len(p.Invites), p.ImportID)
			}
		}
	case tasks.TypeRevoke:
		if p, err := tasks.ParseRevoke(payload); err == nil {
			ok, text = true, "revoke "+p.ID+p.Target // One of the two is empty.
		}
	case tasks.TypeReconcile:
		if p, err := tasks.ParseReconcile(payload); err == nil {
			ok, text = true, "compare the newest invitations"
			if p.Full {
				text = "compare all invitations"
			}
		}
	}
	if !ok {
		return fmt.Sprintf("%d bytes that inviteq cannot read; not shown, because they may hold an address", len(payload))
	}
	return string(mask([]byte(text)))
}

// formatResult says how a task ended.
func formatResult(taskType string, result []byte) string {
	text, ok := "", false
	switch taskType {
	case tasks.TypeCreate:
		var o struct {
			State        string `json:"state"`
			Reason       string `json:"reason"`
			InvitationID string `json:"invitation_id"`
		}
		if json.Unmarshal(result, &o) == nil && o.State != "" {
			ok, text = true, o.State
			if o.Reason != "" {
				text += ": " + o.Reason
			}
			if o.InvitationID != "" {
				text += ", at Clerk " + o.InvitationID
			}
		}
	case tasks.TypeBulkCreate:
		var counts map[string]int
		if json.Unmarshal(result, &counts) == nil {
			var words []string
			for _, state := range slices.Sorted(maps.Keys(counts)) {
				words = append(words, fmt.Sprintf("%d %s", counts[state], state))
			}
			ok, text = true, strings.Join(words, ", ")
		}
	case tasks.TypeRevoke:
		var ended map[string]string
		if json.Unmarshal(result, &ended) == nil {
			var words []string
			for _, id := range slices.Sorted(maps.Keys(ended)) {
				words = append(words, id+" "+ended[id])
			}
			ok, text = true, strings.Join(words, ", ")
		}
	case tasks.TypeReconcile:
		var r reconcile.Report
		var skipped struct {
			Skipped string `json:"skipped"`
		}
		if json.Unmarshal(result, &skipped) == nil && skipped.Skipped != "" {
			ok, text = true, "skipped: "+skipped.Skipped
		} else if json.Unmarshal(result, &r) == nil {
			ok, text = true, fmt.Sprintf("%s pass: %d scanned, %d differences, %d missing, %d foreign, in %s",
				r.Kind, r.Scanned, r.Differences(), r.Missing, r.Foreign, humane(r.Took))
		}
	}
	if !ok {
		if len(result) == 0 {
			return ""
		}
		return fmt.Sprintf("%d bytes that inviteq cannot read", len(result))
	}
	return string(mask([]byte(text)))
}
