package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// certificateCheck is how often the files of a certificate are looked at, at most.
const certificateCheck = 10 * time.Second

// certificate is that of a listener, read from two files, and read again when they
// have changed: a renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	log               zerolog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	stamp   [2]time.Time // when the files were written
	checked time.Time
	failed  bool // the last attempt to read them again did
}

// serverTLS returns what a listener needs to speak TLS, or nil if neither file is
// named. flag is the beginning of the flags' names, such as "admin".
func serverTLS(all *complaints, flag, certFile, keyFile string, log zerolog.Logger) *tls.Config {
	if certFile == "" && keyFile == "" {
		return nil
	}
	name := fmt.Sprintf("--%s-tls-cert-file, --%s-tls-key-file", flag, flag)
	if certFile == "" || keyFile == "" {
		all.add(errors.New(name + ": give both, or neither"))
		return nil
	}
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		all.add(fmt.Errorf("%s: %w", name, err))
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // The timeouts of both servers are made for it.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(time.Now()), nil },
	}
}

// current returns the newest certificate that could be read.
func (c *certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < certificateCheck {
		return c.pair
	}
	c.checked = now
	if stamp, err := c.written(); err == nil && stamp == c.stamp {
		return c.pair
	}
	switch err := c.load(); {
	case err == nil:
		c.failed = false
		c.log.Info().Msg("the new certificate is in use")
	case !c.failed:
		c.failed = true // Perhaps one of two files has been replaced so far.
		c.log.Error().Err(err).Msg("the certificate has changed and cannot be read; the old one stays in use")
	}
	return c.pair
}

// load reads both files.
func (c *certificate) load() error {
	stamp, err := c.written()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.stamp = &pair, stamp
	return nil
}

// written is when the files were written.
func (c *certificate) written() (stamp [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}
