package admin

import (
	"embed"
	"errors"
	"net/http"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/webhook"
)

// Config says what there is to show, and to whom. Ledger and Probes are required.
type Config struct {
	Ledger *ledger.Ledger
	Probes http.Handler                          // Serves /healthz and /readyz.
	Health func() map[tasks.HealthProblem]string // What keeps the worker from delivering, and what to do. Defaults to nothing.

	// Conditions are those of Redis that do not hold, in words. Defaults to none.
	Conditions func() map[tasks.Condition]string

	Clerk   *clerk.Client   // For the state of its breaker. Defaults to none.
	Webhook *webhook.Sender // Where this worker posts events. Defaults to nowhere.
	Metrics *Metrics        // What this process has counted. Defaults to a new one.
	Access  Access
	Acts    Acts // What people can do here. Defaults to nothing but what the ledger does by itself.
	Actions bool // asynqmon may pause, run, archive and delete. Defaults to false.
	Version string
	Log     zerolog.Logger
}

// Handler serves the pages. Their streams end with their requests, so there is
// nothing to close.
type Handler struct {
	cfg       Config
	inspector *asynq.Inspector
	queues    tasks.Queues
	pages     pages
	signedIn  sessions
	snapshot  snapshot
	uploads   uploads
	streams   chan struct{} // one for each open stream
	root      http.Handler
}

// New checks the configuration, complains about everything at once, and asks
// neither Redis nor Clerk.
func New(cfg Config) (*Handler, error) {
	var errs []error
	if cfg.Ledger == nil {
		errs = append(errs, errors.New("admin: Ledger is missing"))
	}
	if cfg.Probes == nil {
		errs = append(errs, errors.New("admin: Probes is missing"))
	}
	cfg.Access.Acts = cfg.Access.Acts || cfg.Actions
	errs = append(errs, cfg.Access.Check())
	p, err := parsePages()
	errs = append(errs, err)
	signedIn, err := newSessions(cfg.Access.Token)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Conditions == nil {
		cfg.Conditions = func() map[tasks.Condition]string { return nil }
	}
	if cfg.Health == nil {
		cfg.Health = func() map[tasks.HealthProblem]string { return nil }
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(cfg.Ledger.Instance(), cfg.Version)
	}
	h := &Handler{
		cfg: cfg, pages: p, queues: tasks.QueuesOf(cfg.Ledger.Instance()),
		signedIn: signedIn, inspector: asynq.NewInspectorFromRedisClient(cfg.Ledger.Redis()),
		streams: make(chan struct{}, maxStreams),
	}
	metrics, err := h.metricsHandler()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.statusPage)
	mux.HandleFunc("GET /events", live(h, p.status, h.statusNow))
	mux.HandleFunc("POST /search", h.search)
	mux.HandleFunc("GET /invites", pageOf(h, p.invites, h.browse))
	mux.HandleFunc("GET /invites/{id}", pageOf(h, p.invite, h.inviteOf))
	mux.HandleFunc("POST /invites/{id}/reveal", h.reveal)
	mux.HandleFunc("POST /invites/{id}/{verb}", h.act(h.actOnInvite))
	mux.HandleFunc("POST /invites", h.act(h.inviteOne))
	mux.HandleFunc("POST /selection", h.act(h.bulk))
	mux.HandleFunc("POST /lanes/{lane}/{verb}", h.act(h.pauseLane))
	mux.HandleFunc("POST /imports/{id}/{verb}", h.act(h.pauseImport))
	mux.HandleFunc("POST /uploads", h.upload)
	mux.HandleFunc("GET /uploads/{id}", pageOf(h, p.upload, h.uploadOf))
	mux.HandleFunc("GET /uploads/{id}/events", live(h, p.upload, h.uploadOf))
	mux.HandleFunc("POST /uploads/{id}/{verb}", h.act(h.actOnUpload))
	mux.HandleFunc("GET /reconciliation", pageOf(h, p.reconcile, h.reconcileOf))
	mux.HandleFunc("GET /reconciliation/events", live(h, p.reconcile, h.reconcileOf))
	mux.HandleFunc("POST /reconciliation/{verb}", h.act(h.startPass))
	mux.HandleFunc("GET /webhooks", pageOf(h, p.deliveries, h.deliveriesOf))
	mux.HandleFunc("GET /webhooks/events", live(h, p.deliveries, h.deliveriesOf))
	mux.HandleFunc("POST /webhooks/{task}/replay", h.act(h.replay))
	mux.HandleFunc("GET /audit", pageOf(h, p.audit, h.auditOf))
	mux.HandleFunc("GET /charts", pageOf(h, p.charts, h.chartsOf))
	mux.HandleFunc("GET /imports", pageOf(h, p.imports, h.importsOf))
	mux.HandleFunc("GET /imports/{id}", pageOf(h, p.one, h.importPage))
	mux.HandleFunc("GET /imports/{id}/events", live(h, p.one, h.importOf))
	mux.HandleFunc("GET /imports/{id}/outcomes.csv", h.outcomes)
	mux.Handle("GET /assets/", http.FileServerFS(assets))
	mux.Handle("GET /metrics", metrics)
	mux.Handle(monitoringPath+"/", h.monitoring())
	mux.Handle("GET "+monitoringPath, http.RedirectHandler(monitoringPath+"/", http.StatusMovedPermanently))
	mux.HandleFunc("/", h.notFound)

	open := http.NewServeMux()
	open.Handle("GET /healthz", cfg.Probes)
	open.Handle("GET /readyz", cfg.Probes)
	open.Handle("/", http.NewCrossOriginProtection().Handler(cfg.Access.guard(signedIn, mux)))
	h.root = secureHeaders(open)
	return h, nil
}

// ServeHTTP serves everything.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.root.ServeHTTP(w, r) }

//go:embed assets
var assets embed.FS
