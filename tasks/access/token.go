package access

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Token is a bearer token, without its secret. It opens the HTTP API and the admin
// pages. Several tokens may have the same name: then they are the same owner, and the
// old one can be revoked once the new one is in use everywhere.
type Token struct {
	ID        string    // tok_ and 16 characters.
	Name      string    // Who uses it. It owns what it asks for, and stands in the audit log.
	Role      Role      //
	Scope     Scope     //
	CreatedAt time.Time //
	UsedAt    time.Time // The last use, to the minute; zero: never.

	// OfBefore says that it was made before tokens had a role and a scope: it is of
	// scope Instance, and an admin unless it was read-only.
	OfBefore bool

	seed string
}

// ErrToken says that a token is not one of ours, or not any more.
var ErrToken = errors.New("the token is not known")

// A bearer token is tokenPrefix, the 16 characters of its id, and 52 of its
// secret, which are 32 random bytes: 16 are its own, and 16 it has in common with
// the tokens of its name and scope (the seed). It begins as the secret key of a
// Clerk development instance does, because Clerk's SDKs look at that.
const (
	tokenPrefix  = "sk_test_inq"
	tokenIDBytes = 10
	tokenIDLen   = 16
	secretBytes  = 32
	secretLen    = 52
	seedBytes    = 16
	idPrefix     = "tok_"
)

// tokenJSON is a token as it is kept. 16 random bytes cannot be guessed, so that
// one round of SHA-256 hides them as well as a slow hash would.
type tokenJSON struct {
	Name     string `json:"name"`
	Hash     string `json:"sha256"`  // of the secret, in hexadecimal
	Created  int64  `json:"created"` // Unix milliseconds
	Role     *Role  `json:"role,omitempty"`
	Scope    *Scope `json:"scope,omitempty"`
	Seed     string `json:"seed,omitempty"`      // base32; the next token of the name gets it, so that Idempotency-Keys go on meaning the same
	ReadOnly bool   `json:"read_only,omitempty"` // of a token of before
}

func (j tokenJSON) token(id, secret string) Token {
	t := Token{ID: id, Name: j.Name, CreatedAt: time.UnixMilli(j.Created), seed: seedOf(secret)}
	if j.Role != nil && j.Scope != nil {
		t.Role, t.Scope = *j.Role, *j.Scope
		return t
	}
	t.Role, t.Scope, t.OfBefore = Admin, Instance, true
	if j.ReadOnly {
		t.Role = Viewer
	}
	return t
}

// Derive makes 15 bytes of a text, as an id has, that nobody can work out who does not
// hold a token of this name and scope. They rest on the token alone: whatever happens
// to Redis, the same token and the same text give the same bytes.
func (t Token) Derive(text string) []byte {
	h := hmac.New(sha256.New, []byte(t.seed))
	h.Write([]byte(text))
	return h.Sum(nil)[:15]
}

// CheckTokenName says what is wrong with the name of a token.
func CheckTokenName(name string) error {
	ok := len(name) >= 1 && len(name) <= 64 && !strings.HasPrefix(name, idPrefix)
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return errors.New("a token's name must have 1 to 64 letters, digits, dots, hyphens and underscores, and not begin with tok_")
	}
	return nil
}

// Store keeps the tokens and the audit log of one instance in Redis. Its keys stand
// beside those of the ledger, under the same prefix:
//
//	tokens   hash: token id → name, role, scope, hash and age of a bearer token; id:used → last use (ms)
//	audit    stream: who did what (Act)
//
// A Store is safe for concurrent use.
type Store struct {
	rdb           redis.UniversalClient
	tokens, audit string
}

// NewStore returns the store under a prefix (ledger.KeyPrefix). It makes no call. The
// connection stays the caller's to close.
func NewStore(rdb redis.UniversalClient, prefix string) *Store {
	return &Store{rdb, prefix + "tokens", prefix + "audit"}
}

