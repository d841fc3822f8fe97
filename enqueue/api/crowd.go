package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/inviteq/inviteq/tasks/access"
)

// crowd knows how many invites wait, so that creates, too, have a bound: of the instance,
// and of one token of scope own. It asks Redis once a second, and counts in between.
type crowd struct {
	mu    sync.Mutex
	known map[string]*headcount // by owner; "" is the instance
}

type headcount struct {
	waiting int64
	asked   time.Time
}

const (
	headcountLasts = time.Second
	headcountsKept = 1000 // owners
)

// add counts n more of an owner, unless there would be more than most. An error is one of
// Redis.
func (c *crowd) add(owner string, n, most int64, count func() (int64, error)) (waiting int64, room bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.known[owner]
	if h == nil {
		if c.known == nil || len(c.known) >= headcountsKept {
			c.known = map[string]*headcount{}
		}
		h = &headcount{}
		c.known[owner] = h
	}
	if time.Since(h.asked) > headcountLasts {
		h.asked = time.Now() // The others need not wait for the answer.
		c.mu.Unlock()
		waiting, err = count()
		c.mu.Lock()
		if err != nil {
			return 0, false, err
		}
		h.waiting = waiting
	}
	if h.waiting+n > most {
		return h.waiting, false, nil
	}
	h.waiting += n
	return h.waiting, true, nil
}

// crowded refuses n more invites where too many wait. What the ledger knows already is
// no more.
func (x *exchange) crowded(ctx context.Context, ids ...string) *answer {
	n, most := int64(len(ids)), x.cfg.MaxWaiting
	if most <= 0 {
		return nil
	}
	waiting, room, err := int64(0), true, error(nil)
	if x.token.Scope == access.Own {
		most /= 2 // There is room for the others.
		waiting, room, err = x.crowd.add(x.token.Name, n, most, func() (int64, error) { return x.cfg.Client.WaitingOf(ctx, x.token.Name) })
	}
	if err == nil && room {
		most = x.cfg.MaxWaiting
		waiting, room, err = x.crowd.add("", n, most, func() (int64, error) { return x.cfg.Client.Waiting(ctx) })
	}
	if err != nil {
		return unavailable(err)
	}
	if room {
		return nil
	}
	if known, err := x.cfg.Ledger.Get(ctx, ids...); err != nil {
		return unavailable(err)
	} else if len(known) == len(ids) {
		return nil
	}
	return refuse(http.StatusTooManyRequests, codeTooMany, "Too many invites wait",
		fmt.Sprintf("%d invites wait already, and no more than %d may. Nothing was accepted: try again when some have been sent.", waiting, most)).after(time.Minute)
}
