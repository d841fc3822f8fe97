package tasks

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"time"
)

// MaxIDLen is the longest id of an invite or an import, in bytes.
const MaxIDLen = 128

// IDText is base32 in lower case without padding, in ASCII order.
var IDText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a new id with the given prefix ("inq", "imp", "rvk"). Ids sort
// by the millisecond in which they were made. With a prefix of three letters an
// id has 28 bytes, which Redis keeps in a 32-byte cell.
func NewID(prefix string) string {
	var b [15]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	rand.Read(b[6:])
	return prefix + "_" + IDText.EncodeToString(b[:])
}

// MadeAt returns when NewID has made an id of an invite, to the millisecond. It is the
// zero time if the id has another form; of one that is a hash it is any time.
func MadeAt(id string) time.Time {
	text, ours := strings.CutPrefix(id, "inq_")
	b, err := IDText.DecodeString(text)
	if !ours || err != nil || len(b) != 15 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b) >> 16))
}

// ImportInviteID returns the id of the invite for an address within an import.
// It is a function of both, so that the same list fed twice under the same
// import id makes no second invite, even if its rows have moved.
func ImportInviteID(importID string, e Email) string {
	h := sha256.New()
	h.Write([]byte(importID))
	h.Write([]byte{0})
	h.Write([]byte(e.Key()))
	return "inq_" + IDText.EncodeToString(h.Sum(nil)[:15])
}

// ImportRowID returns the id of the invite for a row of an import to which the list
// gives a name of its own, such as a number. The same name in another import is
// another invite.
func ImportRowID(importID, name string) string {
	h := sha256.New()
	h.Write([]byte(importID))
	h.Write([]byte("\x00row\x00")) // An address has no zero byte.
	h.Write([]byte(name))
	return "inq_" + IDText.EncodeToString(h.Sum(nil)[:15])
}

// CheckID says what is wrong with an id that a caller chose: it must have 1 to
// MaxIDLen printable ASCII characters, no space, no "/" (asynqmon puts it into a
// path) and no "@", also not encoded for a URL (ids are logged and shown, addresses
// are not).
func CheckID(id string) error {
	if id == "" || len(id) > MaxIDLen {
		return errors.New("must have 1 to 128 bytes")
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '/' || c == '@' {
			return errors.New("must be printable ASCII without spaces, / and @")
		}
	}
	if encodedAt.MatchString(id) {
		return errors.New("must not have an encoded @")
	}
	return nil
}

// ownID is the form of the ids of invites that inviteq makes.
var ownID = regexp.MustCompile("^inq_[0-9a-hjkmnp-tv-z]{24,31}$")

const reserved = "must not begin with inq_, as only the ids that inviteq makes do"

// CheckCallerID is CheckID for an id of an invite that a person, a file or a client of
// the HTTP API has chosen: what begins with inq_ is inviteq's own, so that no caller
// can take the id that another one's request will have.
func CheckCallerID(id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	if strings.HasPrefix(id, "inq_") {
		return errors.New(reserved)
	}
	return nil
}

// encodedAt is an @ that was encoded for a URL, once or again and again.
var encodedAt = regexp.MustCompile("%(25)*40")
