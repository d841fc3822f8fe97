package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	maxConns  = 1024
	maxHeader = 16 << 10
)

// Serve answers requests on l until ctx ends, lets those in flight end, and
// returns. It closes l. An API serves once.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: a.cfg.ReadTimeout,
		ReadTimeout:       a.cfg.ReadTimeout, // an import moves it on as it reads
		WriteTimeout:      a.cfg.ReadTimeout + maxWait + storeTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // whatever matters stands in the audit log
	}
	var closing sync.WaitGroup
	ended := make(chan struct{})
	closing.Go(func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		close(a.draining)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.Grace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // whoever is still there has had the time
		}
		a.die()
	})
	l = netutil.LimitListener(l, maxConns)
	if a.cfg.TLS != nil {
		l = tls.NewListener(l, a.cfg.TLS)
	}
	err := server.Serve(l)
	close(ended)
	closing.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("api: %w", err)
}
