package api

// KeyIDs returns under which ids a request may stand that came with an
// Idempotency-Key under a token of this name: its invite, the members of a bulk
// request in their order, and its import.
func KeyIDs(token, key string) (invites []string, importID string) {
	k := idempotencyKey{key, token}
	invites = append(invites, k.invite())
	for n := range maxBulk {
		invites = append(invites, k.member(n))
	}
	return invites, k.importID()
}
