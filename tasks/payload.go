package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Version is the version of every payload.
const Version = 1

// MaxPayloadLen is the largest payload that is looked at, in bytes: a chunk of
// a hundred whole invites with the largest metadata.
const MaxPayloadLen = ChunkSize * (MaxMetadataLen + MaxURLLen + 2048)

// InviteJSON is an invite on the wire: in a foreign producer's payload, a JSON
// Lines import, or an HTTP request. Its fields have Clerk's names. Unlike
// Invite it holds the address in the open: convert it at once.
type InviteJSON struct {
	EmailAddress   string          `json:"email_address,omitzero"`
	PublicMetadata json.RawMessage `json:"public_metadata,omitzero"`
	RedirectURL    string          `json:"redirect_url,omitzero"`
	Notify         *bool           `json:"notify,omitzero"`
	IgnoreExisting bool            `json:"ignore_existing,omitzero"`
	ExpiresInDays  *int            `json:"expires_in_days,omitzero"`
	TemplateSlug   string          `json:"template_slug,omitzero"`
	ID             string          `json:"id,omitzero"`
	Lane           string          `json:"lane,omitzero"`
	ImportID       string          `json:"import_id,omitzero"`
	Owner          string          `json:"owner,omitzero"`
	NotBefore      *time.Time      `json:"not_before,omitzero"`
	Deadline       *time.Time      `json:"deadline,omitzero"`
}

// TimeOrNull is a time as JSON has it, where null stands for the zero time.
func TimeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// String does not say whom the invite is for.
func (j InviteJSON) String() string { return "invite " + j.ID }

// GoString is String, so that %#v shows no more.
func (j InviteJSON) GoString() string { return j.String() }

// Invite converts, brings metadata and times into their canonical form (compact
// JSON, UTC), and validates. All problems come back at once, as a
// *ValidationError.
func (j InviteJSON) Invite() (Invite, error) {
	i := Invite{
		RedirectURL:    j.RedirectURL,
		NoNotify:       j.Notify != nil && !*j.Notify,
		IgnoreExisting: j.IgnoreExisting,
		TemplateSlug:   j.TemplateSlug,
		ID:             j.ID,
		ImportID:       j.ImportID,
		Owner:          j.Owner,
	}
	if compact, ok := compactMetadata(j.PublicMetadata); !ok || len(compact) == 0 {
		i.PublicMetadata = j.PublicMetadata // Validate says what is wrong with it.
	} else if string(compact) != "null" {
		i.PublicMetadata = compact
	}
	if j.NotBefore != nil {
		i.NotBefore = j.NotBefore.UTC()
	}
	if j.Deadline != nil {
		i.Deadline = j.Deadline.UTC()
	}
	var e ValidationError
	email, err := ParseEmail(j.EmailAddress)
	if err != nil {
		e.Problems = append(e.Problems, Problem{"email_address", err.Error()})
	}
	i.EmailAddress = email
	if err := i.Lane.UnmarshalText([]byte(j.Lane)); err != nil {
		e.Problems = append(e.Problems, Problem{"lane", "must be interactive or import"})
	}
	if j.ExpiresInDays != nil {
		i.ExpiresInDays = *j.ExpiresInDays
		if i.ExpiresInDays == 0 {
			e.Problems = append(e.Problems, Problem{"expires_in_days", "must be 1 to 365"})
		}
	}
	if v, ok := errors.AsType[*ValidationError](i.Validate()); ok {
		for _, p := range v.Problems {
			if p.Field == "email_address" && email.IsZero() {
				continue // Said already, and better.
			}
			e.Problems = append(e.Problems, p)
		}
	}
	if len(e.Problems) > 0 {
		return Invite{}, &e
	}
	return i, nil
}

