package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/seal"
)

// salt is with what the keys of addresses are made, and how records are read. It stands
// in Redis, in one of two forms:
//
//	salt                                  the ledger is not encrypted: the salt is the secret with
//	                                      which keys of addresses are made; it stands beside the
//	                                      records, and whoever has the one has the other
//	salt, "sealed", the wrapped secret    the ledger is encrypted: see package seal
//
// A process remembers it, and Redis may be emptied while the process lives. So
// every script that writes keys of addresses is given the salt that they were made
// with: where there is none it writes it down, and where there is another it
// changes nothing, and the process makes the keys again. What is looked up by such
// a key is read together with the salt. The same person therefore has the same key
// in all records of a ledger, whoever has written them.
type salt struct {
	stands string       // as it stands in Redis
	secret *seal.Secret // nil: the ledger is not encrypted
}

const (
	saltLen    = 32
	sealedMark = "sealed"
	// rekeyingMark stands in place of the salt while Rekey makes it anew.
	rekeyingMark = "rekeying"
)

// newSalt makes the salt of a new ledger, which is encrypted if there are keys.
func newSalt(keys seal.Keys) (salt, error) {
	b := make([]byte, saltLen)
	_, _ = rand.Read(b) // It never fails.
	if len(keys) == 0 {
		return salt{stands: string(b)}, nil
	}
	secret, err := seal.NewSecret(nil)
	return sealedSalt(string(b), secret, keys), err
}

func sealedSalt(public string, secret *seal.Secret, keys seal.Keys) salt {
	return salt{public + sealedMark + keys.Wrap(secret, public), secret}
}

// Errors of a ledger whose encryption is not what a process is configured for.
var (
	// ErrNoKey says that the ledger is encrypted, and that the key is missing.
	ErrNoKey = errors.New("the ledger is encrypted: set INVITEQ_ENCRYPTION_KEY or INVITEQ_ENCRYPTION_KEY_FILE to its key")
	// ErrNotEncrypted says that there is a key and invites that were written without one.
	ErrNotEncrypted = errors.New("the ledger is not encrypted, although there is an encryption key: stop the workers and run inviteq rekey, or unset the key")
	// ErrRekeying says that the ledger is being encrypted anew.
	ErrRekeying = errors.New("the ledger is being encrypted (inviteq rekey): try again when that has ended; if it was interrupted, run inviteq rekey again")
)

// readSalt understands what stands in Redis.
func readSalt(stands string, keys seal.Keys) (salt, error) {
	if strings.HasPrefix(stands, rekeyingMark) {
		return salt{}, ErrRekeying
	}
	s := salt{stands: stands}
	wrapped, sealed := s.wrapped()
	switch {
	case !sealed && len(keys) > 0:
		return s, ErrNotEncrypted
	case !sealed:
		return s, nil
	}
	var err error
	if s.secret, err = keys.Unwrap(wrapped, s.public()); err != nil {
		return s, fmt.Errorf("%w (%w)", ErrNoKey, err)
	}
	return s, nil
}

// public is the part that is no secret where the ledger is encrypted, and that stays
// the same.
func (s salt) public() string { return s.stands[:min(len(s.stands), saltLen)] }

// wrapped is the wrapped secret of an encrypted ledger.
func (s salt) wrapped() (string, bool) {
	return strings.CutPrefix(s.stands[len(s.public()):], sealedMark)
}

// keyID is the id of the key that the ledger is encrypted with; "" if it is not.
func (s salt) keyID() string {
	wrapped, sealed := s.wrapped()
	if !sealed {
		return ""
	}
	return seal.WrappedBy(wrapped)
}

// hashOf returns a keyed hash of a text of one kind.
func hashOf(key []byte, kind, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(kind + "\x00" + text))
	return h.Sum(nil)
}

// addressKeyLen is in bytes: 48 bits, so that two people of a million hardly ever
// share a key. Where it would matter the addresses themselves are compared.
const addressKeyLen = 6

// person returns the key of an address.
func (s salt) person(e tasks.Email) string { return s.keyer()(e) }

// keyer returns person for many addresses: what belongs to the salt is worked out
// once. The function is one goroutine's.
func (s salt) keyer() func(tasks.Email) string {
	key := []byte(s.stands)
	if s.secret != nil {
		key = s.secret.Index
	}
	h := hmac.New(sha256.New, key)
	var sum [sha256.Size]byte
	used := false
	return func(e tasks.Email) string {
		if used {
			h.Reset() // The first time it costs more than it saves later.
		}
		used = true
		h.Write([]byte(e.Key()))
		return base64.RawURLEncoding.EncodeToString(h.Sum(sum[:0])[:addressKeyLen])
	}
}

// addressBuckets is how many hashes hold the address index: each stays small
// enough for Redis to pack (up to 128 entries), which is what makes the index
// cheap for up to a million invites. trim.lua knows the number, too.
const addressBuckets = 8192

// addressBucket returns which of them holds a key.
func addressBucket(key string) string {
	b, _ := base64.RawURLEncoding.DecodeString(key)
	if len(b) < 2 {
		return "0"
	}
	return strconv.Itoa(int(binary.BigEndian.Uint16(b)) % addressBuckets)
}

