package api

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// spool writes the list into a temporary file that nobody else can read and that
// has no name any more, so that it is gone with the process. The client may take
// long, as long as it goes on sending.
func (l *list) spool() (content []byte, refused *answer) {
	var err error
	if l.file, err = os.CreateTemp("", "inviteq-import-"); err != nil { // mode 0600
		return nil, unavailable(errors.New("a list cannot be spooled: no temporary file can be made"))
	}
	_ = os.Remove(l.file.Name()) // where that is not possible the system tidies up
	hash := sha256.New()
	body := &patient{
		r: http.MaxBytesReader(l.w, l.r.Body, l.cfg.MaxImport), control: http.NewResponseController(l.w), each: l.cfg.ReadTimeout,
		until: time.Now().Add(importFor),
	}
	if _, err = io.Copy(io.MultiWriter(l.file, hash), body); err != nil {
		if body.err == nil {
			return nil, unavailable(errors.New("a list cannot be spooled: the disk may be full"))
		}
		return nil, unreadable(err, l.cfg.MaxImport)
	}
	// From here on it is Redis that takes its time.
	_ = body.control.SetReadDeadline(time.Time{})
	_ = body.control.SetWriteDeadline(time.Now().Add(importFor + time.Minute))
	return hash.Sum(nil), nil
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
