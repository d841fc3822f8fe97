package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// ErrConflict says that an id is taken by an invite with other content.
var ErrConflict = errors.New("this id is in use for an invite with other content; choose another id")

// Admission says what became of a request to admit an invite.
type Admission uint8

const (
	Known    Admission = iota // The id and the content are in the ledger already: nothing was changed.
	Admitted                  // It is new.
	Conflict                  // The id is in the ledger with other content: nothing was changed.
)

// taskGrace is how long the task of a new record may take to be seen by a
// handler before the sweep looks after it.
const taskGrace = time.Minute

// Admit writes the records of valid invites that have ids, all of the same
// import or of none. It is atomic and idempotent; at most ChunkSize at once.
// Chunk tells which members of the import are new; its Count is 0 when none is.
func (l *Ledger) Admit(ctx context.Context, now time.Time, invites []tasks.Invite) (_ []Admission, chunk tasks.BulkCreate, _ error) {
	e, err := l.Prepare(invites)
	if err != nil {
		return nil, chunk, err
	}
	return l.AdmitEntry(ctx, now, e)
}

// Entry is what Admit writes, encoded: all that can be done before Redis is asked.
type Entry struct {
	importID string
	owner    string
	salt     salt
	args     []any // argsEach for every invite, made with that salt
	people   []tasks.Email
	contents []string
	runs     string // On which lines of a list they stand (lines.go).
	made     bool   // The id was made a moment ago (tasks.NewID): no trimmed invite had it.
}

// argsEach is how many arguments admit.lua takes for an invite, and argPerson the
// first of those that the salt decides.
const (
	argsEach  = 8
	argPerson = 4
)

// Prepare encodes invites for AdmitEntry, without a call to Redis: whoever writes
// many can encode some while others are written.
func (l *Ledger) Prepare(invites []tasks.Invite) (Entry, error) {
	if len(invites) > tasks.ChunkSize {
		return Entry{}, fmt.Errorf("at most %d invites can be admitted at once", tasks.ChunkSize)
	}
	e := Entry{args: make([]any, 0, argsEach*len(invites)), people: make([]tasks.Email, len(invites)), contents: make([]string, len(invites))}
	for n := range invites {
		i := &invites[n]
		if i.ID == "" || i.ImportID != invites[0].ImportID || i.Owner != invites[0].Owner {
			return Entry{}, errors.New("invites admitted together must have ids and belong to one import and one owner")
		}
		var err error
		if e.contents[n], err = encodeContent(i); err != nil {
			return Entry{}, err
		}
		e.importID, e.owner, e.people[n] = i.ImportID, i.Owner, i.EmailAddress
		e.args = append(e.args, i.ID, int(i.Lane), millis(i.NotBefore), millis(i.Deadline), "", "", "", "")
	}
	e.runs = runsOf(invites)
	e.key(l.currentSalt())
	return e, nil
}

// PrepareOne is Prepare for one invite. made says that tasks.NewID has made its id a
// moment ago.
func (l *Ledger) PrepareOne(i tasks.Invite, made bool) (Entry, error) {
	e, err := l.Prepare([]tasks.Invite{i})
	e.made = made
	return e, err
}

// key writes what belongs to a salt: the address keys, and how the content is kept.
func (e *Entry) key(s salt) {
	e.salt = s
	personOf, hashOf := s.keyer(), s.hasher()
	for n, email := range e.people {
		person, hash := personOf(email), hashOf(e.contents[n])
		args := e.args[argsEach*n+argPerson:]
		args[0], args[1], args[2], args[3] = person, addressBucket(person), hash, s.bodyOf(e.contents[n], hash)
	}
}

// script is the one that admits the entry: somebody waits for a single invite, which
// therefore has a script of its own.
func (e *Entry) script() string {
	if len(e.people) == 1 && e.importID == "" {
		return "one"
	}
	return "admit"
}

// arguments are those of the script behind the salt.
func (e *Entry) arguments(now time.Time) []any {
	args := append(make([]any, 0, len(e.args)+4), millis(now), e.importID, e.owner)
	args = append(args, e.args...)
	switch {
	case e.script() == "admit":
		args = append(args, e.runs)
	case e.made:
		args = append(args, "1")
	}
	return args
}

