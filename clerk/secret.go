package clerk

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unique"
)

// SecretKey is a Clerk secret key (CLERK_SECRET_KEY). It masks itself wherever
// it is printed, logged or marshalled, also inside another struct: the key is
// held behind a handle because fmt prints the strings of unexported fields.
// The zero value is no key.
type SecretKey struct{ h unique.Handle[string] }

// ParseSecretKey accepts a key as it is configured: surrounding white space (the
// newline of a file) is dropped; an empty key, or one with anything but visible
// ASCII in it, is refused, because it would break the Authorization header. The
// prefix is not checked, so that a stand-in may use any key. An error never
// quotes the key.
func ParseSecretKey(s string) (SecretKey, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return SecretKey{}, errors.New("clerk: the secret key is empty")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == 0x7f }) {
		return SecretKey{}, errors.New("clerk: the secret key contains a character that no key has")
	}
	return SecretKey{unique.Make(s)}, nil
}

// IsZero reports whether there is no key.
func (k SecretKey) IsZero() bool { return k == SecretKey{} }

// Live reports whether this is the key of a production instance (sk_live_…),
// which must never meet the simulator or the demo.
func (k SecretKey) Live() bool { return strings.HasPrefix(k.raw(), "sk_live_") }

// Test reports whether this is the key of a development instance (sk_test_…).
func (k SecretKey) Test() bool { return strings.HasPrefix(k.raw(), "sk_test_") }

// raw returns the key. Its only callers are this file and [New].
func (k SecretKey) raw() string {
	if k.IsZero() {
		return ""
	}
	return k.h.Value()
}

// String returns the masked key: which kind it is, and no more.
func (k SecretKey) String() string {
	switch {
	case k.IsZero():
		return ""
	case k.Live():
		return "sk_live_***"
	case k.Test():
		return "sk_test_***"
	default:
		return "***"
	}
}

// Format prints the masked key, whatever the verb.
func (k SecretKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText returns the masked key.
func (k SecretKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
