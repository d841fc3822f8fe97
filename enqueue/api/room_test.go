package api

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestRoomGoesRound: of those that wait, each token has its turn, however many the
// others have sent before.
func TestRoomGoesRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(2, 2, time.Hour)
		first, second := r.enter(t.Context(), "greedy", nil), r.enter(t.Context(), "greedy", nil)
		if first == nil || second == nil {
			t.Fatal("no place")
		}
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		come := func(token string, n int) {
			for range n {
				all.Go(func() {
					leave := r.enter(t.Context(), token, nil)
					if leave == nil {
						t.Error("no place within an hour")
						return
					}
					mu.Lock()
					order = append(order, token)
					mu.Unlock()
					<-time.After(time.Second)
					leave()
					leave() // does no harm
				})
				synctest.Wait()
			}
		}
		come("greedy", 6)
		come("a", 2)
		come("b", 1)
		second()
		<-time.After(time.Second / 2) // So that no two places are given back in the same moment.
		first()
		all.Wait()
		if got := fmt.Sprint(order); got != "[greedy a b greedy a greedy greedy greedy greedy]" {
			t.Errorf("got %s", got)
		}
		if r.free != 2 || len(r.inside)+len(r.queues)+len(r.turn) != 0 {
			t.Errorf("left behind: %+v", r)
		}
	})
}

// TestRoomForEach: one token never has more than its share, and what is left waits
// for others.
func TestRoomForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(4, 3, time.Minute)
		for range 3 {
			if r.enter(t.Context(), "greedy", nil) == nil {
				t.Fatal("no place")
			}
		}
		waits := make(chan func(), 1)
		go func() { waits <- r.enter(t.Context(), "greedy", nil) }()
		synctest.Wait()
		other := r.enter(t.Context(), "other", nil)
		if other == nil {
			t.Error("another token finds no place")
		}
		other()
		started := time.Now()
		if leave := <-waits; leave != nil || time.Since(started) != time.Minute {
			t.Errorf("the greedy one has got more than its share, or waited %s", time.Since(started))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		draining := make(chan struct{})
		close(draining)
		if r.enter(ctx, "greedy", nil) != nil || r.enter(t.Context(), "greedy", draining) != nil || time.Since(started) != time.Minute {
			t.Error("the end of a client or of the server is waited through")
		}
		if len(r.queues)+len(r.turn) != 0 {
			t.Errorf("left behind: %+v", r)
		}
	})
}
