package listen

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// settled is how long a connection between two requests keeps its place in any
	// case: a busy client's is idle for a moment only.
	settled = time.Second

	// arriving is how long the head of a request may take in any case. A machine that
	// has too much to do looks at it late.
	arriving = 250 * time.Millisecond
)

// chunk is how much of an answer must go out in each span of patience.
const chunk = 64 << 10

// phase says what a connection does.
type phase int

const (
	fresh   phase = iota // Nothing has come yet.
	idle                 // Nothing of the next request has.
	reading              // A part of a request's head has.
	serving              // A handler has the request.
)

// places hands out the places for connections.
type places struct {
	net.Listener
	cfg   *Config
	tally *Tally

	mu    sync.Mutex
	conns map[*conn]struct{}
	peers map[netip.Prefix]int // of those that are limited
	spare int                  // connections beyond the limit
	room  chan struct{}        // told when one of them ends
}

func newPlaces(l net.Listener, cfg *Config, tally *Tally) *places {
	return &places{Listener: l, cfg: cfg, tally: tally, conns: map[*conn]struct{}{}, peers: map[netip.Prefix]int{}, room: make(chan struct{}, 1)}
}

// conn is a connection with a place.
type conn struct {
	net.Conn
	places *places
	peer   netip.Prefix // not valid: not limited
	spare  bool

	// Guarded by places.mu.
	phase phase
	since time.Time
}

// spares is how many connections there may be beyond the limit, for probes.
func (p *places) spares() int { return min(max(p.cfg.Conns/4, 4), 64) }

// Accept returns the next connection for which there is a place. As long as there is
// none for anybody, connections wait in the system's queue.
func (p *places) Accept() (net.Conn, error) {
	for {
		p.wait()
		raw, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, victims := p.take(raw, time.Now())
		for _, v := range victims {
			p.tally.Add("gave_way")
			_ = v.Conn.Close()
		}
		if c != nil {
			return c, nil
		}
		p.tally.Add("connections")
		_ = raw.Close()
	}
}

// wait waits while every connection, also those for probes, is being served. Not for
// ever: the server may end.
func (p *places) wait() {
	p.mu.Lock()
	full := p.spare >= p.spares() && p.oldest(time.Now(), func(*conn) bool { return true }) == nil
	p.mu.Unlock()
	if !full {
		return
	}
	t := time.NewTimer(2 * turnedAway)
	defer t.Stop()
	select {
	case <-p.room:
	case <-t.C:
	}
}

// take gives a connection a place, and returns those that must be closed for it.
// There may be none for it at all.
func (p *places) take(raw net.Conn, now time.Time) (c *conn, victims []*conn) {
	c = &conn{Conn: raw, places: p, peer: p.cfg.limited(raw.RemoteAddr()), since: now}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.peer.IsValid() && p.peers[c.peer] >= max(p.cfg.Conns/2, 1) {
		v := p.oldest(now, func(other *conn) bool { return other.peer == c.peer })
		if v == nil {
			return nil, nil
		}
		victims = append(victims, v)
		p.drop(v)
	}
	if len(p.conns)-p.spare >= p.cfg.Conns {
		v := p.oldest(now, func(other *conn) bool { return !other.spare })
		c.spare = v == nil
		if c.spare && p.spare >= p.spares() {
			v = p.oldest(now, func(other *conn) bool { return other.spare })
			if v == nil {
				return nil, victims
			}
		}
		if v != nil {
			victims = append(victims, v)
			p.drop(v)
		}
	}
	p.conns[c] = struct{}{}
	if c.peer.IsValid() {
		p.peers[c.peer]++
	}
	if c.spare {
		p.spare++
	}
	return c, victims
}

// oldest returns the connection that gives way first: idle ones before those whose
// request is half sent, and never one that is being served, or that has just been.
func (p *places) oldest(now time.Time, among func(*conn) bool) *conn {
	var first *conn
	for c := range p.conns {
		young := arriving
		switch {
		case c.spare:
			young = 0 // For most of what comes over them there is nothing but a refusal.
		case c.phase == idle:
			young = settled
		}
		if c.phase == serving || now.Sub(c.since) < young || !among(c) {
			continue
		}
		if first == nil || c.phase < first.phase || c.phase == first.phase && c.since.Before(first.since) {
			first = c
		}
	}
	return first
}

// drop takes a connection's place away. Doing it again does no harm.
func (p *places) drop(c *conn) {
	if _, there := p.conns[c]; !there {
		return
	}
	delete(p.conns, c)
	if c.spare {
		p.spare--
		select {
		case p.room <- struct{}{}:
		default: // It has been told.
		}
	}
	if c.peer.IsValid() {
		if p.peers[c.peer]--; p.peers[c.peer] == 0 {
			delete(p.peers, c.peer)
		}
	}
}

// changed is told by net/http what a connection does.
func (p *places) changed(nc net.Conn, state http.ConnState) {
	c := placeOf(nc)
	switch state {
	case http.StateActive:
		c.is(reading)
	case http.StateIdle:
		c.is(idle)
	default: // New connections are known, closed ones have told themselves.
	}
}

func (c *conn) is(what phase) {
	c.places.mu.Lock()
	defer c.places.mu.Unlock()
	c.phase, c.since = what, time.Now()
}

// enter notes that a handler has a request of this connection.
func (c *conn) enter() { c.is(serving) }

// Close gives the place back.
func (c *conn) Close() error {
	c.places.mu.Lock()
	c.places.drop(c)
	c.places.mu.Unlock()
	return c.Conn.Close()
}

// Write gives the client time for each part of an answer, however long it is.
func (c *conn) Write(b []byte) (written int, err error) {
	for {
		part := b[:min(len(b), chunk)]
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.places.cfg.Patience)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(part)
		written += n
		if b = b[n:]; err != nil || len(b) == 0 {
			return written, err
		}
	}
}

// placeOf returns the connection below TLS.
func placeOf(nc net.Conn) *conn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, _ := nc.(*conn) // Every one comes from Accept.
	return c
}

type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, placeOf(nc))
}

func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn) // withConn has put it there.
	return c
}