// AdmitEntry is Admit for what is encoded already.
func (l *Ledger) AdmitEntry(ctx context.Context, now time.Time, e Entry) (_ []Admission, chunk tasks.BulkCreate, _ error) {
	if len(e.people) == 0 {
		return nil, chunk, nil
	}
	cmd, err := l.runSalted(ctx, e.script(), func(s salt) []any {
		if s.stands != e.salt.stands {
			e.key(s)
		}
		return e.arguments(now)
	})
	if err != nil {
		return nil, chunk, err
	}
	return e.read(cmd)
}

// QueueAdmit puts the call of AdmitEntry into a pipeline, so that what must come
// after it needs no round trip of its own. When the pipeline has run, read returns
// the admissions. It is an attempt: after an error nothing has been written, unless
// it is one of the connection, and AdmitEntry says what is really the matter.
func (l *Ledger) QueueAdmit(ctx context.Context, pipe redis.Pipeliner, now time.Time, e Entry) (read func() ([]Admission, error)) {
	cmd := l.code[e.script()].EvalSha(ctx, pipe, []string{l.keys.prefix}, append([]any{e.salt.stands}, e.arguments(now)...)...)
	confirmed := l.guarantee.Confirm(ctx, pipe)
	return func() ([]Admission, error) {
		admissions, _, err := e.read(cmd)
		if err == nil {
			err = confirmed()
		}
		return admissions, err
	}
}

func (e *Entry) read(cmd *redis.Cmd) (_ []Admission, chunk tasks.BulkCreate, _ error) {
	reply, err := cmd.Int64Slice()
	if err != nil {
		return nil, chunk, err
	}
	admissions := make([]Admission, len(e.people))
	for n := range admissions {
		switch reply[n+2] {
		case 1:
			admissions[n] = Admitted
		case -1:
			admissions[n] = Conflict
		}
	}
	return admissions, tasks.BulkCreate{ImportID: e.importID, From: int(max(reply[0], 0)), Count: int(reply[1])}, nil
}

// Missing are the tasks that no handler has seen although their records are a
// minute old: the producer died between the two, or the queue is long.
type Missing struct {
	Creates []string
	Chunks  []tasks.BulkCreate
	Revokes []string // ids of revoke requests
	hints   []string
}

// Missing returns at most n overdue hints. Call Retasked when each has a task.
func (l *Ledger) Missing(ctx context.Context, now time.Time, n int) (Missing, error) {
	hints, err := l.rdb.ZRangeArgs(ctx, rangeByScore(l.keys.of("untasked"), l.at(now), n)).Result()
	m := Missing{hints: hints}
	for _, h := range hints {
		if id, ok := cutHint(h, "c:"); ok {
			m.Creates = append(m.Creates, id)
		} else if id, ok := cutHint(h, "r:"); ok {
			m.Revokes = append(m.Revokes, id)
		} else if c, ok := parseChunkHint(h); ok {
			m.Chunks = append(m.Chunks, c)
		}
	}
	return m, err
}

// Retasked notes that the missing tasks have been given; they are looked at
// again after an hour, unless a handler sees them first.
func (l *Ledger) Retasked(ctx context.Context, now time.Time, m Missing) error {
	if len(m.hints) == 0 {
		return nil
	}
	pipe := l.rdb.Pipeline()
	for _, h := range m.hints {
		pipe.ZAddXX(ctx, l.keys.of("untasked"), scored(h, l.at(now).Add(time.Hour)))
	}
	_, err := pipe.Exec(ctx)
	return err
}

// TaskSeen notes that a handler has the task of an invite.
func (l *Ledger) TaskSeen(ctx context.Context, id string) error {
	return l.rdb.ZRem(ctx, l.keys.of("untasked"), "c:"+id).Err()
}

// ChunkSeen notes that a handler has the task of a chunk.
func (l *Ledger) ChunkSeen(ctx context.Context, c tasks.BulkCreate) error {
	return l.rdb.ZRem(ctx, l.keys.of("untasked"), chunkHint(c)).Err()
}

// Members returns the ids of a chunk of an import.
func (l *Ledger) Members(ctx context.Context, c tasks.BulkCreate) ([]string, error) {
	return l.rdb.LRange(ctx, l.keys.importIDs(c.ImportID), int64(c.From), int64(c.From+c.Count-1)).Result()
}
