// Package listen serves HTTP to strangers: one server for both listeners of
// inviteq, the API and the admin pages, so that neither can be kept from its work
// by who only connects to it.
//
// What a client may take, and how long:
//
//   - A TLS handshake, the head of a request, and its body: 10 s each at most. A
//     handler that takes a long list moves the last one on.
//   - 64 KiB of an answer: 10 s.
//   - A connection without a request: a minute. When there is no place for a new
//     connection, the one that has been idle longest gives way, and then the one
//     whose request has been half sent longest.
//   - Connections: a quarter of the files that the process may open, at most 2,048,
//     so that two listeners leave half of them for Redis and Clerk. One peer may
//     have half of a listener's; loopback and named proxies, which speak for many,
//     are not counted.
//   - Beyond that a quarter more, at most 64, are for probes. Everything else that
//     comes over them is answered with 503, not too fast for who tries again at once.
//     When they are taken, too, connections wait in the system's queue.
//
// What is refused is counted, and logged as a sum every ten seconds.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// Config says what to serve. Handler is required.
type Config struct {
	Name    string // Of the listener in the log, such as "api".
	Handler http.Handler
	TLS     *tls.Config // Defaults to plain HTTP.
	Log     zerolog.Logger

	// Full answers requests for which there is no place. Defaults to a plain 503.
	Full http.Handler

	// Probes are the paths that are answered even then. Defaults to none.
	Probes []string

	// Proxies are the networks of proxies that speak for others. They are not
	// limited like one peer, and what they append to X-Forwarded-For is believed:
	// it becomes the RemoteAddr of the request. Defaults to none.
	Proxies []netip.Prefix

	// Drain is called when the context of Serve ends, before requests in flight are
	// waited for. Defaults to nothing.
	Drain func()

	// Grace is how long requests in flight have to end after that. Defaults to 0:
	// they are cut off.
	Grace time.Duration

	// Conns is how many connections there may be. Defaults to a quarter of the files
	// that the process may open, at least 16 and at most 2,048.
	Conns int

	// Patience is how long each phase of a request may take. Defaults to 10 s.
	Patience time.Duration
}

const (
	maxHeader = 16 << 10
	idleFor   = time.Minute
	refusal   = time.Second // to read the rest of a request that was answered before its end

	// turnedAway is how long a request waits for its 503, so that clients that try
	// again at once do not take the time of those that are served.
	turnedAway = 50 * time.Millisecond
)

// Serve answers requests on l until ctx ends, lets those in flight end, and
// returns. It closes l.
func Serve(ctx context.Context, l net.Listener, cfg Config) error {
	if cfg.Handler == nil {
		return errors.New("listen: Handler is required")
	}
	if cfg.Conns == 0 {
		cfg.Conns = min(max(openFiles()/4, 16), 2048)
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Full == nil {
		cfg.Full = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Too many connections.", http.StatusServiceUnavailable)
		})
	}
	s := &server{Config: cfg, tally: NewTally(cfg.Log, cfg.Name+" refused", 0)}
	defer s.tally.Flush()
	places := newPlaces(l, &s.Config, s.tally)
	l = places
	if cfg.TLS != nil {
		l = tls.NewListener(l, cfg.TLS)
	}
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: cfg.Patience, ReadTimeout: cfg.Patience, IdleTimeout: idleFor,
		MaxHeaderBytes: maxHeader, ErrorLog: log.New(errorLog{cfg.Log, cfg.Name, s.tally}, "", 0),
		ConnState: places.changed, ConnContext: withConn,
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-ended:
		}
		if cfg.Drain != nil {
			cfg.Drain()
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Grace)
		defer cancel()
		if h.Shutdown(grace) != nil {
			_ = h.Close() // who is still there has had the time
		}
	}()
	err := h.Serve(l)
	close(ended)
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("%s: %w", cfg.Name, err)
}

// server is what stands before the handler.
type server struct {
	Config
	tally *Tally
}

// ServeHTTP gives the request to the handler if it has a place.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOf(r)
	c.enter()
	defer s.survive()
	out := http.NewResponseController(w)
	body := &watched{ReadCloser: r.Body, read: r.ContentLength == 0, whenRead: func() { _ = out.SetReadDeadline(time.Time{}) }}
	if body.read {
		body.whenRead() // Else the deadline would end the request while the handler works.
	}
	r.Body = body
	defer func() {
		if !body.read {
			// What is left of the body is nobody's business, and must not hold the connection.
			_ = out.SetReadDeadline(time.Now().Add(refusal))
		}
	}()
	r.RemoteAddr = s.client(r)
	if c.spare {
		w.Header().Set("Connection", "close")
		if !slices.Contains(s.Probes, r.URL.Path) {
			s.tally.Add("no_place")
			t := time.NewTimer(turnedAway)
			defer t.Stop()
			select {
			case <-t.C:
			case <-r.Context().Done():
			}
			s.Full.ServeHTTP(w, r)
			return
		}
	}
	s.Handler.ServeHTTP(w, r)
}

// survive logs a panic by its type and place: what it says may quote anything.
func (s *server) survive() {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		s.Log.Error().Str("listener", s.Name).Str("type", fmt.Sprintf("%T", v)).Bytes("stack", debug.Stack()).Msg("a request could not be handled: a bug")
	}
	//nolint:forbidigo // The way to tell net/http to cut the connection off.
	panic(http.ErrAbortHandler)
}

// watched tells when a body has been read to its end.
type watched struct {
	io.ReadCloser
	read     bool
	whenRead func()
}

// Read is that of an io.Reader.
func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !b.read {
		b.read = true
		b.whenRead()
	}
	return n, err
}
