// Package access is what both listeners, the HTTP API and the admin pages, have in
// common about who may come in: the tokens, with their role and scope, what keeps them
// from being guessed, and the log of what was done with them. It knows nothing of HTTP.
package access

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Guesses counts wrong tokens by the address that they came from, so that whoever
// tries many is told to wait. The zero value is ready.
//
// It is only asked about tokens that are wrong: the right one works however many
// wrong ones came before it, also from behind the same proxy. What keeps a token
// from being guessed is its length; this bounds what trying costs, and what it
// leaves in logs.
//
// Memory and time are the same whatever is tried: addresses share a fixed number of
// places, by a hash that nobody outside knows.
type Guesses struct {
	mu    sync.Mutex
	seed  maphash.Seed
	until [guessPlaces]time.Time // when the place has forgotten everything
}

const (
	guessPlaces = 4096
	guessBurst  = 10
	guessEvery  = 6 * time.Second // one more
)

// Wrong notes a wrong token from an IP address. It returns 0, or how long to wait
// before the next one: ten at once and ten a minute are free.
func (g *Guesses) Wrong(remote string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	until := g.place(remote)
	if until.Before(now) {
		*until = now
	}
	if wait := until.Sub(now) - (guessBurst-1)*guessEvery; wait > 0 {
		return wait
	}
	*until = until.Add(guessEvery)
	return 0
}

// Right takes one note back: the token has turned out to be good.
func (g *Guesses) Right(remote string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	until := g.place(remote)
	*until = until.Add(-guessEvery)
}

func (g *Guesses) place(remote string) *time.Time {
	// An IPv6 host has a whole network of addresses to try from.
	if ip, err := netip.ParseAddr(remote); err == nil && ip.Is6() && !ip.Is4In6() {
		if network, err := ip.WithZone("").Prefix(64); err == nil {
			remote = network.String()
		}
	}
	if g.seed == (maphash.Seed{}) {
		g.seed = maphash.MakeSeed()
	}
	return &g.until[maphash.String(g.seed, remote)%guessPlaces]
}
