// Package seal encrypts what the ledger keeps about people, so that whoever reads Redis,
// its files or its memory reads neither addresses nor what else an invite says.
//
// An operator's key (Key) encrypts one secret of the ledger (Secret), which stands in
// Redis only so. The secret encrypts the records, and keys the hashes by which people
// are found and contents are compared. A key can therefore be replaced at once, without
// a record being touched.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeyLen is the length of a key in bytes.
const KeyLen = 32

// A Key is an operator's. It is never written to Redis.
type Key struct {
	id   string
	aead cipher.AEAD
}

// ID tells keys apart in messages: eight hexadecimal digits, from which the key cannot
// be worked out.
func (k Key) ID() string { return k.id }

// Keys are those that a process has. The first encrypts; each of them decrypts.
type Keys []Key

// ParseKeys reads keys, separated by commas or white space. Each is KeyLen random bytes
// in base64 (also the URL's) or in hexadecimal. An empty text is no key. The error never
// quotes one.
func ParseKeys(text string) (Keys, error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r <= ' ' })
	var keys Keys
	for n, field := range fields {
		b, ok := decodeKey(field)
		which := ""
		if len(fields) > 1 {
			which = fmt.Sprintf("key %d of %d ", n+1, len(fields))
		}
		if !ok {
			return nil, fmt.Errorf("%smust be %d bytes in base64; make one with: openssl rand -base64 %d", which, KeyLen, KeyLen)
		}
		if bytes.Count(b, b[:1]) > KeyLen/2 {
			return nil, fmt.Errorf("%sis not random; make one with: openssl rand -base64 %d", which, KeyLen)
		}
		aead, err := newAEAD(b)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("inviteq: which key\x00"), b...))
		keys = append(keys, Key{hex.EncodeToString(sum[:4]), aead})
	}
	return keys, nil
}

func decodeKey(text string) ([]byte, bool) {
	if b, err := hex.DecodeString(text); err == nil && len(b) == KeyLen {
		return b, true
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawStdEncoding.DecodeString(plain)
	return b, err == nil && len(b) == KeyLen
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// A Secret belongs to one ledger. It is safe for concurrent use.
type Secret struct {
	Index []byte // keys the hashes by which people are found
	Hash  []byte // keys the hashes that outlive what they stand for

	root    []byte
	content cipher.AEAD
}

// rootLen is that of the part from which the keys of index and content are derived.
const rootLen = 32

// NewSecret makes a secret. What has been hashed for good with an earlier one goes on
// being found, if it is given.
func NewSecret(earlier *Secret) (*Secret, error) {
	b := make([]byte, 2*rootLen)
	_, _ = rand.Read(b) // It never fails.
	if earlier != nil {
		copy(b[rootLen:], earlier.Hash)
	}
	return newSecret(b)
}

func newSecret(b []byte) (*Secret, error) {
	if len(b) != 2*rootLen {
		return nil, errWrapped
	}
	s := &Secret{root: b[:rootLen], Hash: b[rootLen:]}
	var err error
	if s.Index, err = hkdf.Key(sha256.New, s.root, nil, "inviteq index", KeyLen); err != nil {
		return nil, err
	}
	content, err := hkdf.Key(sha256.New, s.root, nil, "inviteq content", KeyLen)
	if err != nil {
		return nil, err
	}
	s.content, err = newAEAD(content)
	return s, err
}

// Seal encrypts a text (AES-256-GCM). It is Overhead bytes longer then.
func (s *Secret) Seal(text string) string {
	//nolint:gosec // The nonce is the AEAD's own, and random: see newAEAD.
	return string(s.content.Seal(make([]byte, 0, len(text)+Overhead), nil, []byte(text), nil))
}

// Overhead is what Seal adds: nonce and tag, in bytes.
const Overhead = 12 + 16

// ErrSealed says that a text was not sealed with this secret, or was changed since.
var ErrSealed = errors.New("it cannot be decrypted")

// Open decrypts what Seal has made.
func (s *Secret) Open(sealed string) (string, error) {
	text, err := s.content.Open(nil, nil, []byte(sealed), nil)
	if err != nil {
		return "", ErrSealed
	}
	return string(text), nil
}

// errWrapped says that a wrapped secret has been damaged.
var errWrapped = errors.New("the secret of the ledger is damaged")

// NoKeyError says that none of the keys that a process has is the one that is needed.
type NoKeyError struct {
	Needed string   // the id of the key that is needed
	Have   []string // ids of those that are there
}

func (e *NoKeyError) Error() string {
	if len(e.Have) == 0 {
		return "the key with the id " + e.Needed + " is needed"
	}
	return fmt.Sprintf("the key with the id %s is needed, and the given one is %s", e.Needed, strings.Join(e.Have, ", "))
}

const idLen = 4

// Wrap encrypts a secret with the first key. Where it belongs must be said to unwrap it.
func (k Keys) Wrap(s *Secret, where string) string {
	id, _ := hex.DecodeString(k[0].id)
	//nolint:gosec // as in Seal
	return string(k[0].aead.Seal(id, nil, append(bytes.Clone(s.root), s.Hash...), []byte(where)))
}

// Unwrap decrypts what Wrap has made with one of the keys. The error is a *NoKeyError if
// the key is not among them.
func (k Keys) Unwrap(wrapped, where string) (*Secret, error) {
	if len(wrapped) < idLen {
		return nil, errWrapped
	}
	missing := &NoKeyError{Needed: hex.EncodeToString([]byte(wrapped[:idLen]))}
	for _, key := range k {
		if key.id != missing.Needed {
			missing.Have = append(missing.Have, key.id)
			continue
		}
		b, err := key.aead.Open(nil, nil, []byte(wrapped[idLen:]), []byte(where))
		if err != nil {
			return nil, errWrapped
		}
		return newSecret(b)
	}
	return nil, missing
}

// WrappedBy returns the id of the key with which a secret was wrapped.
func WrappedBy(wrapped string) string {
	return hex.EncodeToString([]byte(wrapped[:min(len(wrapped), idLen)]))
}
