package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // see plainHash
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/seal"
)

// Record is an invite and what became of it.
type Record struct {
	Invite   tasks.Invite
	State    tasks.State
	Reason   tasks.Reason // Why it is in this state; may be empty.
	Attempts int          // Calls that Clerk answered with "not now". Waiting does not count.
	Crashes  int          // Claims whose worker never came back.
	Version  int          // Grows by one with every change of state.

	InvitationID string    // Clerk's id, once it has one.
	CreatedAt    time.Time // When it was admitted.
	UpdatedAt    time.Time // When its state last changed.
	SentAt       time.Time // When it was last claimed for a call; zero before.
	ReadyAt      time.Time // While queued: not sent before this. Zero: at once.

	RevokeWanted bool   // Somebody asked for a revoke that Clerk has not confirmed.
	Absent       int    // While unknown: how many reads have not found it.
	Solo         bool   // It goes by a single call only.
	Doubt        bool   // A call that has left may have made its invitation after all: look before the next one leaves.
	Position     int64  // Its place in the order of admission.
	Turn         string // The turn that claimed it last.
	address      string // The address key (see salt.go).
}

// The fields of a record's first line, in the order of FIELDS in lib.lua. Empty
// ones at the end are left out.
const (
	fState = iota
	fLane
	fPosition
	fCreated
	fAddress
	fImport
	fReady
	fDeadline
	fSolo
	fAttempts
	fCrashes
	fVersion
	fUpdated
	fReason
	fTurn
	fSent
	fInvitation
	fRevoke
	fAbsent
	fCharge
	fDoubt
	fieldCount
)

var errRecord = errors.New("a record in the ledger cannot be read: a newer version of inviteq has written it, or it is damaged (`redis-cli HGET inviteq:{INSTANCE}:rec ID` shows it)")

// parse reads a record. If it was written with another secret than the process remembers,
// the salt is looked at again.
func (l *Ledger) parse(ctx context.Context, id, s string) (Record, error) {
	known := l.currentSalt()
	r, err := parseRecord(id, s, known.secret)
	if errors.Is(err, seal.ErrSealed) && l.loadSalt(ctx, known) == nil && l.currentSalt().stands != known.stands {
		return parseRecord(id, s, l.currentSalt().secret)
	}
	return r, err
}

// parseRecord reads a record with the secret of its ledger; nil: it is not encrypted.
func parseRecord(id, s string, secret *seal.Secret) (Record, error) {
	head, body, ok := strings.Cut(s, "\n")
	var f [fieldCount]string
	n := 0
	for field := range strings.SplitSeq(head, "\t") {
		if n == fieldCount { // Of a later version: the scripts keep it.
			break
		}
		f[n] = field
		n++
	}
	if !ok || len(f[fState]) != 1 {
		return Record{}, fmt.Errorf("%w: %s", errRecord, id)
	}
	state, ok := tasks.StateOf(f[fState][0])
	if !ok {
		return Record{}, fmt.Errorf("%w: %s", errRecord, id)
	}
	body, err := unsealed(body, secret)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %s: %w", errRecord, id, err)
	}
	invite, err := decodeContent(body)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %s", errRecord, id)
	}
	invite.ID = id
	invite.Lane = tasks.Lane(number(f[fLane]))
	invite.ImportID = f[fImport]
	invite.Deadline = timeOf(f[fDeadline])
	r := Record{
		Invite: invite, State: state, Reason: ReadReason(state, f[fReason]),
		Attempts: int(number(f[fAttempts])), Crashes: int(number(f[fCrashes])), Version: int(number(f[fVersion])),
		InvitationID: f[fInvitation], CreatedAt: created(f[fCreated]), UpdatedAt: timeOf(f[fUpdated]),
		ReadyAt: timeOf(f[fReady]), SentAt: timeOf(f[fSent]), RevokeWanted: f[fRevoke] == "1",
		Absent: int(number(f[fAbsent])), Position: number(f[fPosition]), Turn: f[fTurn], Solo: f[fSolo] == "1", Doubt: f[fDoubt] == "1",
		address: f[fAddress],
	}
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = r.CreatedAt
	}
	if state == tasks.Queued {
		r.Invite.NotBefore = r.ReadyAt
	}
	return r, nil
}

// number reads a field; the scripts write no other than whole numbers.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func timeOf(s string) time.Time {
	if s == "" || s == "0" {
		return time.Time{}
	}
	return time.UnixMilli(number(s))
}

