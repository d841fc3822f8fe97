package api

import (
	"context"
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
		until: time.Now().Add(importFor), takes: l.takes,
	}
	var err error
	// The body ends by its own deadlines, and then says why; nobody reads on after it.
	l.List, err = lists.Open(context.WithoutCancel(l.ctx), body, l.options)
	switch {
	case err == nil:
		return nil
	case errors.Is(body.err, errNoRoom):
		return busy()
	case body.err != nil:
		return unreadable(body.err, l.cfg.MaxImport)
	}
	return l.unusable(err)
}

// maxSpools is how many lists of the largest size may lie on the disk together.
const maxSpools = 4

var errNoRoom = errors.New("too many lists are on the disk")

// takes counts what goes to the disk.
func (l *list) takes(n int) error {
	l.size += int64(n)
	if l.spooled.Add(int64(n)) > maxSpools*l.cfg.MaxImport {
		return errNoRoom
	}
	return nil
}

// close removes the list from the disk.
func (l *list) close() {
	l.spooled.Add(-l.size)
	if l.List != nil {
		l.Close()
	}
}

// patient gives a client time for each part of its body, and a time for all.
type patient struct {
	r       io.Reader
	control *http.ResponseController
	each    time.Duration
	until   time.Time
	takes   func(n int) error // is told of every part, and may refuse it
	left    int               // bytes until it has more time
	err     error             // of reading, not of writing
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
	}
	n, err := p.r.Read(b)
	p.left -= n
	if full := p.takes(n); full != nil {
		err = full
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}
