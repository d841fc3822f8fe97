package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/inviteq/inviteq/cmd/inviteq/listen"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker"
	"github.com/inviteq/inviteq/worker/admin"
)

// adminPages are what a worker shows, and to whom.
type adminPages struct {
	metrics *admin.Metrics
	access  admin.Access
	server  listen.Config
	actions bool

	maxRows    int // of a list that is uploaded
	maxWaiting int64
}

// proxiesFlag is for both listeners.
type proxiesFlag struct {
	TrustedProxies string `placeholder:"NETWORKS" help:"The proxies in front of the listeners, such as 10.0.0.0/8,192.0.2.7: what they append to X-Forwarded-For is believed, and they are not limited like one client."`
}

func (f proxiesFlag) proxies(all *complaints) []netip.Prefix {
	return setting(all, "trusted-proxies", f.TrustedProxies, listen.ParseProxies)
}

// adminOf reads the token. It comes like all secrets by a variable or a file.
func (c *workerCommand) adminOf(p *program) adminPages {
	token, err := p.env.secret("INVITEQ_ADMIN_TOKEN")
	p.complaints.add(err)
	a := adminPages{metrics: admin.NewMetrics(c.Instance, version), access: admin.Access{Token: token}, actions: c.AdminActions, maxRows: c.ImportMaxRows, maxWaiting: c.MaxWaiting}
	log := p.logger(c.LogLevel, c.LogFormat)
	a.server = listen.Config{
		Name: "admin", TLS: serverTLS(&p.complaints, "admin", c.AdminTLSCertFile, c.AdminTLSKeyFile, log), Log: log, Proxies: c.proxies(&p.complaints),
		Probes: []string{"/healthz", "/readyz"},
	}
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
	refused := listen.NewTally(cfg.Log, "admin requests refused", refusedLines)
	a.access.WrongToken = func(remote string) {
		if refused.Add("wrong_token") {
			cfg.Log.Warn().Str("remote", remote).Msg("a wrong admin token was shown")
		}
	}
	a.access.Store = access.NewStore(w.Ledger().Redis(), ledger.KeyPrefix(w.Ledger().Instance()))
	client, err := enqueue.New(enqueue.Config{Redis: w.Ledger().Redis(), Instance: w.Ledger().Instance(), EncryptionKeys: w.Ledger().Config().EncryptionKeys})
	if err != nil {
		return nil, err
	}
	pages, err := admin.New(admin.Config{
		Acts:   actsOf(client, listDesk{client, w.Ledger(), cfg.Clerk, a.maxRows, a.maxWaiting}),
		Ledger: w.Ledger(), Probes: w.Handler(), Health: w.Problems, Conditions: w.Conditions, Clerk: cfg.Clerk, Webhook: cfg.Webhook, Metrics: a.metrics,
		Access: a.access, Actions: a.actions, Version: version, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	switch {
	case a.access.Locked():
		cfg.Log.Warn().Stringer("admin", l.Addr()).
			Msg("other machines reach the admin listener and INVITEQ_ADMIN_TOKEN is not set: it serves /healthz and /readyz only")
	case a.access.Public && a.server.TLS == nil:
		cfg.Log.Warn().Stringer("admin", l.Addr()).
			Msg("the admin listener speaks plain http beyond this machine: set INVITEQ_ADMIN_TLS_CERT_FILE and INVITEQ_ADMIN_TLS_KEY_FILE, or put TLS in front of it; else the token can be read on the way")
	}
	a.server.Handler = pages
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := listen.Serve(ctx, l, a.server); err != nil {
			cfg.Log.Error().Err(err).Msg("the admin listener has ended; the worker goes on without it")
		}
	}()
	return func() { cancel(); <-done; refused.Flush() }, nil
}