// JSON returns the invite as it goes over the wire, address included.
func (i Invite) JSON() InviteJSON {
	j := InviteJSON{
		EmailAddress:   i.EmailAddress.Raw(),
		PublicMetadata: i.PublicMetadata,
		RedirectURL:    i.RedirectURL,
		IgnoreExisting: i.IgnoreExisting,
		TemplateSlug:   i.TemplateSlug,
		ID:             i.ID,
		ImportID:       i.ImportID,
		Owner:          i.Owner,
	}
	if i.Lane != Interactive {
		j.Lane = i.Lane.String()
	}
	if i.NoNotify {
		j.Notify = new(false)
	}
	if i.ExpiresInDays != 0 {
		j.ExpiresInDays = new(i.ExpiresInDays)
	}
	if !i.NotBefore.IsZero() {
		j.NotBefore = new(i.NotBefore.UTC())
	}
	if !i.Deadline.IsZero() {
		j.Deadline = new(i.Deadline.UTC())
	}
	return j
}

// Create is the payload of TypeCreate: the id of a record in the ledger, or,
// from a foreign producer, the whole invite (its id may be empty).
type Create struct {
	ID     string
	Invite *Invite // nil when the ledger holds the record
}

// BulkCreate is the payload of TypeBulkCreate: Count members of an import from
// position From, or, from a foreign producer, the invites themselves.
type BulkCreate struct {
	ImportID string
	From     int
	Count    int
	Invites  []Invite
}

// Revoke is the payload of TypeRevoke: the id of a revoke request in the
// ledger, or, from a foreign producer, what to revoke.
type Revoke struct {
	ID     string
	Target string // our id, Clerk's id, or an address: never logged
}

// String does not say what is revoked, which may be an address.
func (r Revoke) String() string { return "revoke " + r.ID }

// GoString is String, so that %#v shows no more.
func (r Revoke) GoString() string { return r.String() }

// MarshalText is String, so that JSON in a log shows no more. Encode returns
// the form that goes over the wire.
func (r Revoke) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Reconcile is the payload of TypeReconcile. Full asks for every invitation;
// otherwise the newest ones, down to known ground, are compared. Invitations that
// inviteq did not make are recorded if they were made before AdoptBefore; the zero
// time adopts none.
type Reconcile struct {
	Full        bool
	AdoptBefore time.Time
}

type createJSON struct {
	V int `json:"v"`
	InviteJSON
}

type bulkCreateJSON struct {
	V        int          `json:"v"`
	ImportID string       `json:"import_id"`
	From     int          `json:"from,omitzero"`
	Count    int          `json:"count,omitzero"`
	Invites  []InviteJSON `json:"invites,omitzero"`
}

type revokeJSON struct {
	V      int    `json:"v"`
	ID     string `json:"id,omitzero"`
	Target string `json:"target,omitzero"`
}

type reconcileJSON struct {
	V           int       `json:"v"`
	Full        bool      `json:"full"`
	AdoptBefore time.Time `json:"adopt_before,omitzero"`
}

// Encode returns the payload.
func (c Create) Encode() []byte {
	j := createJSON{V: Version, InviteJSON: InviteJSON{ID: c.ID}}
	if c.Invite != nil {
		j.InviteJSON = c.Invite.JSON()
	}
	return encode(j)
}

// Encode returns the payload.
func (b BulkCreate) Encode() []byte {
	j := bulkCreateJSON{V: Version, ImportID: b.ImportID, From: b.From, Count: b.Count}
	for _, i := range b.Invites {
		j.Invites = append(j.Invites, i.JSON())
	}
	return encode(j)
}

// Encode returns the payload.
func (r Revoke) Encode() []byte { return encode(revokeJSON{Version, r.ID, r.Target}) }

// Encode returns the payload.
func (r Reconcile) Encode() []byte {
	return encode(reconcileJSON{Version, r.Full, r.AdoptBefore.UTC()})
}

// ParseCreate decodes and validates a payload of TypeCreate.
func ParseCreate(b []byte) (Create, error) {
	var j createJSON
	if err := decode(b, &j, &j.V); err != nil {
		return Create{}, err
	}
	if j.EmailAddress == "" && j.ID != "" {
		if j.hasContent() {
			return Create{}, invalid("email_address", "is missing")
		}
		if err := CheckID(j.ID); err != nil {
			return Create{}, invalid("id", err.Error())
		}
		return Create{ID: j.ID}, nil
	}
	i, err := j.Invite()
	if err != nil {
		return Create{}, err
	}
	return Create{ID: i.ID, Invite: &i}, nil
}

