package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/inviteq/inviteq/tasks"
)

// idempotencyKey is the key of a request, together with whose it is.
type idempotencyKey struct{ text, token string }

// key reads the Idempotency-Key; its zero value is none.
func (x *exchange) key() (idempotencyKey, *answer) {
	values := x.r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return idempotencyKey{}, nil
	}
	text := values[0]
	valid := len(values) == 1 && len(text) >= 1 && len(text) <= maxKey
	for _, c := range []byte(text) {
		valid = valid && c > ' ' && c <= '~'
	}
	if !valid {
		return idempotencyKey{}, refuse(http.StatusBadRequest, codeKeyMalformed, "Idempotency-Key is invalid",
			"The Idempotency-Key must be given once, and have 1 to 255 visible ASCII characters.")
	}
	return idempotencyKey{text, x.token.Name}, nil
}

func (k idempotencyKey) isZero() bool { return k.text == "" }

var idText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// id is made of the key, whose it is, and what the id is for. The names cannot
// contain a zero byte.
func (k idempotencyKey) id(prefix, what string) string {
	sum := sha256.Sum256([]byte(prefix + "\x00" + k.token + "\x00" + k.text + "\x00" + what))
	return prefix + "_" + idText.EncodeToString(sum[:15])
}

func (k idempotencyKey) invite() string      { return k.id("inq", "") }
func (k idempotencyKey) member(n int) string { return k.id("inq", strconv.Itoa(n)) }
func (k idempotencyKey) importID() string    { return k.id("imp", "") }
func (k idempotencyKey) name() string        { return k.id("key", "") }

func (k idempotencyKey) conflict() *answer {
	return refuse(http.StatusConflict, codeKeyConflict, "Idempotency-Key conflict",
		"The Idempotency-Key has been used for another request. Use a new key for a new request.")
}

// bind ties the key to this request, or says that it is tied to another one.
func (x *exchange) bind(ctx context.Context, k idempotencyKey, request string) *answer {
	if k.isZero() {
		return nil
	}
	bound, err := x.store.bind(ctx, k.name(), request, keyLife)
	if err != nil {
		return unavailable(err)
	}
	if bound != request {
		return k.conflict()
	}
	return nil
}

// fingerprintOf is a hash of what is asked for. The parts are told apart.
func fingerprintOf(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256(p)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// requestOf is the fingerprint of a create: two bodies that differ in spaces or
// in the order of their keys are the same.
func requestOf(kind string, invites ...tasks.Invite) string {
	list := make([]tasks.InviteJSON, len(invites))
	for n, i := range invites {
		i.ID, i.ImportID, i.PublicMetadata = "", "", sortedKeys(i.PublicMetadata)
		list[n] = i.JSON()
		list[n].EmailAddress = i.EmailAddress.Key() // Capitals make no other request.
	}
	b, _ := json.Marshal(list) // valid invites
	return fingerprintOf([]byte(kind), b)
}

// sortedKeys writes a JSON object with its keys in order, at every level. A
// number keeps every digit.
func sortedKeys(object json.RawMessage) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	var v map[string]any
	if dec.Decode(&v) != nil {
		return object
	}
	b, err := json.Marshal(v)
	if err != nil {
		return object
	}
	return b
}
