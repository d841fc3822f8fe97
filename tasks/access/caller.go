package access

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Callers tells whose token a request comes with. Wrong tokens cost Redis nothing,
// or next to nothing: what has the wrong shape or the wrong secret is refused here,
// and after ten unknown ones from an address all of them together cost one look at
// the tokens a second.
type Callers struct {
	store   *Store
	guesses Guesses

	mu    sync.Mutex
	known map[string]tokenJSON // by id: the tokens that this process has met

	reading sync.Mutex
	next    time.Time // when all tokens may be read again
}

// NewCallers returns the callers of a store.
func NewCallers(s *Store) *Callers { return &Callers{store: s, known: map[string]tokenJSON{}} }

// lookAgain is how long a new token may be unknown to an address that guesses.
const lookAgain = time.Second

// Find returns whose token it is. It may have been revoked since this process met
// it: Store.Authenticate tells. The error is ErrToken if it is nobody's, and wait
// then says how long its address must wait before the next one.
func (c *Callers) Find(ctx context.Context, bearer, remote string, now time.Time) (t Token, wait time.Duration, err error) {
	id, secret, ok := splitBearer(bearer)
	if !ok {
		return t, c.guesses.Wrong(remote, now), ErrToken
	}
	j, met := c.met(id)
	if !met {
		if wait = c.guesses.Wrong(remote, now); wait > 0 {
			err = c.meetAll(ctx, now)
		} else {
			err = c.meet(ctx, id)
		}
		if err != nil {
			return t, 0, err
		}
		if j, met = c.met(id); !met {
			return t, wait, ErrToken
		}
		if wait == 0 {
			c.guesses.Right(remote)
		}
	}
	if !j.is(secret) {
		return t, c.guesses.Wrong(remote, now), ErrToken
	}
	return j.token(id, secret), 0, nil
}

func (c *Callers) met(id string) (tokenJSON, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, ok := c.known[id]
	return j, ok
}

// meet looks for one token.
func (c *Callers) meet(ctx context.Context, id string) error {
	j, err := c.store.token(ctx, id)
	if errors.Is(err, ErrToken) {
		return nil
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[id] = j
	return nil
}

// meetAll reads all tokens, unless that has just been done. Those who come while it
// is done wait for it.
func (c *Callers) meetAll(ctx context.Context, now time.Time) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if now.Before(c.next) {
		return nil
	}
	all, _, err := c.store.all(ctx)
	if err != nil {
		return err
	}
	c.next = now.Add(lookAgain)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = all
	return nil
}

// Forget is for a token that has turned out to be revoked.
func (c *Callers) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, id)
}
