package ledger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/seal"
)

// Rekeyed says what Rekey has done.
type Rekeyed struct {
	Key     string `json:"key"`     // The id of the key with which the ledger is encrypted now.
	Was     string `json:"was"`     // That of the key before; "" if it was not encrypted.
	Records int    `json:"records"` // How many were encrypted anew; 0 if only the key was replaced.
	Left    int    `json:"left"`    // Records that cannot be read: they are as they were.
}

// ErrWorkersRun says that Rekey has to wait until no worker runs.
var ErrWorkersRun = errors.New("workers are running; stop them first (a worker that was killed counts for 45 s)")

// Rekey encrypts the ledger with the first of cfg.EncryptionKeys. All keys with which it may be
// encrypted now must be among them.
//
// A ledger that is encrypted already gets the new key at once, while everything runs:
// every process must have both keys by then. One that is not is encrypted record by
// record, with every index that leads to a person, and with anew so is one that is
// encrypted: then no key of before, and no copy of Redis of before, decrypts what comes
// later. That needs all workers stopped (ErrWorkersRun); whoever calls the ledger
// meanwhile gets ErrRekeying, and has changed nothing. If it is interrupted, the next
// call goes on.
//
// Progress is called now and then with how many records have been looked at, and with
// how many there are.
func Rekey(ctx context.Context, rdb redis.UniversalClient, cfg Config, anew bool, progress func(done, total int)) (Rekeyed, error) {
	if len(cfg.EncryptionKeys) == 0 {
		return Rekeyed{}, errors.New("there is no encryption key to encrypt with")
	}
	l, err := prepare(ctx, rdb, cfg)
	if err != nil {
		return Rekeyed{}, err
	}
	k := rekeying{Ledger: l, progress: progress}
	fields, err := l.rdb.HMGet(ctx, l.keys.of("meta"), "salt", "salt_from", "salt_to").Result()
	if err != nil {
		return Rekeyed{}, err
	}
	stands, _ := fields[0].(string)
	from, _ := fields[1].(string)
	to, _ := fields[2].(string)
	interrupted := strings.HasPrefix(stands, rekeyingMark)
	if !interrupted {
		from = stands
	}
	if k.from, err = readSalt(from, l.cfg.EncryptionKeys); err != nil && !errors.Is(err, ErrNotEncrypted) {
		return Rekeyed{}, err
	}
	switch {
	case stands == "":
		k.to, err = newSalt(l.cfg.EncryptionKeys)
		l.salt.Store(&k.to)
		if err == nil {
			err = l.loadSalt(ctx, k.to)
		}
		return Rekeyed{Key: l.cfg.EncryptionKeys[0].ID()}, err
	case interrupted:
		if k.to, err = readSalt(to, l.cfg.EncryptionKeys); err != nil {
			return Rekeyed{}, err
		}
	case k.from.secret != nil && !anew:
		return k.replace(ctx, sealedSalt(k.from.public(), k.from.secret, l.cfg.EncryptionKeys))
	default:
		secret, err := seal.NewSecret(k.from.secret)
		if err != nil {
			return Rekeyed{}, err
		}
		k.to = sealedSalt(k.from.public(), secret, l.cfg.EncryptionKeys)
	}
	mark := rekeyingMark + k.to.public()
	if err := k.begin(ctx, stands, mark, interrupted); err != nil {
		return Rekeyed{}, err
	}
	l.salt.Store(&k.to)
	for _, step := range []func(context.Context) error{k.people, k.others, k.requests, k.tombstones, k.forgotten} {
		if err := step(ctx); err != nil {
			return k.done(), fmt.Errorf("interrupted; run the same command again to go on: %w", err)
		}
	}
	if _, err := k.replaceSalt(ctx, mark, k.to.stands); err != nil {
		return k.done(), err
	}
	return k.done(), l.rdb.HDel(ctx, l.keys.of("meta"), "salt_from", "salt_to").Err()
}

// rekeying is one run of Rekey.
type rekeying struct {
	*Ledger

	from, to    salt
	progress    func(done, total int)
	seen, total int
	records     int
	left        int
}

