package enqueuetest

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2/proto"
	"github.com/alicebob/miniredis/v2/server"
	"google.golang.org/grpc/test/bufconn"
)

// bubble serves the kit's Redis and its Clerk inside of a bubble. Both were made
// outside: their own servers wait in a way that would stop the bubble's clock.
type bubble struct {
	kit   *kit
	parts sync.WaitGroup
	clerk *http.Server
	wire  *bufconn.Listener // to Clerk
}

// wireBuffer is how many bytes may be under way to Clerk, or back.
const wireBuffer = 64 << 10

func newBubble(k *kit) *bubble {
	b := &bubble{kit: k, wire: bufconn.Listen(wireBuffer)}
	b.clerk = &http.Server{Handler: k.sim, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	b.parts.Go(func() { _ = b.clerk.Serve(b.wire) })
	return b
}

func (b *bubble) close() {
	_ = b.wire.Close() // no more connections
	_ = b.clerk.Close()
	b.parts.Wait()
}

// dialClerk connects to the simulated Clerk.
func (b *bubble) dialClerk(ctx context.Context, _, _ string) (net.Conn, error) {
	return b.wire.DialContext(ctx)
}

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
		raw, err := proto.Read(r)
		if err != nil {
			return
		}
		args, err := proto.ReadStrings(raw)
		if err != nil || len(args) == 0 {
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