// Person returns a keyed hash of an address: the same person has the same word
// in logs and indexes of one instance, and nobody can turn it back.
func (l *Ledger) Person(e tasks.Email) string { return l.currentSalt().person(e) }

// Keyed returns a hash of a text that nobody can make who does not have the secret of the
// ledger. It stays the same, also when the ledger is encrypted anew.
func (l *Ledger) Keyed(text string) string {
	s := l.currentSalt()
	key := []byte(s.public())
	if s.secret != nil {
		key = s.secret.Hash
	}
	return hex.EncodeToString(hashOf(key, "keyed", text)[:keyedHashLen])
}

func (l *Ledger) currentSalt() salt { return *l.salt.Load() }

// loadSalt takes the salt that is in Redis, or puts mine there. Where there is one
// it only reads, so that a full Redis can be opened.
func (l *Ledger) loadSalt(ctx context.Context, mine salt) error {
	meta := l.keys.of("meta")
	pipe := l.rdb.Pipeline()
	got, sent, theirs := pipe.HGet(ctx, meta, "salt"), time.Now(), pipe.Time(ctx)
	if err := execute(ctx, pipe); err != nil {
		return err
	}
	l.clock.note(sent, time.Now(), theirs.Val())
	stands, err := got.Result()
	if errors.Is(err, redis.Nil) {
		if err := l.rdb.HSetNX(ctx, meta, "salt", mine.stands).Err(); err != nil {
			return err
		}
		stands, err = l.rdb.HGet(ctx, meta, "salt").Result()
	}
	if err != nil {
		return err
	}
	return l.takeSalt(ctx, stands)
}

// takeSalt remembers the salt that stands in Redis. One without encryption gives way
// where nothing has been admitted yet: whoever was first may have had no key.
func (l *Ledger) takeSalt(ctx context.Context, stands string) error {
	s, err := readSalt(stands, l.cfg.EncryptionKeys)
	if errors.Is(err, ErrNotEncrypted) {
		var sealed salt
		if sealed, err = newSalt(l.cfg.EncryptionKeys); err != nil {
			return err
		}
		var done bool
		if done, err = l.run(ctx, "salt", stands, sealed.stands, "1").Bool(); err == nil && !done {
			err = ErrNotEncrypted
		}
		s = sealed
	}
	if err == nil {
		l.salt.Store(&s)
	}
	return err
}

// Restore puts back what a ledger that was emptied needs beside its records: the
// salt, and the limits that Publish has written. Where they stand it only reads
// the salt.
func (l *Ledger) Restore(ctx context.Context) error {
	worker, err := l.publication()
	if err != nil {
		return err
	}
	switch is, err := l.rdb.HExists(ctx, l.keys.of("meta"), "worker").Result(); {
	case err != nil:
		return err
	case !is:
		if err := l.rdb.HSetNX(ctx, l.keys.of("meta"), "worker", worker).Err(); err != nil {
			return err
		}
	}
	return l.loadSalt(ctx, l.currentSalt())
}

// saltChanges is how often in a row the salt may change under a call: once for
// every time that somebody empties Redis meanwhile.
const saltChanges = 3

// saltRefusal is what scripts begin their error with when the salt is another one.
const saltRefusal = "SALT"

var errSalt = errors.New("the ledger keeps being emptied while it is written to")

// runSalted runs a script whose first argument is the salt with which the others
// were made.
func (l *Ledger) runSalted(ctx context.Context, script string, args func(salt) []any) (*redis.Cmd, error) {
	for range saltChanges {
		s := l.currentSalt()
		cmd := l.accept(ctx, script, append([]any{s.stands}, args(s)...)...)
		if err := cmd.Err(); err == nil || !strings.HasPrefix(err.Error(), saltRefusal) {
			return cmd, err
		}
		if err := l.loadSalt(ctx, s); err != nil {
			return nil, err
		}
	}
	return nil, errSalt
}

// idsOf returns the ids of the invites for an address, the oldest first.
func (l *Ledger) idsOf(ctx context.Context, people ...tasks.Email) ([][]string, error) {
	ids := make([][]string, len(people))
	for range saltChanges {
		s := l.currentSalt()
		pipe := l.rdb.Pipeline()
		now := pipe.HGet(ctx, l.keys.of("meta"), "salt")
		found, older, personOf := make([]*redis.StringCmd, len(people)), make([]*redis.StringSliceCmd, len(people)), s.keyer()
		for n, e := range people {
			person := personOf(e)
			found[n] = pipe.HGet(ctx, l.keys.of("addr")+addressBucket(person), person)
			older[n] = pipe.LRange(ctx, l.keys.of("more")+person, 0, -1)
		}
		if err := execute(ctx, pipe); err != nil {
			return nil, err
		}
		stands, err := now.Result()
		if errors.Is(err, redis.Nil) {
			return ids, nil // Whatever writes a record writes a salt.
		}
		if err != nil {
			return nil, fmt.Errorf("read the salt: %w", err)
		}
		if stands == s.stands {
			for n := range people {
				ids[n] = append(older[n].Val(), strings.Fields(found[n].Val())...)
			}
			return ids, nil
		}
		if err := l.takeSalt(ctx, stands); err != nil {
			return nil, err
		}
	}
	return nil, errSalt
}
