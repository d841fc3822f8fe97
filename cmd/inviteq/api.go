package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/cmd/inviteq/listen"
	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/worker"
	"github.com/inviteq/inviteq/worker/admin"
	"github.com/inviteq/inviteq/worker/erase"
)

type apiCommand struct {
	Serve apiServeCommand `cmd:"" default:"withargs" help:"Answer requests until told to stop; plain inviteq api does this too."`
	Token apiTokenCommand `cmd:"" help:"Create, list and revoke bearer tokens."`
}

func (apiCommand) Help() string {
	return `Serves Clerk's four operations on invitations in Clerk's own shapes, and imports: a service that uses a Clerk SDK sets the base URL to http://HOST:PORT/v1 and the key to a token that inviteq api token create made. /openapi.yaml describes every path. A worker can serve it as well: inviteq worker --api-addr HOST:PORT. Clerk is asked for preflights and deletes only, if there is CLERK_SECRET_KEY.

Examples:

  inviteq api token create backend --scope instance
  inviteq api --api-addr 127.0.0.1:8081

  curl http://127.0.0.1:8081/v1/invitations -H "Authorization: Bearer $TOKEN" -H 'Idempotency-Key: signup-4711' --json '{"email_address":"ada@example.com"}'`
}

// apiFlags are those of every command that serves the API.
type apiFlags struct {
	APIRate        string `name:"api-rate" default:"50" placeholder:"N" help:"Requests per second that each token may make; none disables the limit."`
	APIWait        string `name:"api-wait" default:"0s" placeholder:"DURATION" help:"How long the answer to a create waits for the delivery, so that it has Clerk's id; at most 30s. A request may set it itself with ?wait=."`
	ImportMaxRows  int    `default:"1000000" placeholder:"ROWS" help:"The most rows of a list."`
	MaxWaiting     int64  `default:"2000000" placeholder:"INVITES" help:"The most invites of the instance that may wait when one more comes, or a list, that one included. Half of them may be of one token of scope own."`
	APITLSCertFile string `name:"api-tls-cert-file" placeholder:"FILE" help:"The certificate of the API, for TLS: PEM, the whole chain. It is read again when it has changed. Without one the API speaks plain http, which needs a TLS proxy in front unless it stays on this machine."`
	APITLSKeyFile  string `name:"api-tls-key-file" placeholder:"FILE" help:"The certificate's key, PEM."`
	APIAgents      bool   `name:"api-agents" help:"Serve agents at /mcp (Model Context Protocol), as inviteq mcp does, for tokens of the scope instance: viewers look, operators also invite and revoke, in two steps."`
	proxiesFlag
}

// apiGrace is how long requests in flight have to end.
const apiGrace = 15 * time.Second

// apiSettings are what the flags say: of the API, and of its listener.
type apiSettings struct {
	api    api.Config
	server listen.Config
	agents bool
}

// config understands the flags and adds to the complaints.
func (f apiFlags) config(all *complaints, log zerolog.Logger) apiSettings {
	if f.ImportMaxRows < 1 || f.MaxWaiting < 1 {
		all.add(errors.New("--import-max-rows ($INVITEQ_IMPORT_MAX_ROWS) and --max-waiting ($INVITEQ_MAX_WAITING) must be whole numbers of at least 1"))
	}
	server := listen.Config{
		Name: "api", TLS: serverTLS(all, "api", f.APITLSCertFile, f.APITLSKeyFile, log), Log: log, Proxies: f.proxies(all),
		Full: http.HandlerFunc(api.Busy), Probes: []string{api.HealthPath}, Grace: apiGrace,
	}
	return apiSettings{server: server, agents: f.APIAgents, api: api.Config{
		MaxRows: f.ImportMaxRows, MaxWaiting: f.MaxWaiting,
		RateLimit: setting(all, "api-rate", f.APIRate, func(s string) (float64, error) {
			if s == "none" {
				return -1, nil
			}
			n, err := strconv.ParseFloat(s, 64)
			if err != nil || !(n > 0 && n <= 1e6) {
				return 0, errors.New("must be a number above 0, or none")
			}
			return n, nil
		}),
		Wait: setting(all, "api-wait", f.APIWait, func(s string) (time.Duration, error) {
			d, err := time.ParseDuration(s)
			if err != nil || d < 0 || d > 30*time.Second {
				return 0, errors.New("must be a duration from 0s to 30s")
			}
			return d, nil
		}),
	}}
}

// workerAPI are the flags with which a worker serves the API beside its work. Its variable
// is another one than that of inviteq api, which may share the worker's environment.
type workerAPI struct {
	APIAddr string `name:"api-addr" variable:"INVITEQ_WORKER_API_ADDR" default:"off" placeholder:"HOST:PORT" help:"Where to serve the HTTP API as well, as inviteq api does; off disables it."`
	apiFlags
}

