package api

import (
	"context"
	"slices"
	"sync"
	"time"
)

// room lets a number of requests in at a time, and never more than each of one
// token. Those that wait are let in token by token, so that a token with one request
// does not wait behind the thousand of another.
type room struct {
	each int
	wait time.Duration // how long somebody waits for a place

	mu     sync.Mutex
	free   int
	inside map[string]int
	queues map[string][]chan struct{} // of those that wait, the first one first
	turn   []string                   // tokens with a queue, in the order of their turns
}

func newRoom(size, each int, wait time.Duration) *room {
	return &room{each: each, wait: wait, free: size, inside: map[string]int{}, queues: map[string][]chan struct{}{}}
}

// enter waits for a place no longer than the context or draining last. The function
// gives the place back, and does no harm twice; it is nil if there was no place.
func (r *room) enter(ctx context.Context, token string, draining <-chan struct{}) (leave func()) {
	leave = sync.OnceFunc(func() { r.leave(token) })
	r.mu.Lock()
	if r.free > 0 && r.inside[token] < r.each && len(r.queues[token]) == 0 {
		r.letIn(token)
		r.mu.Unlock()
		return leave
	}
	if r.wait <= 0 {
		r.mu.Unlock()
		return nil
	}
	called := make(chan struct{})
	if len(r.queues[token]) == 0 {
		r.turn = append(r.turn, token)
	}
	r.queues[token] = append(r.queues[token], called)
	r.mu.Unlock()

	t := time.NewTimer(r.wait)
	defer t.Stop()
	select {
	case <-called:
		return leave
	case <-t.C:
	case <-ctx.Done():
	case <-draining:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopWaiting(token, called) {
		return nil
	}
	return leave // It was called in the same moment.
}

func (r *room) letIn(token string) {
	r.free--
	r.inside[token]++
}

// leave gives a place back, and to whoever's turn it is.
func (r *room) leave(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free++
	if r.inside[token]--; r.inside[token] == 0 {
		delete(r.inside, token)
	}
	for r.free > 0 {
		n := slices.IndexFunc(r.turn, func(token string) bool { return r.inside[token] < r.each })
		if n < 0 {
			return
		}
		next := r.turn[n]
		called := r.queues[next][0]
		r.turn = append(slices.Delete(r.turn, n, n+1), next) // Its next one comes after one of each other token.
		r.stopWaiting(next, called)
		r.letIn(next)
		close(called)
	}
}

// stopWaiting takes somebody out of the queue, and says whether they were there.
func (r *room) stopWaiting(token string, called chan struct{}) bool {
	n := slices.Index(r.queues[token], called)
	if n < 0 {
		return false
	}
	if r.queues[token] = slices.Delete(r.queues[token], n, n+1); len(r.queues[token]) == 0 {
		delete(r.queues, token)
		r.turn = slices.DeleteFunc(r.turn, func(t string) bool { return t == token })
	}
	return true
}
