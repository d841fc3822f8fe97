package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

// idempotencyKey is the key of a request, together with whose it is.
type idempotencyKey struct {
	text  string
	token access.Token
}

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
	if strings.HasPrefix(text, "inq_") {
		return idempotencyKey{}, refuse(http.StatusBadRequest, codeKeyMalformed, "Idempotency-Key is invalid",
			"The Idempotency-Key must not begin with inq_, as only the ids that inviteq makes do.")
	}
	return idempotencyKey{text, x.token}, nil
}

func (k idempotencyKey) isZero() bool { return k.text == "" }

// id is made of the key, whose it is, and what the id is for, so that it is the same
// whatever Redis has forgotten. Of a token of scope own it is made of the token itself:
// nobody else can work it out. The names cannot contain a zero byte.
func (k idempotencyKey) id(prefix, what string) string {
	if k.token.Scope == access.Own {
		return prefix + "_" + tasks.IDText.EncodeToString(k.token.Derive(prefix+"\x00"+k.text+"\x00"+what))
	}
	sum := sha256.Sum256([]byte(prefix + "\x00" + k.token.Name + "\x00" + k.text + "\x00" + what))
	return prefix + "_" + tasks.IDText.EncodeToString(sum[:15])
}

// invite is the id of the invite that a request with this key makes. For a token that
// sees the whole instance it is the key itself, as for everybody else there (--id).
func (k idempotencyKey) invite() string {
	if k.token.Scope == access.Instance && tasks.CheckCallerID(k.text) == nil {
		return k.text
	}
	return k.id("inq", "")
}

// inviteID is invite, unless the key has made an invite before tokens had a scope: then
// it is still that one.
func (x *exchange) inviteID(ctx context.Context, k idempotencyKey) (string, error) {
	id, before := k.invite(), k.id("inq", "")
	if k.token.OfBefore && id != before {
		if known, err := x.cfg.Ledger.Remembers(ctx, before); err != nil || known[0] {
			return before, err
		}
	}
	return id, nil
}

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
	request = x.cfg.Ledger.Keyed(request) // Nobody who reads Redis can try out whom it was about.
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
