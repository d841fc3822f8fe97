package enqueuetest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// bubble serves the kit's Redis and its Clerk inside of a bubble. Both were made
// outside: their own servers wait in a way that would stop the bubble's clock.
type bubble struct {
	kit   *kit
	parts sync.WaitGroup
	clerk *http.Server
	conns chan net.Conn
	over  chan struct{}
}

func newBubble(k *kit) *bubble {
	b := &bubble{kit: k, conns: make(chan net.Conn), over: make(chan struct{})}
	b.clerk = &http.Server{Handler: k.sim, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	b.parts.Go(func() { _ = b.clerk.Serve(b) })
	return b
}

func (b *bubble) close() {
	close(b.over)
	_ = b.clerk.Close()
	b.parts.Wait()
}

// dialClerk connects to the simulated Clerk; Accept, Close and Addr are its listener.
func (b *bubble) dialClerk(context.Context, string, string) (net.Conn, error) {
	c, s := net.Pipe()
	select {
	case b.conns <- s:
		return c, nil
	case <-b.over:
		return nil, net.ErrClosed
	}
}

func (b *bubble) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.over:
		return nil, net.ErrClosed
	}
}

func (*bubble) Close() error   { return nil }
func (*bubble) Addr() net.Addr { return &net.UnixAddr{Name: "clerk", Net: "pipe"} }

// dialRedis connects to Redis.
func (b *bubble) dialRedis(context.Context, string, string) (net.Conn, error) {
	c, s := net.Pipe()
	b.parts.Go(func() {
		defer s.Close()
		b.serve(s)
	})
	return c, nil
}

// serve answers the commands of a connection until it ends.
func (b *bubble) serve(conn net.Conn) {
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	peer := server.NewPeer(w)
	for {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		b.kit.tell(time.Now().Round(0))
		switch strings.ToUpper(args[0]) {
		case "SUBSCRIBE", "UNSUBSCRIBE": // asynq listens for cancelations, and nobody cancels.
			for n, channel := range args[1:] {
				peer.WritePushLen(3)
				peer.WriteBulk(strings.ToLower(args[0]))
				peer.WriteBulk(channel)
				peer.WriteInt(n + 1)
			}
		default:
			b.kit.mini.Server().Dispatch(peer, args)
		}
		if r.Buffered() == 0 {
			peer.Flush()
		}
	}
}

// readCommand reads an array of strings, as clients send it.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLen(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLen(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readLen(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, errors.New("not a command")
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