func created(s string) time.Time {
	n, _ := strconv.ParseInt(s, 16, 64)
	return time.UnixMilli(n)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// content is what an id stands for: the seven fields of Clerk, in short, since
// a million of them wait in memory. Two requests are the same when these bytes
// are.
type content struct {
	Email    string          `json:"e"`
	Metadata json.RawMessage `json:"m,omitzero"`
	Redirect string          `json:"r,omitzero"`
	NoNotify bool            `json:"n,omitzero"`
	Ignore   bool            `json:"i,omitzero"`
	Days     int             `json:"d,omitzero"`
	Template string          `json:"t,omitzero"`
}

// encodeContent is canonical: metadata that differs only in spaces or in the
// order of its keys gives the same bytes. An invite that has no more than an
// address and metadata, as most do, is written as the two on a line each.
func encodeContent(i *tasks.Invite) (string, error) {
	c := content{
		Email: i.EmailAddress.Raw(), Redirect: i.RedirectURL, NoNotify: i.NoNotify,
		Ignore: i.IgnoreExisting, Days: i.ExpiresInDays, Template: i.TemplateSlug,
	}
	if len(i.PublicMetadata) > 0 {
		m, err := canonical(i.PublicMetadata)
		if err != nil {
			return "", err
		}
		c.Metadata = m
	}
	if c.Redirect == "" && !c.NoNotify && !c.Ignore && c.Days == 0 && c.Template == "" && c.Email != "" && c.Email[0] != '{' {
		if len(c.Metadata) == 0 {
			return c.Email, nil
		}
		return c.Email + "\n" + string(c.Metadata), nil
	}
	return marshal(c)
}

// hasher returns what stands for a content in comparisons and tombstones, as content_hash
// in lib.lua does, for many contents. Where the ledger is encrypted it is keyed, and of
// another length. The function is one goroutine's.
func (s salt) hasher() func(body string) string {
	if s.secret == nil {
		return plainHash
	}
	keyed := s.rehasher()
	return func(body string) string { return keyed(plainHash(body)) }
}

func plainHash(body string) string {
	sum := sha1.Sum([]byte(body)) //nolint:gosec // no secret, and what Redis' scripts have
	return hex.EncodeToString(sum[:])
}

// rehasher makes the hash of an encrypted ledger from that of one that is not: a
// tombstone has no more than that.
func (s salt) rehasher() func(hash string) string {
	h := hmac.New(sha256.New, s.secret.Hash)
	return func(hash string) string {
		h.Reset()
		h.Write([]byte("content\x00" + hash))
		return hex.EncodeToString(h.Sum(nil)[:keyedHashLen])
	}
}

// keyedHashLen is in bytes.
const keyedHashLen = 16

// bodyOf is the content as it stands in a record: as it is, or
//
//	$hash sealed
//
// with its hash before it, since no script can make it.
func (s salt) bodyOf(content, hash string) string {
	if s.secret == nil {
		return content
	}
	return "$" + hash + " " + s.secret.Seal(content)
}

// sealedBody finds what bodyOf puts before a sealed content. An address that begins so
// has no space in it.
var sealedBody = regexp.MustCompile(`^\$[0-9a-f]+ `)

func unsealed(body string, secret *seal.Secret) (string, error) {
	if body == "" || body[0] != '$' {
		return body, nil
	}
	head := sealedBody.FindString(body)
	if head == "" {
		return body, nil
	}
	if secret == nil {
		return "", ErrNoKey
	}
	return secret.Open(body[len(head):])
}

// sealed reports whether a record is encrypted with this secret.
func (s salt) sealed(record string) bool {
	_, body, _ := strings.Cut(record, "\n")
	text, err := unsealed(body, s.secret)
	return err == nil && text != body
}

// SameContent reports whether two requests are the same, capitals of the address
// aside.
func SameContent(a, b tasks.Invite) bool {
	if a.EmailAddress.Key() != b.EmailAddress.Key() {
		return false
	}
	a.EmailAddress = b.EmailAddress
	one, err := encodeContent(&a)
	other, err2 := encodeContent(&b)
	return err == nil && err2 == nil && one == other
}

func marshal(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func decodeContent(body string) (tasks.Invite, error) {
	var c content
	if strings.HasPrefix(body, "{") {
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			return tasks.Invite{}, err
		}
	} else {
		address, metadata, _ := strings.Cut(body, "\n")
		c.Email = address
		if metadata != "" {
			c.Metadata = json.RawMessage(metadata)
		}
	}
	email := tasks.StoredEmail(c.Email)
	if email.IsZero() {
		return tasks.Invite{}, errRecord
	}
	return tasks.Invite{
		EmailAddress: email, PublicMetadata: c.Metadata, RedirectURL: c.Redirect, NoNotify: c.NoNotify,
		IgnoreExisting: c.Ignore, ExpiresInDays: c.Days, TemplateSlug: c.Template,
	}, nil
}
