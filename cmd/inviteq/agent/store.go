package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/ledger"
)

// remembered is how long a plan is known after it was asked for, decided or applied.
const remembered = 24 * time.Hour

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
// the ledger's keys: plan id → Request. It is safe for concurrent use.
type Store struct {
	rdb redis.UniversalClient
	key string
	now func() time.Time
}

// NewStore returns the store of one instance. It makes no call.
func NewStore(rdb redis.UniversalClient, instance string) *Store {
	return &Store{rdb, ledger.KeyPrefix(instance) + "plans", time.Now}
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
	return s.put(ctx, r)
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
