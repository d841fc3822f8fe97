package api

import (
	"cmp"
	"context"
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
)

// Token is a bearer token of the API, without its secret. Several tokens may have
// the same name: then they are the same caller, and the old one can be revoked once
// the new one is in use everywhere.
type Token struct {
	ID        string    // tok_ and 16 characters.
	Name      string    // Who uses it. It stands in the audit log.
	ReadOnly  bool      // It may look, and not change anything.
	CreatedAt time.Time //
	UsedAt    time.Time // The last use, to the minute; zero: never.
}

// ErrToken says that a token is not one of ours, or not any more.
var ErrToken = errors.New("the token is not known")

// A bearer token is tokenPrefix, the 16 characters of its id, and 52 of its
// secret, which are 32 random bytes. It begins as the secret key of a Clerk
// development instance does, because Clerk's SDKs look at that.
const (
	tokenPrefix  = "sk_test_inq"
	tokenIDBytes = 10
	tokenIDLen   = 16
	secretBytes  = 32
	secretLen    = 52
	idPrefix     = "tok_"
)

// tokenJSON is a token as it is kept. 32 random bytes cannot be guessed, so that
// one round of SHA-256 hides them as well as a slow hash would.
type tokenJSON struct {
	Name     string `json:"name"`
	Hash     string `json:"sha256"`  // of the secret, in hexadecimal
	Created  int64  `json:"created"` // Unix milliseconds
	ReadOnly bool   `json:"read_only,omitempty"`
}

func (j tokenJSON) token(id string) Token {
	return Token{ID: id, Name: j.Name, ReadOnly: j.ReadOnly, CreatedAt: time.UnixMilli(j.Created)}
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

// CreateToken makes a new token, which may do everything unless it is read-only. The
// bearer token itself is returned this once; only its hash is kept.
func (s *Store) CreateToken(ctx context.Context, now time.Time, name string, readOnly bool) (bearer string, t Token, err error) {
	if err := CheckTokenName(name); err != nil {
		return "", t, err
	}
	id, secret := randomText(tokenIDBytes), randomText(secretBytes)
	t = Token{ID: idPrefix + id, Name: name, ReadOnly: readOnly, CreatedAt: time.UnixMilli(now.UnixMilli())}
	body, err := json.Marshal(tokenJSON{name, hashOf(secret), now.UnixMilli(), readOnly})
	if err != nil {
		return "", t, err
	}
	if err := s.rdb.HSet(ctx, s.tokens, t.ID, body).Err(); err != nil {
		return "", t, err
	}
	return tokenPrefix + id + secret, t, nil
}

// Tokens lists the tokens, the oldest first.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	found, used, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	var all []Token
	for id, j := range found {
		t := j.token(id)
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

// RevokeTokens revokes every token with this name, or the one with this id. The
// next request that comes with one is refused. ErrToken says that there was none.
func (s *Store) RevokeTokens(ctx context.Context, nameOrID string) ([]Token, error) {
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
	if subtle.ConstantTimeCompare([]byte(hashOf(secret)), []byte(j.Hash)) != 1 {
		return Token{}, ErrToken
	}
	return j.token(id), nil
}

// splitBearer takes a bearer token apart. What is not ok cannot be one.
func splitBearer(bearer string) (id, secret string, ok bool) {
	text, ok := strings.CutPrefix(bearer, tokenPrefix)
	if !ok || len(text) != tokenIDLen+secretLen {
		return "", "", false
	}
	id, secret = text[:tokenIDLen], text[tokenIDLen:]
	_, idErr := idText.DecodeString(id)
	_, secretErr := idText.DecodeString(secret)
	return idPrefix + id, secret, idErr == nil && secretErr == nil
}

const usedSuffix = ":used"

// TokenUsed notes when a token was last used. Once a minute is enough.
func (s *Store) TokenUsed(ctx context.Context, now time.Time, id string) error {
	return s.rdb.HSet(ctx, s.tokens, id+usedSuffix, now.UnixMilli()).Err()
}

func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return idText.EncodeToString(b)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
