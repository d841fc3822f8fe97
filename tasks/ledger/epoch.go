package ledger

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Epoch is a moment before which the ledger may have forgotten something: Redis
// was started again, another server has taken over, or somebody has restored or
// emptied it. What was written between Start and End may be lost, calls included.
type Epoch struct {
	Start time.Time // the last moment that is known to be remembered
	End   time.Time // when it was noticed
	Why   string    // restarted or went_back
}

// epochMatters is for how long an epoch is looked back at: what was lost comes
// back under the caller's id as long as somebody repeats it, and after thirty days
// an invitation of Clerk's has run out by default.
const epochMatters = 30 * 24 * time.Hour

// gapSlack is how much is added at both ends of a gap: a beat may be lost with
// the second in which it was written, and a call may arrive late.
const gapSlack = 5 * time.Second

// Length is how long the gap is.
func (e Epoch) Length() time.Duration { return e.End.Sub(e.Start) }

// Covers reports whether something that was created at a time, known within
// uncertainty, may have been forgotten.
func (e Epoch) Covers(created time.Time, uncertainty time.Duration) bool {
	slack := gapSlack + uncertainty
	return !created.Before(e.Start.Add(-slack)) && !created.After(e.End.Add(ArrivalBound+slack))
}

// idSlack is how far the clock of a producer, which has made an id, may be off.
const idSlack = time.Minute

// Concerns reports whether the record may have been sent by a call that the ledger
// has forgotten: it waited before the epoch, or its id may be a repetition of one
// from before. Only an id that was made by chance after the epoch, shortly before its
// invite came, is new: the key of a request and the row of a list make the same id
// again, and an outbox hands on again under the id that it has kept.
func (e Epoch) Concerns(r Record, now time.Time) bool {
	if now.Sub(e.End) > epochMatters {
		return false
	}
	made := tasks.MadeAt(r.Invite.ID)
	isNew := r.Invite.ImportID == "" && made.After(e.End.Add(idSlack)) && !made.After(r.CreatedAt.Add(idSlack))
	return !isNew || r.CreatedAt.Before(e.End)
}

// memory is what this process remembers of the ledger, so that it notices when the
// ledger remembers less.
type memory struct {
	mu      sync.Mutex
	seq     int64  // the highest that was seen; every turn and every beat adds to it
	founded int64  // when the ledger was made (ms)
	epochs  string // those that it has heard of, as beat.lua tells them
}

func (m *memory) last() (seq, founded int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seq, m.founded
}

func (m *memory) saw(seq, founded int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq = max(m.seq, seq)
	if founded != 0 {
		m.founded = founded
	}
}

func (m *memory) heardOf(epochs string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epochs = epochs
}

func (m *memory) heard() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epochs
}

// lastEpoch is the end of the newest epoch that it has heard of (ms).
func (m *memory) lastEpoch() int64 { return endOfLast(parseEpochs(m.heard())) }

func endOfLast(epochs []Epoch) int64 {
	if len(epochs) == 0 {
		return 0
	}
	return epochs[len(epochs)-1].End.UnixMilli()
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq, m.founded = 0, 0
}

// Pulse is what a beat has found.
type Pulse struct {
	Epochs   []Epoch   // those that still matter, the newest last
	Recovery bool      // the newest has not been recovered from: no turn is given
	Began    bool      // this beat has noticed it
	Resumed  time.Time // when a lane or an import was let go on last
	Aside    []string  // ids of records that cannot be read, ten at most
}

// Beat writes that the ledger is alive and compares it with what this process, and
// the ledger itself, remember: which server it stands on (the run id of INFO; ""
// where Redis does not tell), and how far it had come. Workers beat every second;
// the last beat that is found after a loss tells where the gap begins.
func (l *Ledger) Beat(ctx context.Context, now time.Time, server string) (Pulse, error) {
	sent := time.Now()
	seq, founded := l.memory.last()
	reply, err := l.run(ctx, "beat", millis(now), server, seq, founded, epochMatters.Milliseconds(), l.memory.heard()).StringSlice()
	if err != nil {
		return Pulse{}, err
	}
	if len(reply) != 7 {
		return Pulse{}, fmt.Errorf("beat answered %d values", len(reply))
	}
	if now.IsZero() {
		l.clock.note(sent, time.Now(), timeOf(reply[0]))
	}
	p := Pulse{Recovery: reply[3] != "", Began: reply[4] == "1"}
	if p.Began {
		l.memory.forget()
	}
	l.memory.saw(number(reply[1]), number(reply[2]))
	p.Epochs = parseEpochs(reply[5])
	l.memory.heardOf(reply[5])
	p.Resumed = timeOf(reply[6])
	aside, err := l.rdb.SMembers(ctx, l.keys.of("aside")).Result()
	p.Aside = aside[:min(len(aside), asideShown)]
	return p, err
}

// Trust says that the ledger stands on this server now, by its run id, and has
// forgotten nothing: the caller has ended the server before it in order.
func (l *Ledger) Trust(ctx context.Context, server string) error {
	return l.note(ctx, "meta", "server", []byte(server))
}

// asideShown is how many unreadable records are named.
const asideShown = 10

// parseEpochs reads what beat.lua writes: start:end:why, separated by spaces.
func parseEpochs(s string) []Epoch {
	var epochs []Epoch
	for one := range strings.FieldsSeq(s) {
		if f := strings.SplitN(one, ":", 3); len(f) == 3 {
			epochs = append(epochs, Epoch{timeOf(f[0]), timeOf(f[1]), f[2]})
		}
	}
	return epochs
}

// Recover ends the standstill that an epoch brings. made are the creation times of
// the invitations that Clerk shows for the last window, in the ledger's time: calls
// that made them may have fallen out of the quota log. Each is counted against both
// endpoints, since the list does not tell by which it came, and the endpoints are
// careful until a window has passed.
func (l *Ledger) Recover(ctx context.Context, now time.Time, e Epoch, made []time.Time) error {
	args := []any{millis(now), millis(e.End)}
	for _, lim := range []Limit{l.cfg.Limits.Single, l.cfg.Limits.Bulk} {
		args = append(args, lim.Calls, lim.Window.Milliseconds(), lim.span().Milliseconds())
	}
	for _, at := range made {
		if e.Covers(at, 0) {
			args = append(args, millis(at))
		}
	}
	return l.run(ctx, "recover", args...).Err()
}
