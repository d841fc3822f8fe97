package listen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// patience of the tests' servers.
const patience = 600 * time.Millisecond

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// strangers gives each connection in its turn a peer of the test's; without any it
// leaves them as they are.
type strangers struct {
	net.Listener
	peers []string
	asked *atomic.Int64
}

type strange struct {
	net.Conn
	addr net.Addr
}

func (c strange) RemoteAddr() net.Addr { return c.addr }

func (l strangers) Accept() (net.Conn, error) {
	n := int(l.asked.Add(1))
	c, err := l.Listener.Accept()
	if err != nil || len(l.peers) == 0 {
		return c, err
	}
	return strange{c, &net.TCPAddr{IP: net.ParseIP(l.peers[n%len(l.peers)]), Port: 4711}}, nil
}

// stage is a server on loopback.
type stage struct {
	*testing.T
	addr string
	log  *safeBuffer
	stop func()

	asked atomic.Int64 // How often the server has asked for a connection.
}

// wantAccepted waits until so many connections have their places.
func (s *stage) wantAccepted(n int64) {
	s.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); s.asked.Load() <= n; <-tick.C {
		if time.Now().After(deadline) {
			s.Fatalf("%d connections have their places, want %d", s.asked.Load()-1, n)
		}
	}
}

func newStage(t *testing.T, h http.HandlerFunc, change ...func(*Config)) *stage {
	t.Helper()
	return newStageFor(t, nil, h, change...)
}

func newStageFor(t *testing.T, peers []string, h http.HandlerFunc, change ...func(*Config)) *stage {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, addr: l.Addr().String(), log: &safeBuffer{}}
	cfg := Config{Name: "test", Handler: h, Log: zerolog.New(s.log), Patience: patience, Conns: 8, Probes: []string{"/healthz"}}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := Serve(ctx, strangers{l, peers, &s.asked}, cfg); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	s.stop = func() { cancel(); served.Wait() }
	t.Cleanup(s.stop)
	return s
}

// dial opens a connection and sends what is given.
func (s *stage) dial(send string) net.Conn {
	s.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, send); err != nil {
		s.Fatal(err)
	}
	return c
}

// get asks on a connection of its own, within two seconds.
func (s *stage) get(path string) (status int, body string) {
	s.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	res, err := client.Get("http://" + s.addr + path)
	if err != nil {
		s.Errorf("GET %s: %v", path, err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.Errorf("GET %s: %v", path, err)
	}
	return res.StatusCode, string(b)
}

func (s *stage) wantGood(path string) {
	s.Helper()
	if status, body := s.get(path); status != http.StatusOK {
		s.Errorf("%s: got %d %s", path, status, body)
	}
}

// closed reports whether the server has closed the connection within d.
func closed(c net.Conn, d time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(d))
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// open reports whether the connection answers a request.
func open(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func fine(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "fine") }

func (s *stage) wantsLog(words ...string) {
	s.Helper()
	s.stop()
	for _, w := range words {
		if !strings.Contains(s.log.String(), w) {
			s.Errorf("%s is missing in the log:\n%s", w, s.log)
		}
	}
}

const halfSent = "POST / HTTP/1.1\r\nHost: x\r\nContent-Le"

// TestHalfSentRequests neither keep others out nor stay.
func TestHalfSentRequests(t *testing.T) {
	s := newStage(t, fine)
	var held []net.Conn
	for range 30 {
		held = append(held, s.dial(halfSent))
	}
	s.wantGood("/healthz")
	<-time.After(arriving + 50*time.Millisecond)
	s.wantGood("/")
	s.wantGood("/healthz")
	for n, c := range held {
		if !closed(c, 3*patience) {
			t.Errorf("the half-sent request %d is still there", n)
		}
	}
	s.wantsLog(`"gave_way":`, "test refused")
	if lines := strings.Count(s.log.String(), "\n"); lines > 2 {
		t.Errorf("%d lines, want a sum:\n%s", lines, s.log)
	}
}

// TestIdleConnectionsGiveWay, the oldest first, but not those of busy clients.
func TestIdleConnectionsGiveWay(t *testing.T) {
	s := newStage(t, fine, func(c *Config) { c.Patience = 10 * time.Second })
	var held []net.Conn
	for range 8 { // Together they have every place.
		held = append(held, s.dial(""))
	}
	s.wantAccepted(8)
	<-time.After(arriving + 50*time.Millisecond)
	for _, c := range held[1:] {
		if !open(c) { // And is idle again, for a moment.
			t.Fatal("no answer")
		}
	}
	s.wantGood("/")
	if open(held[0]) {
		t.Error("the one that has sent nothing has not given way")
	}
	late := s.dial("")
	for !open(late) { // The server is about to learn that the last one has left.
		if late = s.dial(""); t.Context().Err() != nil {
			t.Fatal("no answer")
		}
	}
	s.wantGood("/healthz")
	if status, _ := s.get("/"); status != http.StatusServiceUnavailable {
		t.Errorf("while all are busy: got %d", status)
	}
	for n, c := range held[1:] {
		if !open(c) {
			t.Errorf("a busy one has given way: %d", n)
		}
	}
	<-time.After(settled + 100*time.Millisecond)
	s.wantGood("/")
	if open(late) {
		t.Error("the one that has been idle longest has not given way")
	}
	if !open(held[7]) {
		t.Error("the one that was used last has given way")
	}
}

// TestHalfSentBodies are cut off, whoever reads them.
func TestHalfSentBodies(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"read": func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err == nil {
				t.Error("half a body was read as if it were all")
			}
			w.WriteHeader(http.StatusRequestTimeout)
		},
		"not read": fine,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, h)
			c := s.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
			if !closed(c, patience+3*time.Second) {
				t.Error("the connection is still there")
			}
		})
	}
}

