package clerk

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const okCreate = `{"id":"inv_1","email_address":"a@b.example"}`

var ada = Params{EmailAddress: "a@b.example"}

// peer is a hand-made server at the other end of net.Pipe: it counts requests
// and lets a test decide, byte by byte, what becomes of each.
type peer struct {
	// serve handles request n (from 1, over all connections) on connection c. It
	// reports whether the connection is to be used again.
	serve func(n int, c net.Conn, r *http.Request) (again bool)
	// wrap, if set, wraps the client's end of connection n (from 1).
	wrap func(n int, c net.Conn) net.Conn

	mu       sync.Mutex
	requests int
	conns    int
}

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.mu.Lock()
	p.conns++
	n := p.conns
	p.mu.Unlock()
	go func() {
		defer theirs.Close()
		in := bufio.NewReader(theirs)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			p.mu.Lock()
			p.requests++
			n := p.requests
			p.mu.Unlock()
			if !p.serve(n, theirs, r) {
				return
			}
		}
	}()
	if p.wrap != nil {
		return p.wrap(n, ours), nil
	}
	return ours, nil
}

func (p *peer) counts() (requests, conns int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests, p.conns
}

func (p *peer) client(t *testing.T) *Client {
	return clientOf(t, "http://127.0.0.1/v1", func(cfg *Config) { cfg.DialContext = p.dial })
}

func reply(c net.Conn, body string) bool {
	_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

// failingConn fails the writes of everything after the first request, as a
// connection does that was reset while it was idle.
type failingConn struct {
	net.Conn
	mu     sync.Mutex
	writes int
}

func (c *failingConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writes++; c.writes > 1 {
		return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
	}
	return c.Conn.Write(b)
}

// TestNeverSentTwice has a kept-alive connection die in the three ways it can,
// and a naive client beside ours to show that the trap is real.
func TestNeverSentTwice(t *testing.T) {
	dies := func(n int, c net.Conn, _ *http.Request) bool { return n != 2 && reply(c, okCreate) }
	lives := func(_ int, c net.Conn, _ *http.Request) bool { return reply(c, okCreate) }
	firstFails := func(n int, c net.Conn) net.Conn {
		if n == 1 {
			return &failingConn{Conn: c}
		}
		return c
	}
	type call = func(context.Context, *Client) error
	create := func(ctx context.Context, c *Client) error { _, err := c.Create(ctx, ada); return err }
	list := func(ctx context.Context, c *Client) error { _, err := c.List(ctx, ListOptions{}); return err }

	for _, tc := range []struct {
		name     string
		peer     *peer
		second   call
		kind     Kind
		requests int // that arrived, over both calls
	}{
		{"POST, closed on receipt", &peer{serve: dies}, create, KindUnknown, 2},
		{"GET, closed on receipt", &peer{serve: dies}, list, KindUnavailable, 2},
		{"POST, reset while idle", &peer{serve: lives, wrap: firstFails}, create, KindNotSent, 1},
		{"GET, reset while idle", &peer{serve: lives, wrap: firstFails}, list, KindNotSent, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tc.peer.client(t)
				if err := create(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the connection is idle now
				if err := tc.second(t.Context(), c); !errors.Is(err, tc.kind) {
					t.Errorf("second call: %v, want %v", err, tc.kind)
				}
				synctest.Wait()
				if n, _ := tc.peer.counts(); n != tc.requests {
					t.Errorf("%d requests arrived, want %d", n, tc.requests)
				}
				// A call after that is none the worse for it.
				if err := create(t.Context(), c); err != nil {
					t.Errorf("third call: %v", err)
				}
				c.Close()
			})
		})
	}

	t.Run("a naive client sends twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &peer{serve: dies}
			transport := &http.Transport{DialContext: p.dial}
			defer transport.CloseIdleConnections()
			for range 2 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", bytes.NewReader([]byte("{}")))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Idempotency-Key", "x")
				resp, err := (&http.Client{Transport: transport}).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				synctest.Wait()
			}
			if n, _ := p.counts(); n != 3 {
				t.Errorf("%d requests arrived; if net/http does not resend here, the tests above prove nothing", n)
			}
		})
	})
}

