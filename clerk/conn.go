package clerk

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// conn knows whether a byte went out, which is the difference between "not sent"
// and "may have taken effect". net/http's own trace cannot tell: WroteHeaders
// reports what was buffered.
type conn struct {
	net.Conn

	mu      sync.Mutex
	written int64 // bytes that the connection below has taken
	writing int   // writes under way, whose outcome is not known yet
	sealed  bool
}

var errSealed = errors.New("clerk: the connection is sealed")

// Write passes b on, unless the connection is sealed.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.sealed {
		c.mu.Unlock()
		return 0, errSealed
	}
	c.writing++
	c.mu.Unlock()

	n, err := c.Conn.Write(b)

	c.mu.Lock()
	c.writing--
	c.written += int64(n)
	c.mu.Unlock()
	return n, err
}

// mark returns how much was written so far.
func (c *conn) mark() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written
}

// seal lets no further byte out, and reports whether one went out since mark,
// or may be under way. An answer of false is certain.
func (c *conn) seal(mark int64) (wrote bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = true
	return c.written > mark || c.writing > 0
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// counting makes dial return connections that count.
func counting(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c}, nil
	}
}

// tries watches the connections that net/http gives to one call, and holds it to
// one try. net/http may send a request again on its own, on a fresh connection,
// if an idle one turns out to be dead. Its rules for that are sensible (never a
// POST of which a byte was written), but they have changed before, so the
// promise "one try" does not rest on them: the second connection of a call is
// sealed before it can carry a byte.
type tries struct {
	cancel context.CancelFunc // ends the call when a second try begins

	mu    sync.Mutex
	first *conn     // nil until a connection was given
	at    time.Time // when it was given
	mark  int64     // what first had written by then
	lost  bool      // a connection was given that does not count
}

func (t *tries) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: t.gotConn}
}

func (t *tries) gotConn(info httptrace.GotConnInfo) {
	c := countingConn(info.Conn)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.first != nil || t.lost:
		if c != nil {
			c.seal(0)
		}
		t.cancel()
	case c == nil:
		t.lost = true
	default:
		t.first, t.mark, t.at = c, c.mark(), time.Now()
	}
}

// began returns a moment before the first byte of the request left; zero if it
// got no connection that counts.
func (t *tries) began() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// sent reports, after the try has failed, whether a byte of the request may have
// left, and makes sure that none can leave any more.
func (t *tries) sent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		return t.lost
	}
	return t.first.seal(t.mark)
}

// countingConn finds our connection below TLS; nil if there is none. Above TLS
// the count includes records that are not the request, such as the alert that
// closes a connection: that errs on the cautious side.
func countingConn(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	counted, _ := c.(*conn)
	return counted
}
