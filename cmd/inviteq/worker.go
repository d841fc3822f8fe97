package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker"
	"github.com/inviteq/inviteq/worker/webhook"
)

type workerCommand struct {
	clerkFlag

	limitFlags
	Reserve string `default:"auto" placeholder:"N" help:"Single calls per window that imports leave to interactive invites; auto follows the demand."`

	RequestTimeout  string `default:"10s" placeholder:"DURATION" help:"How long one call to Clerk may take."`
	ShutdownTimeout string `default:"35s" placeholder:"DURATION" help:"How long the worker may take to stop; it must be longer than a claim, which is the request timeout and 13s."`
	MaxAttempts     string `default:"12" placeholder:"N" help:"How many times Clerk may answer \"not now\" before an invite fails; 12 times take about five hours."`
	Calls           string `default:"4" placeholder:"N" help:"Calls to Clerk in flight at a time."`
	Concurrency     string `default:"32" placeholder:"N" help:"Tasks handled at a time; most of them only wait."`
	Screen          bool   `default:"true" negatable:"" help:"Look for existing users and invitations before a bulk call, so that no token is wasted."`
	Mark            string `placeholder:"KEY" help:"The key of public_metadata under which every call carries the id of its invite: then whose an invitation is, is certain. Off unless it is set, because the metadata is the caller's and ends in the user."`
	Unknown         string `enum:"park,resend" default:"park" placeholder:"WORD" help:"What to do with an invite with ignore_existing whose call got no answer and which Clerk's list does not show: park leaves it to a person, resend may mail twice."`

	ReconcileEvery     string `default:"5m" placeholder:"DURATION" help:"How often the newest invitations are compared with Clerk's list; off disables it."`
	ReconcileFullEvery string `default:"24h" placeholder:"DURATION" help:"How often all invitations are compared with Clerk's list."`
	Retention          string `default:"2160h" placeholder:"DURATION" help:"How long a settled invite is remembered; 2160h is 90 days."`
	StuckRetention     string `default:"8760h" placeholder:"DURATION" help:"How long an invite is remembered that failed or is parked, and nobody saw to; 8760h is a year. A worker warns thirty days before."`
	Tombstones         string `default:"8760h" placeholder:"DURATION" help:"How long after that its id still prevents a second invite; 8760h is a year."`

	WebhookURL          string `name:"webhook-url" placeholder:"URL" help:"Where events are posted, in the Standard Webhooks format. Needs INVITEQ_WEBHOOK_SECRET or INVITEQ_WEBHOOK_SECRET_FILE: whsec_…, or several separated by spaces, the newest first."`
	WebhookAllowPrivate bool   `help:"Permit plain http and private addresses for webhooks."`

	AdminAddr        string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to serve the status page, /monitoring, /metrics, /healthz and /readyz; off disables them. If other machines can reach it, all but the last two need INVITEQ_ADMIN_TOKEN or INVITEQ_ADMIN_TOKEN_FILE."`
	AdminTLSCertFile string `name:"admin-tls-cert-file" placeholder:"FILE" help:"The certificate of the admin listener, for TLS: PEM, the whole chain. The worker reads it again when it has changed. Without one the listener speaks plain http, which needs a TLS proxy in front unless it stays on this machine."`
	AdminTLSKeyFile  string `name:"admin-tls-key-file" placeholder:"FILE" help:"The certificate's key, PEM."`
	RequireDurable   bool   `help:"Turn /readyz red while Redis is configured so that it may lose what it has accepted; otherwise that is a warning."`
	AdminActions     bool   `help:"Let people act on the pages of this machine without a token, and /monitoring pause queues, and run, archive and delete tasks."`
	workerAPI
	LogLevel  string `enum:"debug,info,warn,error" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat string `enum:"auto,json,text" default:"auto" placeholder:"FORMAT" help:"json or text; auto is text on a terminal."`
	instanceFlag
}

// limitFlags are Clerk's limits.
type limitFlags struct {
	LimitSingle string `default:"100/1h" placeholder:"CALLS/WINDOW" help:"Clerk's limit on single invitations; none disables it."`
	LimitBulk   string `default:"25/1h" placeholder:"CALLS/WINDOW" help:"Clerk's limit on bulk calls; none disables it."`
	LimitOther  string `default:"1000/10s" placeholder:"CALLS/WINDOW" help:"Clerk's limit on all calls together; none disables it. A development instance has 100/10s."`
	BulkSize    string `default:"10" placeholder:"N" help:"Invitations in a full bulk call; Clerk takes at most 10."`
}

// limits understands the flags and adds to the complaints.
func (f limitFlags) limits(all *complaints) (l ledger.Limits, bulk int) {
	l = ledger.Limits{
		Single: setting(all, "limit-single", f.LimitSingle, ledger.ParseLimit),
		Bulk:   setting(all, "limit-bulk", f.LimitBulk, ledger.ParseLimit),
		Other:  setting(all, "limit-other", f.LimitOther, ledger.ParseLimit),
	}
	return l, setting(all, "bulk-size", f.BulkSize, parseBulkSize)
}

func (workerCommand) Help() string {
	return `Needs CLERK_SECRET_KEY, or CLERK_SECRET_KEY_FILE, which names a file that holds it. Any number of workers may share a queue: together they stay inside the limits, which must be the same for all of them.

On the first SIGTERM or Ctrl-C the worker begins no new call, settles those in flight, and stops. On a second one it stops at once; the next worker then looks up at Clerk what was in flight, and sends nothing twice.

Examples:

  CLERK_SECRET_KEY_FILE=/run/secrets/clerk inviteq worker

  CLERK_SECRET_KEY=sk_test_clerksim CLERK_API_URL=http://127.0.0.1:9090/v1 inviteq worker`
}