// TestIdleConnectionIsReused makes sure that the tests above had a connection to reuse.
func TestIdleConnectionIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{serve: func(_ int, c net.Conn, _ *http.Request) bool { return reply(c, okCreate) }}
		c := p.client(t)
		for range 3 {
			if _, err := c.Create(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if requests, conns := p.counts(); requests != 3 || conns != 1 {
			t.Errorf("%d requests over %d connections, want 3 over 1", requests, conns)
		}
		c.Close()
	})
}

// TestSecondTryIsSealed holds the guard itself, whatever net/http does: a call
// that is given a second connection gets no byte through it.
func TestSecondTryIsSealed(t *testing.T) {
	canceled := false
	try := &tries{cancel: func() { canceled = true }}
	a, _ := net.Pipe()
	b, _ := net.Pipe()
	first, second := &conn{Conn: a}, &conn{Conn: b}
	try.trace().GotConn(connInfo(first))
	if canceled || try.sent() {
		t.Error("the first connection is taken for a second")
	}
	try.trace().GotConn(connInfo(tls.Client(second, &tls.Config{MinVersion: tls.VersionTLS12}))) // found below TLS, too
	if n, err := second.Write([]byte("POST")); n != 0 || !errors.Is(err, errSealed) || !canceled {
		t.Errorf("wrote %d bytes, error %v, canceled %v", n, err, canceled)
	}
	if n, err := first.Write([]byte("POST")); n != 0 || !errors.Is(err, errSealed) {
		t.Errorf("after the verdict not sent, %d bytes were written, error %v", n, err)
	}
	strange := &tries{cancel: func() {}}
	strange.trace().GotConn(connInfo(a))
	if !strange.sent() {
		t.Error("a connection that does not count must be taken for one that was written to")
	}
}

