package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker/reconcile"
	"github.com/inviteq/inviteq/worker/webhook"
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
	case webhook.TaskType:
		if p, err := webhook.ParsePost(payload); err == nil {
			ok, text = true, "event "+p.Data.EventID
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
	return string(tasks.Mask([]byte(text)))
}

// formatResult says how a task ended. It goes by the shape of the result, because
// asynqmon 0.7.2 does not say on a task's own page of which type it is.
func formatResult(taskType string, result []byte) string {
	if len(result) == 0 {
		return ""
	}
	text := ""
	if taskType == "" || strings.HasPrefix(taskType, "invitation:") || taskType == webhook.TaskType {
		text = readResult(result)
	}
	if text == "" {
		return fmt.Sprintf("%d bytes that inviteq cannot read; not shown, because they may hold an address", len(result))
	}
	return string(tasks.Mask([]byte(text)))
}

// plainWord is what a state or a note of ours looks like.
var plainWord = regexp.MustCompile(`^[a-z_ ]{1,40}$`)

// readResult returns "" for what is none of our results.
func readResult(result []byte) string {
	var r struct {
		State        string `json:"state"` // of invitation:create
		Reason       string `json:"reason"`
		InvitationID string `json:"invitation_id"`
		Skipped      string `json:"skipped"` // of invitation:reconcile
		Type         string `json:"type"`    // of webhook:post
		Status       int    `json:"status"`
		reconcile.Report
	}
	switch err := json.Unmarshal(result, &r); {
	case err != nil:
	case r.State != "" && plainWord.MatchString(r.State):
		text := r.State
		if r.Reason != "" {
			state, _ := tasks.ParseState(r.State)
			text += ": " + words(ledger.ReadReason(state, r.Reason))
		}
		if r.InvitationID != "" {
			text += " " + r.InvitationID // asynqmon cuts longer lines off.
		}
		return text
	case r.Type != "" && plainWord.MatchString(strings.ReplaceAll(r.Type, ".", " ")):
		return fmt.Sprintf("%s: answered %d", r.Type, r.Status)
	case r.Skipped != "":
		return "skipped: " + r.Skipped
	case r.Kind != "" && !r.StartedAt.IsZero():
		return fmt.Sprintf("%s pass: %d scanned, %d differences, %d missing, %d foreign, in %s",
			r.Kind, r.Scanned, r.Differences(), r.Missing, r.Foreign, show.Duration(r.Took))
	}
	var words []string
	var counts map[string]int // of invitation:bulk_create: by state
	if json.Unmarshal(result, &counts) == nil {
		for _, state := range slices.Sorted(maps.Keys(counts)) {
			words = append(words, fmt.Sprintf("%d %s", counts[state], state))
		}
		return strings.Join(words, ", ")
	}
	var ended map[string]string // of invitation:revoke: by id
	if json.Unmarshal(result, &ended) == nil {
		for _, id := range slices.Sorted(maps.Keys(ended)) {
			if !plainWord.MatchString(ended[id]) {
				return ""
			}
			words = append(words, id+" "+ended[id])
		}
	}
	return strings.Join(words, ", ")
}
