package ledger

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// salt is the secret with which the keys of addresses are made. It stands in
// Redis beside the records that hold such keys: whoever has the one has the other.
//
// A process remembers it, and Redis may be emptied while the process lives. So
// every script that writes keys of addresses is given the salt that they were made
// with: where there is none it writes it down, and where there is another it
// changes nothing, and the process makes the keys again. What is looked up by such
// a key is read together with the salt. The same person therefore has the same key
// in all records of a ledger, whoever has written them.
type salt []byte

// addressKeyLen is in bytes: 48 bits, so that two people of a million hardly ever
// share a key. Where it would matter the addresses themselves are compared.
const addressKeyLen = 6

// person returns the key of an address.
func (s salt) person(e tasks.Email) string { return s.keyer()(e) }

// keyer returns person for many addresses: what belongs to the salt is worked out
// once. The function is one goroutine's.
func (s salt) keyer() func(tasks.Email) string {
	h := hmac.New(sha256.New, s)
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
	b, err := got.Bytes()
	if errors.Is(err, redis.Nil) {
		if err := l.rdb.HSetNX(ctx, meta, "salt", []byte(mine)).Err(); err != nil {
			return err
		}
		b, err = l.rdb.HGet(ctx, meta, "salt").Bytes()
	}
	if err == nil {
		l.salt.Store(new(salt(b)))
	}
	return err
}

func newSalt() salt {
	sum := sha256.Sum256([]byte(tasks.NewID("salt") + tasks.NewID("salt")))
	return sum[:]
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
		cmd := l.accept(ctx, script, append([]any{[]byte(s)}, args(s)...)...)
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
		stands, err := now.Bytes()
		if errors.Is(err, redis.Nil) {
			return ids, nil // Whatever writes a record writes a salt.
		}
		if err != nil {
			return nil, fmt.Errorf("read the salt: %w", err)
		}
		if bytes.Equal(stands, s) {
			for n := range people {
				ids[n] = append(older[n].Val(), strings.Fields(found[n].Val())...)
			}
			return ids, nil
		}
		l.salt.Store(new(salt(stands)))
	}
	return nil, errSalt
}
