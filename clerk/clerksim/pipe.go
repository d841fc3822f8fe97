package clerksim

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// PipeURL is the base URL for clients that dial by DialContext. The host is an
// address, so that nothing is resolved.
const PipeURL = "http://127.0.0.1/v1"

// errClosed is what a listener says after it was closed.
var errClosed = &net.OpError{Op: "accept", Net: "pipe", Err: net.ErrClosed}

// pipe is an in-process network: a listener whose connections are net.Pipe, and
// an HTTP server on it. Both start with the first connection.
type pipe struct {
	sim   *Sim
	start sync.Once
	conns chan net.Conn
	http  *http.Server
	wait  sync.WaitGroup

	mu   sync.Mutex
	down bool
}

func (p *pipe) init(s *Sim) {
	p.sim = s
	p.conns = make(chan net.Conn)
	p.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections are the point
	}
}

// DialContext connects to the Sim in this process, whatever the network and
// address: set it as the DialContext of an http.Transport. It fails like a
// refused connection after Close and while SetReachable(false) holds.
func (s *Sim) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	p := &s.pipe
	refused := &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	if down {
		return nil, refused
	}
	select {
	case <-s.done:
		return nil, refused
	default:
	}
	p.start.Do(func() {
		p.wait.Go(func() { _ = p.http.Serve((*pipeListener)(p)) }) // it ends by Close
	})
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-s.done:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
	}
}

// Transport returns a new transport that dials the Sim in this process. Its idle
// connections end with CloseIdleConnections or with the Sim's Close.
func (s *Sim) Transport() *http.Transport {
	return &http.Transport{DialContext: s.DialContext, MaxIdleConnsPerHost: 64}
}

// SetReachable(false) takes the Sim off the in-process network: new connections
// are refused; those that are open stay. SetReachable(true) puts it back.
func (s *Sim) SetReachable(reachable bool) {
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	s.pipe.down = !reachable
}

// Serve answers requests on l, a TCP listener for instance, until ctx is done or
// the Sim is closed; then it drops what is in flight and returns nil. It closes l.
func (s *Sim) Serve(ctx context.Context, l net.Listener) error { return s.ServeHandler(ctx, l, s) }

// ServeHandler does the same with a handler that stands before the Sim.
func (s *Sim) ServeHandler(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	ended := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.done:
		case <-ended:
		}
		_ = server.Close() // what Close could not close is closed already
	})
	err := server.Serve(l)
	close(ended)
	wait.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (p *pipe) shut() {
	_ = p.http.Close() // closing pipes does not fail
	p.wait.Wait()
	_ = p.http.Close() // a connection may have been accepted after the first
}

// pipeListener is the listening side of a pipe.
type pipeListener pipe

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.sim.done:
		return nil, errClosed
	}
}

func (l *pipeListener) Close() error { return nil }

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "clerksim" }
