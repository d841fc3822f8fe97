package admin

import (
	"bytes"
	"html/template"
	"net/http"
	"time"
)

const (
	maxStreams   = 32
	streamEvery  = 2 * time.Second
	streamBeat   = 15 * time.Second // so that proxies keep a quiet stream
	streamWrites = 10 * time.Second // before a reader that does not read is left
)

// live answers with the parts of a page as they change. What of returns with an error is
// not shown: the reader keeps what it has.
func live[D any](h *Handler, page *template.Template, of func(*http.Request) (D, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.stream(w, r, func() ([]byte, error) {
			data, err := of(r)
			if err != nil {
				return nil, err
			}
			return render(page, "parts", data)
		})
	}
}

// stream sends the parts of a page as server-sent events, at once and whenever
// they have changed, until the reader leaves.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, parts func() ([]byte, error)) {
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Too many pages are open.", http.StatusServiceUnavailable)
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back.
	send := func(text []byte) bool {
		_ = out.SetWriteDeadline(time.Now().Add(streamWrites)) // Not every writer has one.
		_, err := w.Write(text)
		return err == nil && out.Flush() == nil
	}
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	var last []byte
	said := time.Now()
	for send([]byte("retry: 3000\n\n")) {
		for {
			now, err := parts()
			if err == nil && !bytes.Equal(now, last) {
				if !send(event(now)) {
					return
				}
				last, said = now, time.Now()
			} else if time.Since(said) >= streamBeat {
				if !send([]byte(": beat\n\n")) {
					return
				}
				said = time.Now()
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// event makes one event of a text of any number of lines.
func event(text []byte) []byte {
	var b bytes.Buffer
	b.WriteString("event: parts\n")
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			b.WriteString("data: ")
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}