func (j InviteJSON) hasContent() bool {
	j.ID = ""
	b, err := json.Marshal(j)
	return err != nil || string(b) != "{}"
}

// ParseBulkCreate decodes and validates a payload of TypeBulkCreate.
func ParseBulkCreate(b []byte) (BulkCreate, error) {
	var j bulkCreateJSON
	if err := decode(b, &j, &j.V); err != nil {
		return BulkCreate{}, err
	}
	var e ValidationError
	if err := CheckID(j.ImportID); err != nil {
		e.Problems = append(e.Problems, Problem{"import_id", err.Error()})
	}
	bulk := BulkCreate{ImportID: j.ImportID, From: j.From, Count: j.Count}
	switch {
	case len(j.Invites) > ChunkSize:
		e.Problems = append(e.Problems, Problem{"invites", fmt.Sprintf("has %d members; at most %d are allowed", len(j.Invites), ChunkSize)})
	case len(j.Invites) == 0 && (j.From < 0 || j.Count < 1 || j.Count > ChunkSize):
		e.Problems = append(e.Problems, Problem{"count", fmt.Sprintf("must be 1 to %d, and from must not be negative", ChunkSize)})
	}
	if len(j.Invites) > 0 && (j.From != 0 || j.Count != 0) {
		e.Problems = append(e.Problems, Problem{"invites", "cannot be given together with from and count"})
	}
	for n, one := range j.Invites[:min(len(j.Invites), ChunkSize)] {
		if one.ImportID != "" && one.ImportID != j.ImportID {
			e.Problems = append(e.Problems, Problem{fmt.Sprintf("invites[%d].import_id", n), "is not the import_id of the payload"})
		}
		one.ImportID = j.ImportID
		if one.Lane == "" {
			one.Lane = Import.String()
		}
		i, err := one.Invite()
		if v, ok := errors.AsType[*ValidationError](err); ok {
			for _, p := range v.Problems {
				if p.Field == "import_id" {
					continue // Said already, once for all.
				}
				p.Field = fmt.Sprintf("invites[%d].%s", n, p.Field)
				e.Problems = append(e.Problems, p)
			}
		}
		bulk.Invites = append(bulk.Invites, i)
	}
	if len(e.Problems) > 0 {
		return BulkCreate{}, &e
	}
	return bulk, nil
}

// ParseRevoke decodes and validates a payload of TypeRevoke.
func ParseRevoke(b []byte) (Revoke, error) {
	var j revokeJSON
	if err := decode(b, &j, &j.V); err != nil {
		return Revoke{}, err
	}
	if (j.ID == "") == (j.Target == "") {
		return Revoke{}, invalid("target", "or id must be given, and not both")
	}
	if j.ID != "" {
		if err := CheckID(j.ID); err != nil {
			return Revoke{}, invalid("id", err.Error())
		}
		return Revoke{ID: j.ID}, nil
	}
	if err := CheckTarget(j.Target); err != nil {
		return Revoke{}, invalid("target", err.Error())
	}
	return Revoke{Target: j.Target}, nil
}

// CheckTarget says what is wrong with the target of a revoke or a look-up.
func CheckTarget(s string) error {
	if strings.Contains(s, "@") {
		_, err := ParseEmail(s)
		return err
	}
	return CheckID(s)
}

// ParseReconcile decodes a payload of TypeReconcile.
func ParseReconcile(b []byte) (Reconcile, error) {
	var j reconcileJSON
	if err := decode(b, &j, &j.V); err != nil {
		return Reconcile{}, err
	}
	return Reconcile{j.Full, j.AdoptBefore}, nil
}

func invalid(field, reason string) error {
	return &ValidationError{[]Problem{{field, reason}}}
}
