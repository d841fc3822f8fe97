package tasks

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
	"unique"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
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

// ParseEmail accepts one address, as people and their programs write it. It is
// the one place that decides this, for every way into the queue.
//
// What is around an address is dropped where that leaves one answer: white space
// and invisible characters on either side, mailto:, quotation marks, a display
// name with the address in angle brackets, the same address twice. Two addresses
// are refused, and so is the apostrophe by which spreadsheets mark text.
//
// The address itself has no comment, no quoted mailbox, no control or invisible
// character, a domain with at least one dot, and at most MaxEmailLen bytes.
// Letters and digits of every script are accepted on both sides of the @; emoji
// and other symbols are not, because a refused address costs a scarce call and no
// mail provider hands them out. An error never quotes the address, only the code
// point of a character that cannot be seen.
func ParseEmail(s string) (Email, error) {
	if len(s) > 4*MaxEmailLen { // Room enough for what is around it.
		return Email{}, errLong
	}
	s, err := bareAddress(s)
	if err != nil {
		return Email{}, err
	}
	if err := checkEmail(s); err != nil {
		return Email{}, err
	}
	return Email{unique.Make(s)}, nil
}

var errLong = errors.New("is longer than 320 bytes")

func checkEmail(s string) error {
	switch {
	case s == "":
		return errors.New("is missing")
	case len(s) > MaxEmailLen:
		return errLong
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("contains a control character (%s)", codePoint(s, unicode.IsControl))
	case strings.ContainsFunc(s, isOdd):
		return fmt.Errorf("contains an invisible character, a symbol or a look-alike (%s)", codePoint(s, isOdd))
	case !norm.NFC.IsNormalString(s):
		// Clerk may answer with the composed form, and then we would look for
		// an address that is not there.
		return errors.New("has an accent apart from its letter (it is not in Unicode's form NFC)")
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
	return checkDomain(strings.ToLower(domain))
}

// isOdd reports a character that no reader would see, or that is no letter,
// digit or mark of any script: zero-width and bidirectional controls, fillers,
// a non-breaking space, a full-width @, emoji. It also reports the two letters
// that turn into ASCII in lower case, the Kelvin sign and the dotted capital I,
// because with them two addresses would have one key.
func isOdd(r rune) bool {
	return r > unicode.MaxASCII && (!unicode.In(r, unicode.L, unicode.M, unicode.N) ||
		unicode.ToLower(r) <= unicode.MaxASCII ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// codePoint names the first character of a kind, such as "U+200B".
func codePoint(s string, kind func(rune) bool) string {
	r, _ := utf8.DecodeRuneInString(s[strings.IndexFunc(s, kind):])
	return fmt.Sprintf("U+%04X", r)
}

var errDomain = errors.New("has a domain that is not valid")

func checkDomain(domain string) error {
	ascii, err := asciiDomain(domain)
	if err != nil || len(ascii) > 253 {
		return errDomain
	}
	last := ""
	for l := range strings.SplitSeq(ascii, ".") {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return errDomain
		}
		last = l
	}
	if last == ascii {
		return errors.New("has a domain without a dot")
	}
	if strings.Trim(last, "0123456789") == "" {
		return errors.New("has a number for a domain")
	}
	if domain == ascii && !strings.Contains(ascii, "xn--") {
		return nil // Plain ASCII, like most.
	}
	letters, err := idna.Lookup.ToUnicode(ascii)
	switch {
	case err != nil || strings.ContainsFunc(letters, isOdd):
		return errDomain
	case domain != ascii && domain != letters:
		// IDNA reads a full-width letter as the plain one, and Clerk may not.
		return errors.New("has a domain with letters that stand for others, such as full-width ones")
	}
	return nil
}

// asciiDomain returns the form that the DNS knows of a domain in lower case.
func asciiDomain(domain string) (string, error) {
	if strings.Contains(domain, "xn--") || strings.ContainsFunc(domain, func(r rune) bool { return r > unicode.MaxASCII }) {
		return idna.Lookup.ToASCII(domain)
	}
	// A plain domain is left to this rule: IDNA refuses "r3---sn.example.com".
	if strings.ContainsFunc(domain, func(r rune) bool {
		return r != '.' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	}) {
		return "", errors.New("not letters, digits and hyphens")
	}
	return domain, nil
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
	if ascii, err := asciiDomain(domain); err == nil {
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

// GoString masks like String.
func (e Email) GoString() string { return "tasks.Email(" + e.String() + ")" }

// MarshalText masks like String, and through it JSON, YAML and log fields do.
// There is no way back: an address goes over the wire as an InviteJSON.
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

// StoredEmail is for an address that ParseEmail has accepted once, perhaps in an
// earlier version that was less strict: what is stored must stay readable.
func StoredEmail(s string) Email {
	if s == "" {
		return Email{}
	}
	return Email{unique.Make(s)}
}
