package listen

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// sumEvery is how often a sum is logged.
const sumEvery = 10 * time.Second

// Tally logs the sum of what may happen too often to be logged each time, ten
// seconds after the first. It is safe for concurrent use.
type Tally struct {
	log     zerolog.Logger
	message string
	lines   int

	mu     sync.Mutex
	counts map[string]int
	due    *time.Timer
}

// NewTally returns a tally whose sums have this message. The first lines of a kind
// within ten seconds are its caller's to log; they are in the sum as well, but for
// them alone there is none. A tally has nothing to close; Flush logs what is left.
func NewTally(log zerolog.Logger, message string, lines int) *Tally {
	return &Tally{log: log, message: message, lines: lines, counts: map[string]int{}}
}

// Add counts one of a kind, and reports whether its caller should log it. Kinds are
// few and constant: each becomes a field of the sum.
func (t *Tally) Add(kind string) (logIt bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[kind]++
	if t.due == nil {
		t.due = time.AfterFunc(sumEvery, t.Flush)
	}
	return t.counts[kind] <= t.lines
}

// Flush logs the sum now, if there is one.
func (t *Tally) Flush() {
	t.mu.Lock()
	counts := t.counts
	t.counts = map[string]int{}
	if t.due != nil {
		t.due.Stop()
		t.due = nil
	}
	t.mu.Unlock()
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n <= t.lines })
	if len(counts) == 0 {
		return
	}
	line := t.log.Warn()
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		line = line.Int(kind, counts[kind])
	}
	line.Dur("within_ms", sumEvery).Msg(t.message)
}

// errorLog is where net/http complains. Strangers make it complain: about that only
// the number is worth a line.
type errorLog struct {
	log   zerolog.Logger
	name  string
	tally *Tally
}

const maxComplaint = 300

// Write is that of an io.Writer. It gets one complaint at a time.
func (e errorLog) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	switch {
	case strings.HasPrefix(text, "http: TLS handshake error"):
		e.tally.Add("tls_handshakes")
	case strings.HasPrefix(text, "http: Accept error"):
		e.tally.Add("accept_errors")
	default:
		e.log.Warn().Str("listener", e.name).Str("complaint", text[:min(len(text), maxComplaint)]).Msg("the http server complains")
	}
	return len(b), nil
}