func (k *rekeying) done() Rekeyed {
	return Rekeyed{Key: k.to.keyID(), Was: k.from.keyID(), Records: k.records, Left: k.left}
}

// replace gives the ledger a salt that is the old one but for the key that wraps it.
func (k *rekeying) replace(ctx context.Context, with salt) (Rekeyed, error) {
	k.to = with
	done, err := k.replaceSalt(ctx, k.from.stands, with.stands)
	if err == nil && !done {
		err = errSalt
	}
	return k.done(), err
}

func (k *rekeying) replaceSalt(ctx context.Context, stands, with string, fields ...any) (bool, error) {
	return k.run(ctx, "salt", append([]any{stands, with, ""}, fields...)...).Bool()
}

// begin keeps everybody else out, or says why that cannot be.
func (k *rekeying) begin(ctx context.Context, stands, mark string, interrupted bool) error {
	if !interrupted {
		if done, err := k.replaceSalt(ctx, stands, mark, "salt_from", k.from.stands, "salt_to", k.to.stands); err != nil || !done {
			return errors.Join(err, errSalt)
		}
	}
	// No worker can start any more.
	running, err := k.Fellows(ctx, Now)
	if err != nil || len(running) == 0 {
		return err
	}
	names := make([]string, len(running))
	for n, f := range running {
		names[n] = f.Name
	}
	if !interrupted {
		_, err = k.replaceSalt(ctx, mark, stands)
	}
	return errors.Join(fmt.Errorf("%w: %s", ErrWorkersRun, strings.Join(names, ", ")), err)
}

const (
	bucketsAtOnce = 16
	rekeyAtOnce   = 200
)

// people goes through the index of addresses, so that the invites for each stay in their
// order.
func (k *rekeying) people(ctx context.Context) error {
	n, err := k.rdb.HLen(ctx, k.keys.of("rec")).Result()
	k.total = int(n)
	for bucket := 0; bucket < addressBuckets && err == nil; bucket += bucketsAtOnce {
		pipe := k.rdb.Pipeline()
		found := make([]*redis.MapStringStringCmd, bucketsAtOnce)
		for n := range found {
			found[n] = pipe.HGetAll(ctx, fmt.Sprint(k.keys.of("addr"), bucket+n))
		}
		if err := execute(ctx, pipe); err != nil {
			return err
		}
		var ids []string
		for _, people := range found {
			for person, newest := range people.Val() {
				if strings.Count(newest, " ") >= 31 {
					older, err := k.rdb.LRange(ctx, k.keys.of("more")+person, 0, -1).Result()
					if err != nil {
						return err
					}
					ids = append(ids, older...)
				}
				ids = append(ids, strings.Fields(newest)...)
			}
		}
		err = k.encrypt(ctx, ids)
	}
	return err
}

