package api

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/inviteq/inviteq/enqueue/lists"
)

// open copies the list. The client may take long, as long as it goes on sending.
func (l *list) open() (refused *answer) {
	body := &patient{
		r: http.MaxBytesReader(l.w, l.r.Body, l.cfg.MaxImport), control: http.NewResponseController(l.w), each: l.cfg.ReadTimeout,
		until: time.Now().Add(importFor),
	}
	var err error
	if l.List, err = lists.Open(l.ctx, body, l.options); err != nil {
		if body.err != nil {
			return unreadable(body.err, l.cfg.MaxImport)
		}
		return l.unusable(err)
	}
	// From here on it is Redis that takes its time.
	_ = body.control.SetReadDeadline(time.Time{})
	_ = body.control.SetWriteDeadline(time.Now().Add(importFor + time.Minute))
	return nil
}

// patient gives a client time for each part of its body, and a time for all.
type patient struct {
	r       io.Reader
	control *http.ResponseController
	each    time.Duration
	until   time.Time
	left    int   // bytes until it has more time
	err     error // of reading, not of writing
}

// Read is that of an io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if p.left <= 0 {
		p.left = maxBody
		deadline := time.Now().Add(p.each)
		if deadline.After(p.until) {
			deadline = p.until
		}
		_ = p.control.SetReadDeadline(deadline) // a recorder in a test has none
		_ = p.control.SetWriteDeadline(deadline.Add(maxWait))
	}
	n, err := p.r.Read(b)
	p.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}