// Create makes a new token. The bearer token itself is returned this once; only its
// hash is kept.
func (s *Store) Create(ctx context.Context, now time.Time, name string, role Role, scope Scope) (bearer string, t Token, err error) {
	if err := CheckTokenName(name); err != nil {
		return "", t, err
	}
	found, _, err := s.all(ctx)
	if err != nil {
		return "", t, err
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	for _, j := range found {
		if seed, err := tasks.IDText.DecodeString(j.Seed); err == nil && len(seed) == seedBytes && j.Name == name && j.token("", "").Scope == scope {
			copy(secret, seed)
		}
	}
	id := make([]byte, tokenIDBytes)
	rand.Read(id)
	bearer = tokenPrefix + tasks.IDText.EncodeToString(id) + tasks.IDText.EncodeToString(secret)
	t, err = s.keep(ctx, now, bearer, name, role, scope)
	return bearer, t, err
}

// ErrNotABearer says that a text is no bearer token that Create has made.
var ErrNotABearer = errors.New("this is no token of inviteq: one begins with sk_test_inq and has 79 characters")

// Restore writes a token down again that Redis has lost and whoever uses it still has.
// What it derives stays the same.
func (s *Store) Restore(ctx context.Context, now time.Time, bearer, name string, role Role, scope Scope) (t Token, err error) {
	if err := CheckTokenName(name); err != nil {
		return t, err
	}
	if _, _, ok := splitBearer(bearer); !ok {
		return t, ErrNotABearer
	}
	return s.keep(ctx, now, bearer, name, role, scope)
}

func (s *Store) keep(ctx context.Context, now time.Time, bearer, name string, role Role, scope Scope) (t Token, err error) {
	id, secret, _ := splitBearer(bearer)
	j := tokenJSON{Name: name, Hash: hashOf(secret), Created: now.UnixMilli(), Role: &role, Scope: &scope, Seed: tasks.IDText.EncodeToString([]byte(seedOf(secret)))}
	body, err := json.Marshal(j)
	if err != nil {
		return t, err
	}
	return j.token(id, secret), s.rdb.HSet(ctx, s.tokens, id, body).Err()
}

// Tokens lists the tokens, the oldest first.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	found, used, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	var all []Token
	for id, j := range found {
		t := j.token(id, "")
		if seed, err := tasks.IDText.DecodeString(j.Seed); err == nil {
			t.seed = string(seed) // Whoever reads the tokens finds what their Idempotency-Keys have made.
		}
		t.UsedAt = used[id]
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Token) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

// all reads every token, by id, and when those that were used were.
func (s *Store) all(ctx context.Context) (found map[string]tokenJSON, used map[string]time.Time, err error) {
	fields, err := s.rdb.HGetAll(ctx, s.tokens).Result()
	if err != nil {
		return nil, nil, err
	}
	found, used = map[string]tokenJSON{}, map[string]time.Time{}
	for field, value := range fields {
		if id, isUse := strings.CutSuffix(field, usedSuffix); isUse {
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				used[id] = time.UnixMilli(ms)
			}
			continue
		}
		var j tokenJSON
		if json.Unmarshal([]byte(value), &j) == nil {
			found[field] = j
		}
	}
	return found, used, nil
}

// token reads one token by its id. The error is ErrToken if there is none.
func (s *Store) token(ctx context.Context, id string) (j tokenJSON, err error) {
	body, err := s.rdb.HGet(ctx, s.tokens, id).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return j, ErrToken
	case err != nil:
		return j, err
	case json.Unmarshal(body, &j) != nil:
		return j, ErrToken
	}
	return j, nil
}

// Revoke revokes every token with this name, or the one with this id. The next request
// that comes with one is refused. ErrToken says that there was none.
func (s *Store) Revoke(ctx context.Context, nameOrID string) ([]Token, error) {
	all, err := s.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	gone := slices.DeleteFunc(all, func(t Token) bool { return t.Name != nameOrID && t.ID != nameOrID })
	if len(gone) == 0 {
		return nil, ErrToken
	}
	var fields []string
	for _, t := range gone {
		fields = append(fields, t.ID, t.ID+usedSuffix)
	}
	return gone, s.rdb.HDel(ctx, s.tokens, fields...).Err()
}

// Authenticate finds the token that a request came with, in one round trip
// whatever the number of tokens. What does not look like a token costs none.
// The error is ErrToken if it is not known.
func (s *Store) Authenticate(ctx context.Context, bearer string) (Token, error) {
	id, secret, ok := splitBearer(bearer)
	if !ok {
		return Token{}, ErrToken
	}
	j, err := s.token(ctx, id)
	if err != nil {
		return Token{}, err
	}
	if !j.is(secret) {
		return Token{}, ErrToken
	}
	return j.token(id, secret), nil
}

func (j tokenJSON) is(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(hashOf(secret)), []byte(j.Hash)) == 1
}

// splitBearer takes a bearer token apart. What is not ok cannot be one.
func splitBearer(bearer string) (id, secret string, ok bool) {
	text, ok := strings.CutPrefix(bearer, tokenPrefix)
	if !ok || len(text) != tokenIDLen+secretLen {
		return "", "", false
	}
	id, secret = text[:tokenIDLen], text[tokenIDLen:]
	_, idErr := tasks.IDText.DecodeString(id)
	_, secretErr := tasks.IDText.DecodeString(secret)
	return idPrefix + id, secret, idErr == nil && secretErr == nil
}

func seedOf(secret string) string {
	b, err := tasks.IDText.DecodeString(secret)
	if err != nil || len(b) != secretBytes {
		return ""
	}
	return string(b[:seedBytes])
}

const usedSuffix = ":used"

// Used notes when a token was last used. Once a minute is enough.
func (s *Store) Used(ctx context.Context, now time.Time, id string) error {
	return s.rdb.HSet(ctx, s.tokens, id+usedSuffix, now.UnixMilli()).Err()
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
