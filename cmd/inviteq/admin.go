package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/inviteq/inviteq/worker"
	"github.com/inviteq/inviteq/worker/admin"
)

// adminPages are what a worker shows, and to whom.
type adminPages struct {
	metrics *admin.Metrics
	access  admin.Access
	tls     *tls.Config // nil: plain http
	actions bool
}

// adminOf reads the token. It comes like all secrets by a variable or a file.
func (c *workerCommand) adminOf(p *program) adminPages {
	token, err := p.env.secret("INVITEQ_ADMIN_TOKEN")
	p.complaints.add(err)
	a := adminPages{metrics: admin.NewMetrics(c.Instance, version), access: admin.Access{Token: token}, actions: c.AdminActions}
	a.tls = serverTLS(&p.complaints, "admin", c.AdminTLSCertFile, c.AdminTLSKeyFile, p.logger(c.LogLevel, c.LogFormat))
	p.complaints.add(a.access.Check())
	return a
}

// observe lets the metrics see what the worker and its Clerk client do.
func (a adminPages) observe(cfg *worker.Config) {
	cfg.Observe = worker.Observer{Delivered: a.metrics.Delivered, Swept: a.metrics.Swept, Reconciled: a.metrics.Reconciled}
}

// listen opens the admin listener before anything is started.
func (c *workerCommand) listen(ctx context.Context) (net.Listener, error) {
	if c.AdminAddr == "off" {
		return nil, nil //nolint:nilnil // off is neither a listener nor an error
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.AdminAddr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%v): choose another --admin-addr ($INVITEQ_ADMIN_ADDR), or off", c.AdminAddr, innermost(err))
	}
	return l, nil
}

// serve shows the worker's pages until stop is called.
func (a adminPages) serve(l net.Listener, w *worker.Worker, cfg *worker.Config) (stop func(), err error) {
	a.access.Public = admin.IsPublic(l.Addr())
	pages, err := admin.New(admin.Config{
		Ledger: w.Ledger(), Probes: w.Handler(), Health: w.Problems, Clerk: cfg.Clerk, Metrics: a.metrics,
		Access: a.access, Actions: a.actions, Version: version, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	switch {
	case a.access.Locked():
		cfg.Log.Warn().Stringer("admin", l.Addr()).
			Msg("other machines reach the admin listener and INVITEQ_ADMIN_TOKEN is not set: it serves /healthz and /readyz only")
	case a.access.Public && a.tls == nil:
		cfg.Log.Warn().Stringer("admin", l.Addr()).
			Msg("the admin listener speaks plain http beyond this machine: set INVITEQ_ADMIN_TLS_CERT_FILE and INVITEQ_ADMIN_TLS_KEY_FILE, or put TLS in front of it; else the token can be read on the way")
	}
	if a.tls != nil {
		l = tls.NewListener(l, a.tls)
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 16}
	go func() { _ = server.Serve(l) }() // it ends by Close
	return func() { _ = server.Close() }, nil
}
