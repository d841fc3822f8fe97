package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Invite is a producer's request that one person be invited. The first seven
// fields are Clerk's own (POST /v1/invitations); the others say how inviteq
// treats the request.
type Invite struct {
	EmailAddress   Email
	PublicMetadata json.RawMessage // A JSON object of at most MaxMetadataLen bytes; nil for none.
	RedirectURL    string          // An absolute http(s) URL, or a path that begins with "/".
	NoNotify       bool            // Create the invitation, but send no e-mail (notify=false).
	IgnoreExisting bool            // Invite although the address is invited already: this sends another e-mail.
	ExpiresInDays  int             // 1 to 365. 0 means Clerk's default, 30.
	TemplateSlug   string          // "invitation", "waitlist_invitation", or "" for Clerk's default.

	ID        string    // The idempotency key. Defaults to a new id.
	Lane      Lane      // Defaults to Interactive.
	ImportID  string    // The import that it belongs to, if any.
	Owner     string    // Who asks: a tenant that the producer names, or a token of the HTTP API. Defaults to the import.
	NotBefore time.Time // Not sent earlier than this. The zero time means at once.
	Deadline  time.Time // Given up as failed after this. The zero time means never.
	Row       int       // The line of the list on which it stands, from 1, for reports about its import. 0 means that there is none.
}

// MaxMetadataLen is the largest public_metadata, in bytes of compact JSON.
// Clerk documents 8 KB for metadata.
const MaxMetadataLen = 8 << 10

// MaxURLLen is the longest redirect_url, in bytes.
const MaxURLLen = 2048

// String names the invite without saying whom it is for.
func (i Invite) String() string { return "invite " + i.ID + " (" + i.Lane.String() + ")" }

// GoString is String, so that %#v shows no more.
func (i Invite) GoString() string { return i.String() }

// MarshalText is String, so that JSON in a log shows no more. JSON returns the
// form that goes over the wire.
func (i Invite) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// Problem is one thing that is wrong with one field.
type Problem struct {
	Field  string // The field's name on the wire, such as "expires_in_days"; "" if no single field is at fault.
	Reason string // What is wrong and what is allowed. It never quotes a value.
}

func (p Problem) String() string { return strings.TrimSpace(p.Field + " " + p.Reason) }

// ValidationError lists everything that is wrong with an invite.
type ValidationError struct{ Problems []Problem }

// Error joins the problems. It names fields and limits, never values.
func (e *ValidationError) Error() string {
	s := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		s[i] = p.String()
	}
	return strings.Join(s, "; ")
}

// Validate checks every field and reports all problems at once, as a
// *ValidationError. An invite that passes has a chance with Clerk.
func (i *Invite) Validate() error {
	var e ValidationError
	bad := func(field, reason string) { e.Problems = append(e.Problems, Problem{field, reason}) }
	if i.EmailAddress.IsZero() { // Any other has been through ParseEmail.
		bad("email_address", "is missing")
	}
	if reason := checkMetadata(i.PublicMetadata); reason != "" {
		bad("public_metadata", reason)
	}
	if reason := checkRedirect(i.RedirectURL); reason != "" {
		bad("redirect_url", reason)
	}
	if i.ExpiresInDays < 0 || i.ExpiresInDays > 365 {
		bad("expires_in_days", "must be 1 to 365")
	}
	switch i.TemplateSlug {
	case "", "invitation", "waitlist_invitation":
	default:
		bad("template_slug", "must be invitation or waitlist_invitation")
	}
	if int(i.Lane) >= len(laneNames) {
		bad("lane", "must be interactive or import")
	}
	if i.ID != "" {
		if err := CheckID(i.ID); err != nil {
			bad("id", err.Error())
		} else if strings.HasPrefix(i.ID, "inq_") && !ownID.MatchString(i.ID) {
			bad("id", reserved)
		}
	}
	if i.ImportID != "" {
		if err := CheckID(i.ImportID); err != nil {
			bad("import_id", err.Error())
		}
	}
	if i.Owner != "" {
		if err := CheckID(i.Owner); err != nil {
			bad("owner", err.Error())
		}
	}
	if !isWireTime(i.NotBefore) {
		bad("not_before", "must be in the years 1 to 9999")
	}
	if !isWireTime(i.Deadline) {
		bad("deadline", "must be in the years 1 to 9999")
	}
	if !i.Deadline.IsZero() && i.Deadline.Before(i.NotBefore) {
		bad("deadline", "must not be before not_before")
	}
	if len(e.Problems) > 0 {
		return &e
	}
	return nil
}

// isWireTime reports whether RFC 3339 can write the time in UTC.
func isWireTime(t time.Time) bool { return t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

// maxMetadataDepth is far beyond any use, and far below the 1000 levels at
// which Redis's own JSON decoder gives up.
const maxMetadataDepth = 32

func checkMetadata(m json.RawMessage) string {
	if len(m) == 0 {
		return ""
	}
	if len(m) > 4*MaxMetadataLen {
		return fmt.Sprintf("must have at most %d bytes", MaxMetadataLen)
	}
	if !json.Valid(m) || bytes.TrimLeft(m, " \t\r\n")[0] != '{' || !utf8.Valid(m) {
		return `must be a JSON object such as {"plan":"pro"}`
	}
	if len(m) > MaxMetadataLen { // Perhaps only because of its spaces.
		if compact, _ := compactMetadata(m); len(compact) > MaxMetadataLen {
			return fmt.Sprintf("has %d bytes; at most %d are allowed", len(compact), MaxMetadataLen)
		}
	}
	switch found := inspect(m); {
	case found.depth > maxMetadataDepth:
		return fmt.Sprintf("is nested more than %d levels deep", maxMetadataDepth)
	case found.duplicate:
		return "has the same key twice"
	case found.half != "":
		return halfCharacter(found.half)
	}
	return ""
}

// compactMetadata returns the metadata without spaces between its parts,
// nothing if it is not JSON, and false if it is too long to look at: four times
// the limit is room enough for spaces.
func compactMetadata(m json.RawMessage) (json.RawMessage, bool) {
	if len(m) > 4*MaxMetadataLen {
		return nil, false
	}
	var b bytes.Buffer
	if json.Compact(&b, m) != nil {
		return nil, true
	}
	return b.Bytes(), true
}

func checkRedirect(s string) string {
	const want = "must be an absolute http(s) URL or a path that begins with /"
	if s == "" {
		return ""
	}
	if len(s) > MaxURLLen {
		return "must have at most 2048 bytes"
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || r == '\\' || !unicode.IsPrint(r) }) {
		return want
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil {
		return want
	}
	isPath := u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//")
	isHTTP := (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
	if !isPath && !isHTTP {
		return want
	}
	return ""
}