func TestTransportFailures(t *testing.T) {
	lost := outcome{KindUnknown, KindUnavailable, KindUnavailable}
	type serve = func(int, net.Conn, *http.Request) bool
	raw := func(s string) serve {
		return func(_ int, c net.Conn, _ *http.Request) bool { _, _ = io.WriteString(c, s); return false }
	}
	deaf := func(_ int, c net.Conn) net.Conn { return deafConn{c} }
	for _, tc := range []struct {
		name  string
		serve serve
		wrap  func(int, net.Conn) net.Conn
		want  outcome
		cause Cause
		took  time.Duration
	}{
		{"closed without an answer", raw(""), nil, lost, CauseEOF, 0},
		{"closed in the status line", raw("HTTP/1.1 20"), nil, lost, CauseConn, 0},
		{"closed in the headers", raw("HTTP/1.1 200 OK\r\nContent-Le"), nil, lost, CauseConn, 0},
		{"closed in the body", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), nil, lost, CauseTruncated, 0},
		{"closed in a chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"), nil, lost, CauseTruncated, 0},
		{"not HTTP", raw("SSH-2.0-OpenSSH\r\n"), nil, lost, CauseConn, 0},
		{"endless headers", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeader+4096) + "\r\n\r\n"), nil, lost, CauseConn, 0},
		{"a 4xx that breaks off is still a 4xx", raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{"), nil, same(KindRefused), CauseTruncated, 0},
		{"silence", hang(""), nil, lost, CauseTimeout, DefaultTimeout},
		{"silence in the body", hang("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), nil, lost, CauseTruncated, DefaultTimeout},
		{"nobody reads", nil, deaf, same(KindNotSent), CauseTimeout, DefaultTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for op, call := range map[Op]func(context.Context, *Client) error{
				OpCreate: func(ctx context.Context, c *Client) error { _, err := c.Create(ctx, ada); return err },
				OpRevoke: func(ctx context.Context, c *Client) error { _, err := c.Revoke(ctx, "inv_1"); return err },
				OpList:   func(ctx context.Context, c *Client) error { _, err := c.List(ctx, ListOptions{}); return err },
			} {
				synctest.Test(t, func(t *testing.T) {
					p := &peer{serve: tc.serve, wrap: tc.wrap}
					c := p.client(t)
					began := time.Now()
					err := call(t.Context(), c)
					e, ok := errors.AsType[*Error](err)
					if !ok {
						t.Fatalf("%v: error %v", op, err)
					}
					if e.Kind != tc.want.of(op) || e.Cause != tc.cause {
						t.Errorf("%v: got %v %q, want %v %q", op, e.Kind, e.Cause, tc.want.of(op), tc.cause)
					}
					if took := time.Since(began); took != tc.took {
						t.Errorf("%v: took %v, want %v", op, took, tc.took)
					}
					if isTimeout := errors.Is(err, context.DeadlineExceeded); isTimeout != (tc.took > 0) {
						t.Errorf("%v: errors.Is(DeadlineExceeded) = %v", op, isTimeout)
					}
					if n, _ := p.counts(); n > 1 {
						t.Errorf("%v: %d requests arrived", op, n)
					}
					c.Close()
				})
			}
		})
	}
}

// hang says what it has to say, and is silent until the client gives up.
func hang(text string) func(int, net.Conn, *http.Request) bool {
	return func(_ int, c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
		return false
	}
}

// deafConn takes no byte, and gives up when it is closed.
type deafConn struct{ net.Conn }

func (c deafConn) Write([]byte) (int, error) {
	_, err := c.Conn.Read(make([]byte, 1)) // blocks until the pipe is closed
	return 0, err
}

func TestContextEnds(t *testing.T) {
	t.Run("before the call", func(t *testing.T) {
		c := newClient(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Create(ctx, ada); !errors.Is(err, KindNotSent) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while dialling", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := clientOf(t, "http://127.0.0.1/v1", func(cfg *Config) {
				cfg.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.Create(ctx, ada); !errors.Is(err, KindNotSent) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("after the request left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &peer{serve: hang("")}
			c := p.client(t)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := c.Create(ctx, ada); !errors.Is(err, KindUnknown) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestNotSent(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	untrusted := httptest.NewUnstartedServer(answerWith(200, "application/json", okCreate))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	plain := httptest.NewServer(answerWith(200, "application/json", okCreate))
	t.Cleanup(plain.Close)
	old := httptest.NewUnstartedServer(answerWith(200, "application/json", okCreate))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.StartTLS()
	t.Cleanup(old.Close)

	for _, tc := range []struct {
		name, url string
		roots     *x509.CertPool
		cause     Cause
	}{
		{"connection refused", closed.URL, nil, CauseDial},
		{"unknown authority", untrusted.URL, nil, CauseTLS},
		{"TLS to a plain server", strings.Replace(plain.URL, "http:", "https:", 1), nil, CauseTLS},
		{"TLS 1.1", old.URL, pool(old), CauseTLS},
	} {
		c := clientOf(t, tc.url, func(cfg *Config) { cfg.RootCAs = tc.roots })
		_, err := c.Create(t.Context(), ada)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != KindNotSent || e.Cause != tc.cause {
			t.Errorf("%s: got %v, want %v (%v)", tc.name, err, KindNotSent, tc.cause)
		}
	}

	dns := clientOf(t, "http://127.0.0.1/v1", func(cfg *Config) {
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}
		}
	})
	if _, err := dns.Create(t.Context(), ada); !errors.Is(err, KindNotSent) || !strings.Contains(err.Error(), "(dns)") {
		t.Errorf("no such host: %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(answerWith(200, "application/json", okCreate))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := clientOf(t, s.URL+"/v1", func(cfg *Config) { cfg.RootCAs = pool(s) })
	if _, err := c.Create(t.Context(), ada); err != nil {
		t.Error(err)
	}

	dropping := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	t.Cleanup(dropping.Close)
	c = clientOf(t, dropping.URL+"/v1", func(cfg *Config) { cfg.RootCAs = pool(dropping) })
	if _, err := c.Create(t.Context(), ada); !errors.Is(err, KindUnknown) {
		t.Errorf("dropped after the request: %v, want %v", err, KindUnknown)
	}
}

func pool(s *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for status, want := range map[int]outcome{
		301: same(KindRedirected), 307: same(KindRedirected), 308: same(KindRedirected),
		302: {KindUnknown, KindUnavailable, KindUnavailable}, 303: {KindUnknown, KindUnavailable, KindUnavailable},
	} {
		for _, location := range []string{elsewhere.URL, "", "http://[::1"} {
			c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(status)
			})
			if _, err := c.Create(t.Context(), ada); !errors.Is(err, want.mails) {
				t.Errorf("create, %d to %q: %v, want %v", status, location, err, want.mails)
			}
			if _, err := c.List(t.Context(), ListOptions{}); !errors.Is(err, want.read) {
				t.Errorf("list, %d to %q: %v, want %v", status, location, err, want.read)
			}
		}
	}
}

// TestAnswerThatIsNotJSON is what the SDK alone would lose.
func TestAnswerThatIsNotJSON(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "36")
		w.Header().Set("Clerk-Trace-Id", "0123456789abcdef")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "Too Many Requests for a@b.example")
	})
	before := time.Now()
	_, err := c.Create(t.Context(), ada)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	if e.Kind != KindOverload || e.Status != 429 || e.RetryAfter != 36*time.Second || !e.HasRetryAfter || e.TraceID != "0123456789abcdef" {
		t.Errorf("got %#v", e)
	}
	if e.RetryAt.Before(before.Add(36*time.Second)) || e.RetryAt.After(time.Now().Add(36*time.Second)) {
		t.Errorf("RetryAt is %v from now", time.Until(e.RetryAt))
	}
}

