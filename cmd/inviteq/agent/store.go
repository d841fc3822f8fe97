package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/ledger"
)

// remembered is how long a plan is known after it was asked for, decided or applied.
const remembered = 24 * time.Hour

// mostNoted is how many plans of an instance may be known when one is added that needs
// an operator.
const mostNoted = 1000

// Request is what Redis keeps of a plan: no address, but for a masked sample.
type Request struct {
	ID        string    `json:"plan"`
	Kind      Kind      `json:"kind"`
	People    int       `json:"people"`
	Owner     string    `json:"owner"`
	Sample    []string  `json:"sample"`
	At        time.Time `json:"at"`         // of the last change
	Decision  decision  `json:"decision"`   // "": an operator has not decided
	AppliedAt time.Time `json:"applied_at"` // zero: it has not been applied
	Request   string    `json:"request_id"` // of a revoke that goes on
}

type decision string

const (
	approved decision = "approved"
	rejected decision = "rejected"
)

// State is how far it is, in a word.
func (r Request) State() string {
	switch {
	case !r.AppliedAt.IsZero():
		return "applied"
	case r.Decision != "":
		return string(r.Decision)
	}
	return "waiting"
}

// ErrNoPlan says that there is no plan of that name, or that it was forgotten after a
// day.
var ErrNoPlan = errors.New("there is no such plan, or it is more than a day old; `inviteq mcp plans` lists them")

// Store keeps in Redis what operators have to decide and have decided, in a hash beside
// the ledger's keys: plan id → Request, and what was applied without them. It is safe for concurrent use.
type Store struct {
	rdb   redis.UniversalClient
	key   string
	spent string // A sorted set: what was applied without an operator, by the time (ms).
	now   func() time.Time
}

// NewStore returns the store of one instance. It makes no call.
func NewStore(rdb redis.UniversalClient, instance string) *Store {
	prefix := ledger.KeyPrefix(instance)
	return &Store{rdb, prefix + "plans", prefix + "unapproved", time.Now}
}

// All returns the plans of the last day, the newest first.
func (s *Store) All(ctx context.Context) ([]Request, error) {
	raw, err := s.rdb.HGetAll(ctx, s.key).Result()
	if err != nil {
		return nil, err
	}
	list := make([]Request, 0, len(raw))
	for id, text := range raw {
		var r Request
		if json.Unmarshal([]byte(text), &r) != nil || s.now().Sub(r.At) > remembered {
			if err := s.rdb.HDel(ctx, s.key, id).Err(); err != nil {
				return nil, err
			}
			continue
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Request) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// Decide approves or rejects a plan that waits.
func (s *Store) Decide(ctx context.Context, id string, approve bool) (Request, error) {
	r, err := s.get(ctx, id)
	switch {
	case err != nil:
		return r, err
	case r.ID == "":
		return r, ErrNoPlan
	case !r.AppliedAt.IsZero():
		return r, errors.New("the plan has been applied already; take it back with `inviteq revoke`")
	}
	r.Decision = rejected
	if approve {
		r.Decision = approved
	}
	return r, s.put(ctx, r)
}

// get returns a zero Request for a plan that it does not know.
func (s *Store) get(ctx context.Context, id string) (Request, error) {
	var r Request
	text, err := s.rdb.HGet(ctx, s.key, id).Result()
	if errors.Is(err, redis.Nil) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &r)
	}
	if err == nil && s.now().Sub(r.At) > remembered {
		return Request{}, nil
	}
	return r, err
}

// ask lets operators know of a plan, unless they do.
func (s *Store) ask(ctx context.Context, r Request) error {
	if _, err := s.All(ctx); err != nil { // Forgets the old ones.
		return err
	}
	if known, err := s.get(ctx, r.ID); err != nil || known.ID != "" {
		return err
	}
	if n, err := s.rdb.HLen(ctx, s.key).Result(); err != nil {
		return err
	} else if n >= mostNoted {
		return fmt.Errorf("%d plans were made in the last day: no more can wait for an operator", n)
	}
	return s.put(ctx, r)
}

// allowance is what an owner has done in the last day without an operator: how many
// people the plans of a kind were about, without this one.
func (s *Store) allowance(ctx context.Context, r Request) (people int, _ error) {
	since := strconv.FormatInt(s.now().Add(-remembered).UnixMilli(), 10)
	list, err := s.rdb.ZRangeByScore(ctx, s.spent, &redis.ZRangeBy{Min: "(" + since, Max: "+inf"}).Result()
	for _, member := range list {
		var other Request
		if json.Unmarshal([]byte(member), &other) == nil && other.Owner == r.Owner && other.Kind == r.Kind && other.ID != r.ID {
			people += other.People
		}
	}
	return people, err
}

// spend counts the people of a plan as of now, before they are invited, if they and
// those of the last day are most at most. The same plan is counted once. Of two that
// come at the same moment, and are too many together, both may be refused.
func (s *Store) spend(ctx context.Context, r Request, most int) error {
	member, err := json.Marshal(spending{r.ID, r.Kind, r.People, r.Owner})
	if err != nil {
		return err
	}
	now := s.now()
	pipe := s.rdb.TxPipeline()
	pipe.ZRemRangeByScore(ctx, s.spent, "-inf", strconv.FormatInt(now.Add(-remembered).UnixMilli(), 10))
	added := pipe.ZAddNX(ctx, s.spent, redis.Z{Score: float64(now.UnixMilli()), Member: member})
	pipe.Expire(ctx, s.spent, remembered)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	before, err := s.allowance(ctx, r)
	if err != nil || before+r.People <= most {
		return err
	}
	if added.Val() > 0 {
		if err := s.rdb.ZRem(ctx, s.spent, member).Err(); err != nil {
			return err
		}
	}
	return &approvalError{r.ID, r.Kind, r.People, before, most}
}

// spending is a plan that was applied without an operator.
type spending struct {
	ID     string `json:"plan"`
	Kind   Kind   `json:"kind"`
	People int    `json:"people"`
	Owner  string `json:"owner"`
}

// approvalError says that an operator has to approve a plan first.
type approvalError struct {
	id                   string
	kind                 Kind
	people, before, most int
}

func (e *approvalError) Error() string {
	return e.why() + fmt.Sprintf(", so an operator must approve it first: `inviteq mcp approve %s`", e.id)
}

func (e *approvalError) why() string {
	if e.before == 0 {
		return fmt.Sprintf("the plan is about %d people, more than %d", e.people, e.most)
	}
	return fmt.Sprintf("the plan is about %d people, and plans to %s that nobody has approved were about %d in the last day: together more than %d", e.people, e.kind, e.before, e.most)
}

// applied notes that a plan was carried out.
func (s *Store) applied(ctx context.Context, r Request) error {
	known, err := s.get(ctx, r.ID)
	if err != nil {
		return err
	}
	r.Decision, r.AppliedAt = known.Decision, s.now()
	return s.put(ctx, r)
}

func (s *Store) put(ctx context.Context, r Request) error {
	r.At = s.now().UTC()
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.rdb.HSet(ctx, s.key, r.ID, text).Err()
}
