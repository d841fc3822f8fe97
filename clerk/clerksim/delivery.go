package clerksim

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// deliver writes the answer, or does to the connection what the fault says.
func (x *request) deliver(w http.ResponseWriter, a *answer) {
	if x.fault.drops() {
		drop(w, x.fault.Reset)
		return
	}
	body := a.raw
	if body == nil {
		var err error
		if body, err = marshal(a.value); err != nil {
			drop(w, false) // values are ours and marshal
			return
		}
	}
	h := w.Header()
	h.Set("Date", x.sim.Now().UTC().Format(http.TimeFormat))
	h.Set("Content-Type", "application/json")
	if a.raw == nil { // SDKs read the one, real answers have had the other
		h.Set("Clerk-Trace-Id", x.trace)
		h.Set("X-Clerk-Trace-Id", x.trace)
	}
	maps.Copy(h, a.header)
	if a.status == http.StatusNoContent {
		h.Del("Content-Type")
		w.WriteHeader(a.status)
		return
	}
	switch x.fault.Kind {
	case Truncate:
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(body[:len(body)/2]) // the server closes the connection over the missing half
	case Huge:
		w.WriteHeader(a.status)
		blanks := bytes.Repeat([]byte(" "), 64<<10)
		for range hugeSize / len(blanks) {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
		_, _ = w.Write(body)
	default:
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(body) // a client that has gone needs no answer
	}
}

// marshal leaves what a client sent, metadata above all, as it is.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// hugeSize is how many blanks Huge sends.
const hugeSize = 8 << 20

// drop closes the connection of a request without an answer.
func drop(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// Not HTTP/1: this is how net/http is told to break off the stream.
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok && reset {
		_ = tcp.SetLinger(0) // if it fails, the connection ends instead
	}
	_ = conn.Close()
}