// Run delivers until the context ends.
func (c *workerCommand) Run(ctx context.Context, p *program) error {
	pages := c.adminOf(p)
	cfg := c.config(p, pages)
	requests := c.workerAPI.config(&p.complaints, cfg.Log)
	if err := p.complaints.usage(); err != nil {
		return err
	}
	defer cfg.Clerk.Close()
	admin, err := c.listen(ctx)
	if err != nil {
		return err
	}
	w, err := worker.New(ctx, cfg)
	if err != nil {
		if admin != nil {
			_ = admin.Close() // nobody has connected
		}
		return err
	}
	start := cfg.Log.Info().Str("version", version).Str("instance", cfg.Ledger.Instance).
		Stringer("limit_single", cfg.Ledger.Limits.Single).Stringer("limit_bulk", cfg.Ledger.Limits.Bulk).
		Stringer("limit_other", cfg.Ledger.Limits.Other).Str("reserve", c.Reserve).
		Str("clerk", hostOf(c.ClerkAPIURL)).Str("redis", p.redisAddr)
	if admin != nil {
		stop, err := pages.serve(admin, w, &cfg)
		if err != nil {
			return err
		}
		defer stop()
		start = start.Stringer("admin", admin.Addr())
	}
	stopAPI, err := c.workerAPI.serve(ctx, p, requests, cfg, start)
	if err != nil {
		return err
	}
	start.Msg("worker starts")
	defer supervised(ctx)()
	err = errors.Join(w.Run(ctx), stopAPI())
	if err == nil {
		cfg.Log.Info().Msg("worker has left")
	}
	return err
}

// config puts together what flags and environment say; everything that is wrong
// with it goes to the complaints.
func (c *workerCommand) config(p *program, pages adminPages) worker.Config {
	all := &p.complaints
	limits, bulk := c.limits(all)
	opts := p.redisOptions() // It reads the encryption keys, too.
	cfg := worker.Config{
		Redis: opts,
		Ledger: ledger.Config{
			Instance: p.instance(c.Instance),
			Limits:   limits, Bulk: bulk,
			Reserve: setting(all, "reserve", c.Reserve, parseReserve),

			ForecastFor: time.Second, EncryptionKeys: p.keys,
		},
		RequestTimeout:  setting(all, "request-timeout", c.RequestTimeout, span),
		ShutdownTimeout: setting(all, "shutdown-timeout", c.ShutdownTimeout, span),
		MaxAttempts:     setting(all, "max-attempts", c.MaxAttempts, positive),
		Calls:           setting(all, "calls", c.Calls, positive),
		Concurrency:     setting(all, "concurrency", c.Concurrency, positive),
		NoScreening:     !c.Screen,
		ResendUnknown:   c.Unknown == "resend",
		RequireDurable:  c.RequireDurable,
		Mark:            c.Mark,
		Log:             p.logger(c.LogLevel, c.LogFormat),
		Version:         version,

		ReconcileEvery:     setting(all, "reconcile-every", c.ReconcileEvery, spanOrOff),
		ReconcileFullEvery: setting(all, "reconcile-full-every", c.ReconcileFullEvery, span),
		Retention:          setting(all, "retention", c.Retention, span),
		StuckRetention:     setting(all, "stuck-retention", c.StuckRetention, span),
		Tombstones:         setting(all, "tombstones", c.Tombstones, span),
		Webhook:            c.webhook(p),
	}
	if c.AdminAddr != "off" {
		if _, _, err := net.SplitHostPort(c.AdminAddr); err != nil {
			all.add(errors.New("--admin-addr ($INVITEQ_ADMIN_ADDR): must be HOST:PORT such as 127.0.0.1:8080, or off"))
		}
	}
	pages.observe(&cfg)
	cfg.Clerk = p.clerkClient(c.ClerkAPIURL, cfg.RequestTimeout, func(client *clerk.Config) {
		client.Observe, client.Breaker.OnChange = pages.metrics.Call, pages.metrics.Breaker
	})
	if cfg.Clerk == nil {
		// A stand-in that is never called, so that the rest is checked as well.
		cfg.Clerk = standIn()
	}
	all.add(cfg.Check())
	return cfg
}