func TestTraceID(t *testing.T) {
	for _, tc := range []struct {
		header       http.Header
		inBody, want string
	}{
		{http.Header{"Clerk-Trace-Id": {"aa"}, "X-Clerk-Trace-Id": {"bb"}}, "cc", "aa"},
		{http.Header{"X-Clerk-Trace-Id": {"bb"}}, "cc", "bb"},
		{http.Header{"X-Clerk-Trace-Id": {"a@b.example"}}, "cc", "cc"},
		{nil, "", ""},
	} {
		if got := traceID(tc.header, tc.inBody); got != tc.want {
			t.Errorf("%v, %q in the body: %q, want %q", tc.header, tc.inBody, got, tc.want)
		}
	}
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{serve: func(n int, c net.Conn, _ *http.Request) bool {
			if n == 1 {
				<-time.After(200 * time.Millisecond)
			}
			return n == 1 && reply(c, okCreate)
		}}
		var seen []Call
		c := clientOf(t, "http://127.0.0.1/v1", func(cfg *Config) {
			cfg.DialContext = p.dial
			cfg.Observe = func(call Call) { seen = append(seen, call) }
		})
		_, _ = c.Create(t.Context(), ada)
		_, _ = c.List(t.Context(), ListOptions{})
		c.Close()
		if len(seen) != 2 || seen[0].Op != OpCreate || seen[0].Err != nil || seen[0].Took != 200*time.Millisecond ||
			seen[1].Op != OpList || seen[1].Err == nil || seen[1].Err.Kind != KindUnavailable {
			t.Errorf("observed %+v", seen)
		}
	})
}

func connInfo(c net.Conn) httptrace.GotConnInfo { return httptrace.GotConnInfo{Conn: c} }
