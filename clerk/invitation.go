package clerk

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// MaxBulk is how many invitations one BulkCreate takes
// (https://clerk.com/docs/reference/backend-api, CreateBulkInvitations, 2026-05).
const MaxBulk = 10

// Status is what became of an invitation, in Clerk's words.
type Status string

// The statuses.
const (
	Pending  Status = "pending"
	Accepted Status = "accepted"
	Revoked  Status = "revoked"
	Expired  Status = "expired"
)

// AllStatuses returns every status. A list that does not ask for revoked
// explicitly does not get it.
func AllStatuses() []Status { return []Status{Pending, Accepted, Revoked, Expired} }

// Params is what one invitation is created from. It masks itself when printed.
type Params struct {
	EmailAddress   string          // required
	PublicMetadata json.RawMessage // a JSON object; nil means none
	RedirectURL    string          // "" means Clerk's own pages
	Notify         *bool           // whether Clerk sends the mail; nil means Clerk's default, true
	// IgnoreExisting creates another invitation, and sends another mail, though
	// one is pending. Without it Clerk refuses the second (KindDuplicate).
	IgnoreExisting bool
	ExpiresInDays  int    // 1 to 365; 0 means Clerk's default, 30
	TemplateSlug   string // invitation or waitlist_invitation; "" means Clerk's default
}

// Invitation is an invitation as Clerk has it. It masks itself when printed or
// marshalled. The ticket URL of Clerk's answer is dropped unread: it is a secret
// that nobody here needs.
type Invitation struct {
	ID             string // inv_…
	EmailAddress   string // in Clerk's spelling: compare without case
	Status         Status
	Revoked        bool
	CreatedAt      time.Time       // UTC, milliseconds
	UpdatedAt      time.Time       // UTC, milliseconds
	ExpiresAt      time.Time       // UTC, milliseconds; zero if Clerk gives none
	PublicMetadata json.RawMessage // nil if Clerk gives none
}

// String returns the invitation without anything personal.
func (i Invitation) String() string {
	return fmt.Sprintf("invitation %s %s for %s", mayLog(i.ID), mayLog(string(i.Status)), mask(i.EmailAddress))
}

// Format prints String, whatever the verb.
func (i Invitation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, i.String()) }

// MarshalText returns String, for JSON and for loggers.
func (i Invitation) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// String returns the parameters without anything personal.
func (p Params) String() string { return "invitation for " + mask(p.EmailAddress) }

// Format prints String, whatever the verb.
func (p Params) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// MarshalText returns String, for JSON and for loggers.
func (p Params) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// mask shows that there is an address and no part of it.
func mask(address string) string {
	if address == "" {
		return "nobody"
	}
	return "***@***"
}

// addressKey is the form in which two spellings are one mailbox for Clerk: lower
// case, the domain in ASCII. It is tasks.EmailKey, which this package must not import.
func addressKey(address string) string {
	address = strings.ToLower(strings.TrimSpace(address))
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	if ascii, err := idna.Lookup.ToASCII(address[at+1:]); err == nil {
		return address[:at+1] + ascii
	}
	return address
}