// config understands the flags and adds to the complaints.
func (f workerAPI) config(all *complaints, log zerolog.Logger) apiSettings {
	if f.APIAddr != "off" {
		checkAPIAddr(all, f.APIAddr, "INVITEQ_WORKER_API_ADDR")
	}
	return f.apiFlags.config(all, log)
}

// serve starts the API unless it is off. stop ends it and returns how it ended;
// it ends with the context, too.
func (f workerAPI) serve(ctx context.Context, p *program, cfg apiSettings, w worker.Config, start *zerolog.Event) (stop func() error, err error) {
	if f.APIAddr == "off" {
		return func() error { return nil }, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	served, err := p.startAPI(ctx, f.APIAddr, cfg, w.Redis, w.Ledger.Instance, &asker{w.Clerk, lookingShare(w.Ledger.Limits.Other)})
	if err != nil {
		cancel()
		return nil, err
	}
	start.Stringer("api", served.addr)
	return func() error { cancel(); return served.wait() }, nil
}

// checkAPIAddr complains about an address that cannot be listened on.
func checkAPIAddr(all *complaints, addr, variable string) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		all.add(fmt.Errorf("--api-addr ($%s): must be HOST:PORT such as 127.0.0.1:8081", variable))
	}
}

type apiServeCommand struct {
	APIAddr string `name:"api-addr" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Where to listen."`
	apiFlags
	clerkFlag
	LogLevel  string `enum:"debug,info,warn,error" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error. The audit log is on info."`
	LogFormat string `enum:"auto,json,text" default:"auto" placeholder:"FORMAT" help:"json or text; auto is text on a terminal."`
	instanceFlag
}

func (apiServeCommand) Help() string { return apiCommand{}.Help() }

// Run serves until the context ends.
func (c *apiServeCommand) Run(ctx context.Context, p *program) error {
	opts, instance := p.redisOptions(), p.instance(c.Instance)
	log := p.logger(c.LogLevel, c.LogFormat)
	cfg := c.config(&p.complaints, log)
	checkAPIAddr(&p.complaints, c.APIAddr, "INVITEQ_API_ADDR")
	look := p.optionalAsker(c.ClerkAPIURL)
	if err := p.complaints.usage(); err != nil {
		return err
	}
	if look != nil {
		defer look.clerk.Close()
	}
	served, err := p.startAPI(ctx, c.APIAddr, cfg, opts, instance, look)
	if err != nil {
		return err
	}
	log.Info().Str("version", version).Str("instance", instance).Str("redis", p.redisAddr).Stringer("api", served.addr).Msg("api starts")
	defer supervised(ctx)()
	err = served.wait()
	if err == nil {
		log.Info().Msg("api has left")
	}
	return err
}

// servedAPI is an API that answers requests until its context ends.
type servedAPI struct {
	addr net.Addr
	done chan error
}

// startAPI listens and serves, with a connection to Redis of its own.
func (p *program) startAPI(ctx context.Context, addr string, cfg apiSettings, opts *redis.UniversalOptions, instance string, look *asker) (*servedAPI, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%v): choose another --api-addr", addr, innermost(err))
	}
	conn, err := open(ctx, opts, ledger.Config{
		Instance: instance, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve, ForecastFor: time.Second, EncryptionKeys: p.keys,
	})
	if err != nil {
		_ = l.Close() // nobody has connected
		return nil, err
	}
	log := cfg.server.Log
	if redisconn.Unverified(opts) {
		log.Warn().Msg(redisconn.UnverifiedWarning)
	}
	audit := newAuditLog(log)
	cfg.api.Client, cfg.api.Ledger, cfg.api.Audit = conn.client, conn.ledger, audit.write
	if look != nil {
		cfg.api.Preflight = look.over(conn.ledger)
		cfg.api.Eraser = &erase.Clerk{Ledger: conn.ledger, Clerk: look.clerk, Share: look.share}
	}
	if cfg.agents {
		cfg.api.Agents = p.agentsOverHTTP(conn, look, log)
	}
	a, err := api.New(cfg.api)
	if err != nil {
		_ = l.Close() // nobody has connected
		conn.Close()
		return nil, err
	}
	if cfg.server.TLS == nil && admin.IsPublic(l.Addr()) {
		log.Warn().Stringer("api", l.Addr()).
			Msg("the api speaks plain http beyond this machine: set INVITEQ_API_TLS_CERT_FILE and INVITEQ_API_TLS_KEY_FILE, or put TLS in front of it; else tokens and addresses can be read on the way")
	}
	cfg.server.Handler, cfg.server.Drain = a, a.Drain
	s := &servedAPI{addr: l.Addr(), done: make(chan error, 1)}
	go func() {
		err := listen.Serve(ctx, l, cfg.server)
		a.Close()
		audit.refused.Flush()
		conn.Close()
		s.done <- err
	}()
	return s, nil
}

// wait returns when the API has ended, which it does with its context.
func (s *servedAPI) wait() error { return <-s.done }
