package redistest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and a server, and does what networks do. It also
// plays a name that moves, as that of a managed Redis does in a failover: the
// address stays, and leads elsewhere.
type Proxy struct {
	Addr string

	mu      sync.Mutex
	to      string
	latency time.Duration // before each packet, on both ways
	rate    int           // bytes a second on each way; 0: no limit
	deaf    bool          // a black hole: what is sent arrives nowhere, and nobody is told
	open    map[net.Conn]bool
}

// StartProxy listens until the test ends.
func StartProxy(tb testing.TB, to string) *Proxy {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), to: to, open: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		p.Set(func(p *Proxy) { p.deaf = false })
		p.Reset()
		serving.Wait()
	})
	return p
}

// Set changes what the proxy does from now on.
func (p *Proxy) Set(change func(*Proxy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// Move lets the address lead elsewhere, for new connections.
func (p *Proxy) Move(to string) { p.Set(func(p *Proxy) { p.to = to }) }

// Slow delays each packet, and limits the bytes a second (0: no limit).
func (p *Proxy) Slow(latency time.Duration, rate int) {
	p.Set(func(p *Proxy) { p.latency, p.rate = latency, rate })
}

// Deafen makes it a black hole, or hear again.
func (p *Proxy) Deafen(deaf bool) { p.Set(func(p *Proxy) { p.deaf = deaf }) }

// Reset ends every connection with a reset.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

func (p *Proxy) keep(c net.Conn, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is {
		p.open[c] = true
	} else {
		delete(p.open, c)
	}
}

func (p *Proxy) serve(c net.Conn) {
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	p.keep(c, true)
	defer p.keep(c, false)
	defer c.Close()
	s, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	p.keep(s, true)
	defer p.keep(s, false)
	defer s.Close()
	var ways sync.WaitGroup
	ways.Go(func() { p.pass(s, c) })
	ways.Go(func() { p.pass(c, s) })
	ways.Wait()
}

// pass carries bytes until an end is closed, and closes the other one.
func (p *Proxy) pass(dst io.WriteCloser, src io.ReadCloser) {
	defer dst.Close()
	defer src.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := src.Read(b)
		p.mu.Lock()
		latency, rate, deaf := p.latency, p.rate, p.deaf
		p.mu.Unlock()
		if rate > 0 {
			latency += time.Duration(n) * time.Second / time.Duration(rate)
		}
		if latency > 0 {
			<-time.After(latency)
		}
		if n > 0 && !deaf {
			if _, err := dst.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
