package ownership

import (
	"encoding/json"
	"errors"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

var errKeyUsed = errors.New("the metadata uses the key of the mark")

// Mark returns the metadata of an invite with its id under the key; as it is if
// there is no key, or no room for it.
func Mark(i tasks.Invite, key string) json.RawMessage {
	if key == "" || !CanCarry(i, key) {
		return i.PublicMetadata
	}
	marked, err := withMark(i, key)
	if err != nil {
		return i.PublicMetadata
	}
	return marked
}

// CanCarry reports whether the metadata of an invite has room for the mark, and
// does not use the key itself.
func CanCarry(i tasks.Invite, key string) bool {
	marked, err := withMark(i, key)
	return err == nil && len(marked) <= tasks.MaxMetadataLen
}

func withMark(i tasks.Invite, key string) (json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	if len(i.PublicMetadata) > 0 {
		if err := json.Unmarshal(i.PublicMetadata, &m); err != nil {
			return nil, err
		}
	}
	if _, used := m[key]; used {
		return nil, errKeyUsed
	}
	id, err := json.Marshal(i.ID)
	if err != nil {
		return nil, err
	}
	m[key] = id
	return json.Marshal(m)
}

// Marked reports whether a call has carried the mark.
func Marked(i tasks.Invite, c ledger.Call, f Facts) bool {
	return f.Mark != "" && c.Sent.After(f.MarkSince) && CanCarry(i, f.Mark)
}

// MarkOf returns our id, if an invitation carries it under the key.
func MarkOf(inv clerk.Invitation, key string) (id string, marked bool) {
	var m map[string]json.RawMessage
	if key == "" || json.Unmarshal(inv.PublicMetadata, &m) != nil {
		return "", false
	}
	raw, ok := m[key]
	if !ok || json.Unmarshal(raw, &id) != nil {
		return "", false
	}
	return id, true
}

// WithoutMark returns the metadata of an invitation as its producer gave it.
func WithoutMark(inv clerk.Invitation, key string) json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(inv.PublicMetadata, &m) != nil {
		return nil
	}
	delete(m, key)
	if len(m) == 0 {
		return nil
	}
	left, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return left
}
