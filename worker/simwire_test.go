package worker

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// wire is the network of one process in a simulated world: what it says to
// Redis and to Clerk passes here. Cutting it is how a process dies: nothing that
// its goroutines do afterwards reaches the world, and none of them can tell.
type wire struct {
	mu    sync.Mutex
	dice  *rand.Rand
	dead  bool
	fatal int // awaits until it is cut; 0: not
	died  func()
	lines map[*line]struct{}
	hurts *hurts
}

// hurts says how often something goes wrong on a wire, and counts it. All wires
// of a world share it, and phase 2 clears it.
type hurts struct {
	mu sync.Mutex

	latency time.Duration // of a command, at most
	drop    float64       // the connection breaks before the command arrives
	mute    float64       // the command is executed, the reply lost
	late    float64       // the command arrives long after its sender has given up
	stall   float64       // the reply comes late, perhaps too late
	refuse  bool          // new connections are refused, old ones break
	hush    string        // a command with this in it never arrives, and nobody is told

	lost map[string]int // what happened, by name
}

func (h *hurts) count(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		h.lost = map[string]int{}
	}
	h.lost[name]++
}

func (h *hurts) rates() (latency time.Duration, drop, mute, late, stall float64, refuse bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latency, h.drop, h.mute, h.late, h.stall, h.refuse
}

func (h *hurts) swallows(b []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hush != "" && bytes.Contains(b, []byte(h.hush))
}

func (h *hurts) set(f func(*hurts)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

// errCut is what a connection says that the simulation has broken.
var errCut = &net.OpError{Op: "read", Net: "pipe", Err: errors.New("connection reset by the simulation")}

func newWire(seed uint64, h *hurts) *wire {
	return &wire{dice: rand.New(rand.NewPCG(seed, 11)), lines: map[*line]struct{}{}, hurts: h}
}

func (w *wire) roll(p float64) bool {
	if p <= 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dice.Float64() < p
}

func (w *wire) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.dice.Int64N(int64(d)))
}

// arm makes the process die at one of its next n awaits.
func (w *wire) arm(n int, died func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fatal, w.died = 1+w.dice.IntN(n), died
}

// await is called at every point at which the process waits for the world. It
// reports whether the process is dead, and kills it if its time has come.
func (w *wire) await() bool {
	w.mu.Lock()
	if w.fatal > 0 {
		if w.fatal--; w.fatal == 0 && !w.dead {
			died := w.died
			w.mu.Unlock()
			w.cut()
			died()
			return true
		}
	}
	defer w.mu.Unlock()
	return w.dead
}

// cut breaks everything for good.
func (w *wire) cut() {
	w.mu.Lock()
	w.dead = true
	lines := w.lines
	w.lines = map[*line]struct{}{}
	w.mu.Unlock()
	for l := range lines {
		_ = l.Close()
	}
}

// dialer wraps the connections that dial makes: to Redis or to Clerk, slow
// at times or not.
func (w *wire) dialer(redis, slow bool, dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, _, _, _, _, refuse := w.hurts.rates()
		if w.await() || redis && refuse {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused by the simulation")}
		}
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		l := &line{Conn: c, wire: w, redis: redis, slow: slow}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.dead {
			_ = c.Close()
			return nil, errCut
		}
		w.lines[l] = struct{}{}
		return l, nil
	}
}

// line is one connection of a wire.
type line struct {
	net.Conn
	wire  *wire
	redis bool
	slow  bool // it may keep its client waiting

	mu       sync.Mutex
	deadline time.Time // for reading
	mute     bool      // the next answer is lost
	stall    time.Duration
	late     sync.WaitGroup // commands that are still on their way
	pump     *pump          // what reads for it, once its reader is not to be relied on
	closed   bool
}

// pump takes in whatever a server writes, so that it is never kept waiting:
// miniredis holds its lock while it writes a long reply, and a goroutine that
// waits for a lock stops the bubble's clock.
type pump struct {
	mu   sync.Mutex
	data []byte
	err  error
	more chan struct{}
}