// others are the records to which the index did not lead.
func (k *rekeying) others(ctx context.Context) error {
	k.seen, k.left = 0, 0
	for cursor := uint64(0); ; {
		pairs, next, err := k.rdb.HScan(ctx, k.keys.of("rec"), cursor, "", rekeyAtOnce).Result()
		if err != nil {
			return err
		}
		ids := make([]string, 0, len(pairs)/2)
		for n := 0; n < len(pairs); n += 2 {
			if !k.to.sealed(pairs[n+1]) {
				ids = append(ids, pairs[n])
			}
		}
		if err := k.encrypt(ctx, ids); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// encrypt rewrites records that are not yet as they should be. One that changes meanwhile
// is read again.
func (k *rekeying) encrypt(ctx context.Context, ids []string) error {
	for some := range slices.Chunk(ids, rekeyAtOnce) {
		k.seen += len(some)
		for tries := 0; len(some) > 0 && tries <= saltChanges; tries++ {
			var err error
			if some, err = k.rewrite(ctx, some); err != nil {
				return err
			}
		}
		if k.progress != nil {
			k.progress(min(k.seen, k.total), k.total)
		}
	}
	return nil
}

// rewrite is encrypt for records that fit into one call. It returns those that have
// changed since they were read.
func (k *rekeying) rewrite(ctx context.Context, ids []string) (changed []string, _ error) {
	values, err := k.rdb.HMGet(ctx, k.keys.of("rec"), ids...).Result()
	if err != nil {
		return nil, err
	}
	person, hash := k.to.keyer(), k.to.hasher()
	var args []any
	var asked []string
	for n, v := range values {
		s, ok := v.(string)
		if !ok || k.to.sealed(s) { // An interrupted run has been here.
			continue
		}
		r, err := parseRecord(ids[n], s, k.from.secret)
		if err != nil {
			k.left++
			continue
		}
		content, err := encodeContent(&r.Invite)
		if err != nil {
			return nil, err
		}
		asked = append(asked, ids[n])
		args = append(args, ids[n], plainHash(s), person(r.Invite.EmailAddress), k.to.bodyOf(content, hash(content)))
	}
	if len(args) == 0 {
		return nil, nil
	}
	done, err := k.run(ctx, "rekey", args...).BoolSlice()
	for n, yes := range done {
		if yes {
			k.records++
		} else {
			changed = append(changed, asked[n])
		}
	}
	return changed, err
}

// requests seals the addresses that requests to revoke name.
func (k *rekeying) requests(ctx context.Context) error {
	all, err := k.rdb.HGetAll(ctx, k.keys.of("revreq")).Result()
	if err != nil {
		return err
	}
	for id, s := range all {
		var j map[string]json.RawMessage // Every field of it is kept.
		var stands string
		if json.Unmarshal([]byte(s), &j) != nil || json.Unmarshal(j["target"], &stands) != nil {
			continue
		}
		target := k.to.target(stands)
		if target == stands {
			target = k.from.target(stands)
		}
		if j["target"], err = json.Marshal(k.to.targetOf(target)); err != nil {
			return err
		}
		b, err := json.Marshal(j)
		if err == nil {
			err = k.rdb.HSet(ctx, k.keys.of("revreq"), id, b).Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tombstones keys the hashes of trimmed invites, which so far whoever guesses a content
// could have compared. In a ledger that was encrypted they are.
func (k *rekeying) tombstones(ctx context.Context) error {
	if k.from.secret != nil {
		return nil
	}
	hash := k.to.rehasher()
	return k.eachKey(ctx, escapePattern(k.keys.of("tomb"))+"*", func(ctx context.Context, rdb redis.UniversalClient, keys []string) error {
		pipe := rdb.Pipeline()
		stones := make([]*redis.StringCmd, len(keys))
		for n, key := range keys {
			stones[n] = pipe.Get(ctx, key)
		}
		if err := execute(ctx, pipe); err != nil {
			return err
		}
		for n, key := range keys {
			if old := stones[n].Val(); len(old) == len(plainHash("")) {
				pipe.SetArgs(ctx, key, hash(old), redis.SetArgs{Mode: "XX", KeepTTL: true})
			}
		}
		return execute(ctx, pipe)
	})
}

// forgotten keys what stands for people who were forgotten, as tombstones does.
func (k *rekeying) forgotten(ctx context.Context) error {
	if k.from.secret != nil {
		return nil
	}
	members, err := k.rdb.ZRangeWithScores(ctx, k.keys.of("forgotten"), 0, -1).Result()
	if err != nil {
		return err
	}
	for some := range slices.Chunk(members, rekeyAtOnce) {
		pipe := k.rdb.Pipeline()
		for _, m := range some {
			member, _ := m.Member.(string)
			if len(member) == base64.RawURLEncoding.EncodedLen(forgottenLen) {
				pipe.ZAdd(ctx, k.keys.of("forgotten"), redis.Z{Score: m.Score, Member: k.to.reforgotten(member)})
				pipe.ZRem(ctx, k.keys.of("forgotten"), member)
			}
		}
		if err := execute(ctx, pipe); err != nil {
			return err
		}
	}
	return nil
}
