package tasks

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
	"unique"

	"golang.org/x/net/idna"
)

// MaxEmailLen is the longest address that is accepted, in bytes: 64 for the
// mailbox, 1 for the @, 255 for the domain (RFC 3696, erratum 1690).
const MaxEmailLen = 320

// Email is one e-mail address. It masks itself wherever it is printed,
// logged or marshalled; the address comes out in Raw and Key only.
// The zero value is no address.
//
// The address is held behind a handle, not as a string, because fmt and
// zerolog print the strings inside unexported fields by reflection.
type Email struct{ h unique.Handle[string] }

// ParseEmail accepts one bare address: no display name, no comment, no quoted
// mailbox, no control character, a domain with at least one dot, at most
// MaxEmailLen bytes. Surrounding spaces are dropped. Internationalised domains
// are accepted. An error never quotes the address.
func ParseEmail(s string) (Email, error) {
	if err := checkEmail(strings.Trim(s, " ")); err != nil {
		return Email{}, err
	}
	return Email{unique.Make(strings.Trim(s, " "))}, nil
}

func checkEmail(s string) error {
	switch {
	case s == "":
		return errors.New("is missing")
	case len(s) > MaxEmailLen:
		return errors.New("is longer than 320 bytes")
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("contains a control character")
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s {
		// net/mail's own text quotes the input.
		return errors.New("is not one plain address such as ada@example.com")
	}
	mailbox, domain, _ := cutLast(s, '@')
	if len(mailbox) > 64 {
		return errors.New("has more than 64 bytes before the @")
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return errors.New("has a domain that is not valid")
	}
	labels := strings.Split(ascii, ".")
	if len(labels) < 2 {
		return errors.New("has a domain without a dot")
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return errors.New("has a domain that is not valid")
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return errors.New("has a number for a domain")
	}
	return nil
}

// IsZero reports whether there is no address.
func (e Email) IsZero() bool { return e == Email{} }

// Raw returns the address as it was given. It is meant for Clerk, for the
// ledger's record and for a report that its owner asked for, never for a log.
func (e Email) Raw() string {
	if e.IsZero() {
		return ""
	}
	return e.h.Value()
}

// Key returns the form in which two addresses are the same person: lower case,
// the domain in ASCII. Like Raw it must not be logged.
func (e Email) Key() string { return EmailKey(e.Raw()) }

// EmailKey is Email.Key for an address that Clerk has answered with.
func EmailKey(address string) string {
	address = strings.ToLower(strings.TrimSpace(address))
	mailbox, domain, ok := cutLast(address, '@')
	if !ok {
		return address
	}
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	return mailbox + "@" + domain
}

// String returns the masked address, for example "a***@e***".
func (e Email) String() string {
	mailbox, domain, ok := cutLast(e.Raw(), '@')
	if !ok {
		return ""
	}
	return first(mailbox) + "***@" + first(domain) + "***"
}

// GoString, MarshalText and MarshalJSON mask like String.
func (e Email) GoString() string             { return "tasks.Email(" + e.String() + ")" }
func (e Email) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

func first(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
