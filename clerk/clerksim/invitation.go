package clerksim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"
)

// Status is the state of an invitation, in Clerk's words.
type Status string

// The statuses.
const (
	StatusPending  Status = "pending"
	StatusAccepted Status = "accepted"
	StatusRevoked  Status = "revoked"
	StatusExpired  Status = "expired"
	// StatusDeleted is only said here, never on the wire: what has been deleted at
	// Clerk is in no list any more.
	StatusDeleted Status = "deleted"
)

// statuses gives every status a small number, and a bit in a statusSet.
var statuses = [...]Status{StatusPending, StatusAccepted, StatusRevoked, StatusExpired, StatusDeleted}

const (
	pending = iota
	accepted
	revoked
	expired
	deleted
)

// statusSet is a set of statuses, one bit each.
type statusSet uint8

const notRevoked = statusSet(1<<pending | 1<<accepted | 1<<expired)

func (s statusSet) has(status uint8) bool { return s&(1<<status) != 0 }

// Invitation is a snapshot of one invitation.
type Invitation struct {
	ID             string          `json:"id"`
	EmailAddress   string          `json:"email_address"` // as Clerk answers it
	Status         Status          `json:"status"`
	PublicMetadata json.RawMessage `json:"public_metadata"` // as sent, compact; nil when none was given
	RedirectURL    string          `json:"redirect_url,omitempty"`
	TemplateSlug   string          `json:"template_slug"`
	Notify         bool            `json:"notify"` // an e-mail was asked for
	Mailed         bool            `json:"mailed"` // an e-mail was sent
	IgnoreExisting bool            `json:"ignore_existing"`
	Foreign        bool            `json:"foreign"`          // made by CreateForeign or CreateForeignFrom
	Caller         string          `json:"caller,omitempty"` // the User-Agent of the request that made it; empty for foreign ones
	URL            string          `json:"url,omitempty"`    // the ticket link, a secret; empty when revoked
	ExpiresAt      time.Time       `json:"expires_at"`       // by Clerk's clock, as are the next two
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
	Made           time.Time       `json:"made_at"` // when it was created, by this machine's clock
}

// invitation is the record. Times are Unix milliseconds, of Clerk's clock unless
// said otherwise.
type invitation struct {
	id             string
	email          string // as answered
	owner          *person
	metadata       json.RawMessage
	redirectURL    string
	templateSlug   string
	notify         bool
	mailed         bool
	ignoreExisting bool
	foreign        bool
	caller         string

	status    uint8
	created   int64
	updated   int64
	expiresAt int64

	// When it was made and last changed, by this machine's clock, and the state
	// before, for reads that lag.
	made, changed int64
	statusBefore  uint8
	updatedBefore int64

	pos int // index in rows.list
}

// seen is an invitation as a reader sees it, who may be behind.
type seen struct {
	*invitation
	status  uint8
	updated int64
}

// at returns what a reader who lags back to the moment at (Unix milliseconds)
// sees of the invitation, and whether there is anything yet.
func (inv *invitation) at(at int64) (seen, bool) {
	if inv.made > at {
		return seen{}, false
	}
	if inv.changed > at {
		return seen{inv, inv.statusBefore, inv.updatedBefore}, true
	}
	return inv.now(), true
}

func (inv *invitation) now() seen { return seen{inv, inv.status, inv.updated} }

// ticketURL is the secret link of an invitation. It is derived from the id, not
// stored, because a test may hold hundreds of thousands of them.
func ticketURL(seed uint64, id string) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], seed)
	sum := sha256.Sum256(append(b[:], id...))
	return "https://clerk.example.test/v1/tickets/accept?ticket=" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Sim) snapshot(inv *invitation) Invitation {
	out := Invitation{
		ID:             inv.id,
		EmailAddress:   inv.email,
		Status:         statuses[inv.status],
		PublicMetadata: inv.metadata,
		RedirectURL:    inv.redirectURL,
		TemplateSlug:   inv.templateSlug,
		Notify:         inv.notify,
		Mailed:         inv.mailed,
		IgnoreExisting: inv.ignoreExisting,
		Foreign:        inv.foreign,
		Caller:         inv.caller,
		Made:           time.UnixMilli(inv.made).UTC(),
		ExpiresAt:      time.UnixMilli(inv.expiresAt).UTC(),
		CreatedAt:      time.UnixMilli(inv.created).UTC(),
		UpdatedAt:      time.UnixMilli(inv.updated).UTC(),
	}
	if inv.status != revoked {
		out.URL = ticketURL(s.cfg.Seed, inv.id)
	}
	return out
}