func startPump(c net.Conn) *pump {
	p := &pump{more: make(chan struct{}, 1)}
	_ = c.SetReadDeadline(time.Time{})
	go func() {
		b := make([]byte, 16<<10)
		for {
			n, err := c.Read(b)
			p.mu.Lock()
			p.data, p.err = append(p.data, b[:n]...), err
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *pump) read(b []byte, deadline time.Time) (int, error) {
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		timeout = time.After(time.Until(deadline))
	}
	for {
		p.mu.Lock()
		n, err := copy(b, p.data), p.err
		p.data = p.data[n:]
		p.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-p.more:
		case <-timeout:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// Write is where a request leaves, or does not.
func (l *line) Write(b []byte) (int, error) {
	if l.wire.await() {
		_ = l.Close()
		return 0, errCut
	}
	if !l.redis {
		n, err := l.Conn.Write(b)
		if l.wire.await() {
			return 0, errCut
		}
		return n, err
	}
	if l.wire.hurts.swallows(b) {
		return len(b), nil
	}
	latency, drop, mute, late, stall, refuse := l.wire.hurts.rates()
	if !l.slow {
		latency, late, stall = 0, 0, 0
	}
	if d := l.wire.upTo(latency); d > 0 {
		time.Sleep(d)
	}
	switch {
	case refuse || l.wire.roll(drop):
		l.wire.hurts.count("redis: connection broke before the command")
		_ = l.Close()
		return 0, errCut
	case l.wire.roll(late):
		l.wire.hurts.count("redis: command arrived late")
		copied := append([]byte(nil), b...)
		d := l.wire.upTo(time.Minute)
		l.pumped()
		l.late.Go(func() {
			time.Sleep(d)
			_, _ = l.Conn.Write(copied) // if it fails, everything is over
			time.Sleep(time.Millisecond)
		})
		return len(b), nil
	}
	if l.wire.roll(mute) {
		l.mu.Lock()
		l.mute = true
		l.mu.Unlock()
	} else if l.wire.roll(stall) {
		l.pumped()
		l.mu.Lock()
		l.stall = l.wire.upTo(8 * time.Second)
		l.mu.Unlock()
	}
	n, err := l.Conn.Write(b)
	if l.wire.await() {
		_ = l.Close()
		return 0, errCut
	}
	return n, err
}

// Read is where an answer arrives, or does not.
func (l *line) Read(b []byte) (int, error) {
	l.mu.Lock()
	mute, stall, deadline, pump := l.mute, l.stall, l.deadline, l.pump
	l.mute, l.stall = false, 0
	l.mu.Unlock()
	var n int
	var err error
	if pump == nil {
		n, err = l.Conn.Read(b)
	} else {
		n, err = pump.read(b, deadline)
	}
	switch {
	case err != nil:
		return n, err
	case mute:
		l.wire.hurts.count("redis: reply lost")
		_ = l.Close()
		return 0, errCut
	case stall > 0:
		l.wire.hurts.count("redis: reply stalled")
		if !deadline.IsZero() && time.Until(deadline) < stall {
			time.Sleep(time.Until(deadline))
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(stall)
	}
	if l.wire.await() {
		_ = l.Close()
		return 0, errCut
	}
	return n, nil
}

// pumped makes the line read ahead from now on.
func (l *line) pumped() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pump == nil {
		l.pump = startPump(l.Conn)
	}
}

func (l *line) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	if l.pump != nil {
		return nil
	}
	return l.Conn.SetReadDeadline(t)
}

func (l *line) SetDeadline(t time.Time) error {
	if err := l.Conn.SetWriteDeadline(t); err != nil {
		return err
	}
	return l.SetReadDeadline(t)
}

// Close closes the connection, once what is on its way has arrived.
func (l *line) Close() error {
	l.wire.mu.Lock()
	delete(l.wire.lines, l)
	l.wire.mu.Unlock()
	l.mu.Lock()
	pump, again := l.pump, l.closed
	l.closed = true
	l.mu.Unlock()
	if pump == nil || again {
		return l.Conn.Close()
	}
	// The reader goes at once, the connection when nothing is on its way.
	pump.mu.Lock()
	pump.data, pump.err = nil, net.ErrClosed
	pump.mu.Unlock()
	select {
	case pump.more <- struct{}{}:
	default:
	}
	go func() {
		l.late.Wait()
		_ = l.Conn.Close()
	}()
	return nil
}
