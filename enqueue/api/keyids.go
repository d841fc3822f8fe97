package api

import "github.com/inviteq/inviteq/tasks/access"

// KeyIDs returns under which ids a request may stand that came with an Idempotency-Key
// and a token of this name and scope (access.Store.Tokens): its invite, the members of a
// bulk request in their order, and its import.
func KeyIDs(t access.Token, key string) (invites []string, importID string) {
	k := idempotencyKey{key, t}
	invites = []string{k.invite()}
	if before := k.id("inq", ""); before != k.invite() {
		invites = append(invites, before)
	}
	for n := range maxBulk {
		invites = append(invites, k.member(n))
	}
	return invites, k.importID()
}