// TestHandlersMayTakeLonger than a client may, once they have all of a request.
func TestHandlersMayTakeLonger(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		wait := time.NewTimer(2 * patience)
		select {
		case <-wait.C:
		case <-r.Context().Done():
			t.Error("the request has ended")
		}
		fmt.Fprint(w, "late")
	})
	s.wantGood("/")
	c := s.dial("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
	if b, _ := io.ReadAll(c); !strings.HasSuffix(string(b), "late") {
		t.Errorf("got %s", b)
	}
}

// TestStreams live as long as their reader reads.
func TestStreams(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, _ *http.Request) {
		tick := time.NewTicker(patience / 4)
		defer tick.Stop()
		for range 12 {
			<-tick.C
			fmt.Fprint(w, "event\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	if _, body := s.get("/"); strings.Count(body, "event") != 12 {
		t.Errorf("got %q", body)
	}
}

// TestReadersThatDoNotRead are left.
func TestReadersThatDoNotRead(t *testing.T) {
	ended := make(chan error, 1)
	s := newStage(t, func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		ended <- err
	})
	s.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("64 MiB went out to nobody")
		}
	case <-time.After(10 * time.Second):
		t.Error("the handler still writes")
	}
}

// TestOnePeer has half of the places, unless it may stand for many.
func TestOnePeer(t *testing.T) {
	proxies, err := ParseProxies("198.51.100.0/24")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		peers []string
		want  int // connections that get an answer
	}{
		{"one address", []string{"192.0.2.1"}, 4},
		{"an IPv6 network", []string{"2001:db8::1", "2001:db8::2"}, 4},
		{"two addresses", []string{"192.0.2.1", "192.0.2.2"}, 8},
		{"loopback", nil, 8},
		{"a named proxy", []string{"198.51.100.7"}, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStageFor(t, c.peers, fine, func(cfg *Config) { cfg.Proxies, cfg.Patience = proxies, 5*time.Second })
			var held []net.Conn
			for range 8 {
				held = append(held, s.dial(""))
			}
			s.wantAccepted(8)
			got := 0
			for _, h := range held {
				if open(h) {
					got++
				}
			}
			if got != c.want {
				t.Errorf("%d of 8 connections are open, want %d", got, c.want)
			}
		})
	}
}

// TestProbesHaveRoom when every place is being served; others are told at once.
func TestProbesHaveRoom(t *testing.T) {
	release := make(chan struct{})
	var busy sync.WaitGroup
	busy.Add(8)
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/work" {
			busy.Done()
			<-release
		}
		fmt.Fprintln(w, "fine")
	})
	for range 8 {
		s.dial("GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	busy.Wait()
	for range 30 {
		s.dial(halfSent)
	}
	s.wantGood("/healthz")
	if b, _ := io.ReadAll(s.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); !strings.HasPrefix(string(b), "HTTP/1.1 503 ") {
		t.Errorf("anything else: %s", b)
	}
	close(release)
	s.wantsLog(`"no_place":1`)
}

// TestHandshakes that come to nothing are counted.
func TestHandshakes(t *testing.T) {
	cert, pool := certificate(t)
	s := newStage(t, fine, func(c *Config) { c.TLS = cert })
	for range 40 {
		c := s.dial("\x16\x03\x01\x00\x05hello\r\n\r\n")
		if !closed(c, 5*time.Second) {
			t.Fatal("the connection is still there")
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: pool}, Timeout: 5 * time.Second}
	res, err := client.Get("https://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	client.CloseIdleConnections()
	s.wantsLog(`"tls_handshakes":40`)
	if lines := strings.Count(s.log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines:\n%s", lines, s.log)
	}
}

// TestBugs are logged by their type and place, and never by what they say.
func TestBugs(t *testing.T) {
	s := newStage(t, func(http.ResponseWriter, *http.Request) { panic(errors.New("canary@example.com")) })
	c := s.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if !closed(c, 5*time.Second) {
		t.Error("the connection is still there")
	}
	s.wantsLog("errorString", "serve_test.go")
	if strings.Contains(s.log.String(), "canary") {
		t.Errorf("the log quotes it: %s", s.log)
	}
}

// TestEnd drains: who is being served is answered, as long as the grace lasts.
func TestEnd(t *testing.T) {
	entered, drained := make(chan struct{}), make(chan struct{})
	s := newStage(t, func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-drained
		fmt.Fprint(w, "last")
	}, func(c *Config) { c.Drain, c.Grace = func() { close(drained) }, 5*time.Second })
	c := s.dial("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	<-entered
	s.stop()
	if b, _ := io.ReadAll(c); !strings.HasSuffix(string(b), "last") {
		t.Errorf("got %q", b)
	}
	if err := Serve(t.Context(), nil, Config{}); err == nil {
		t.Error("a server without a handler")
	}
}