// webhook makes the sender of webhooks, or nil if none is wanted.
func (c *workerCommand) webhook(p *program) *webhook.Sender {
	secrets, err := p.env.secret("INVITEQ_WEBHOOK_SECRET")
	p.complaints.add(err)
	if c.WebhookURL == "" || err != nil {
		return nil
	}
	sender, err := webhook.New(webhook.Config{
		URL: c.WebhookURL, Secrets: strings.Fields(secrets), AllowPrivate: c.WebhookAllowPrivate, UserAgent: "inviteq/" + version,
	})
	if err != nil {
		p.complaints.add(fmt.Errorf("--webhook-url ($INVITEQ_WEBHOOK_URL): %w", err))
		return nil
	}
	return sender
}

// spanOrOff understands a duration, or off.
func spanOrOff(s string) (time.Duration, error) {
	if s == "off" {
		return -1, nil
	}
	return span(s)
}

// clerkClient makes the client for Clerk, or complains and returns nil.
func (p *program) clerkClient(baseURL string, timeout time.Duration, change ...func(*clerk.Config)) *clerk.Client {
	raw, err := p.env.secret("CLERK_SECRET_KEY")
	p.complaints.add(err)
	var key clerk.SecretKey
	if strings.HasPrefix(raw, "pk_") {
		p.complaints.add(errors.New("CLERK_SECRET_KEY is a publishable key (pk_…), with which nobody can be invited; set it to the secret key (sk_…) of the same instance"))
	} else if raw != "" {
		if key, err = clerk.ParseSecretKey(raw); err != nil {
			p.complaints.add(errors.New("CLERK_SECRET_KEY contains a character that no key has; copy it again from Clerk's dashboard"))
		}
	} else if err == nil {
		p.complaints.add(errors.New("CLERK_SECRET_KEY is not set; set it, or CLERK_SECRET_KEY_FILE, to the instance's secret key"))
	}
	missing := key.IsZero()
	if missing {
		key, _ = clerk.ParseSecretKey("sk_test_missing") // it is well-formed
	}
	cfg := clerk.Config{SecretKey: key, BaseURL: baseURL, AllowHTTP: !key.Live(), Timeout: timeout, UserAgent: "inviteq/" + version}
	for _, f := range change {
		f(&cfg)
	}
	client, err := clerk.New(cfg)
	if err != nil {
		p.complaints.add(fmt.Errorf("--clerk-api-url ($CLERK_API_URL): %w", err))
		return nil
	}
	return client
}

func standIn() *clerk.Client {
	key, _ := clerk.ParseSecretKey("sk_test_missing")
	client, _ := clerk.New(clerk.Config{SecretKey: key}) // the defaults are well-formed
	return client
}

// logger writes JSON, or lines for people.
func (p *program) logger(level, format string) zerolog.Logger {
	out := p.console.err
	if format == "text" || format == "auto" && p.console.errTTY != nil {
		out = zerolog.ConsoleWriter{Out: p.console.err, NoColor: !bool(p.console.onErr), TimeFormat: "15:04:05.000"}
	}
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	return zerolog.New(out).Level(l).With().Timestamp().Logger()
}

func parseBulkSize(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > ledger.BulkSize {
		return 0, fmt.Errorf("must be 1 to %d", ledger.BulkSize)
	}
	return n, nil
}

func parseReserve(s string) (int, error) {
	if s == "auto" {
		return ledger.AutoReserve, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, errors.New("must be auto, or a whole number that is not negative")
	}
	return n, nil
}

// hostOf is what may be logged of a URL.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

// innermost strips what net puts around the reason.
func innermost(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}
