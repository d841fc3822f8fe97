package admin

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// Metrics counts what this process does. Like all counters of a process they
// begin at zero when it starts, and are summed over processes:
//
//	inviteq_clerk_calls_total{operation,outcome,status}      calls to Clerk; outcome is ok or clerk.Kind, status an HTTP status or none
//	inviteq_clerk_call_duration_seconds{operation}           histogram
//	inviteq_breaker_opened_total                             times that the breaker opened
//	inviteq_delivery_wait_seconds{lane}                      histogram: from when an invite might have gone to the call that delivered it
//	inviteq_sweep_tasks_total                                records that the sweep gave a task that they lacked
//	inviteq_reconcile_passes_total{pass}                     pass is recent or full
//	inviteq_reconcile_differences_total{difference}          settled, missing, doubled, foreign, lagging
//	inviteq_build_info{version}                              always 1
//
// What the workers do together is in the ledger: see collector. Every metric has
// the label ledger, the name of the Clerk instance.
type Metrics struct {
	registry *prometheus.Registry
	labelled prometheus.Registerer

	calls       *prometheus.CounterVec
	took        *prometheus.HistogramVec
	opened      prometheus.Counter
	waited      *prometheus.HistogramVec
	swept       prometheus.Counter
	passes      *prometheus.CounterVec
	differences *prometheus.CounterVec
}

// NewMetrics returns the metrics of a worker of an instance ("" is the default
// one). Its methods are the hooks of clerk.Config, clerk.Breaker and
// worker.Observer.
func NewMetrics(instance, version string) *Metrics {
	if instance == "" {
		instance = tasks.DefaultInstance
	}
	registry := prometheus.NewRegistry()
	m := &Metrics{
		registry: registry,
		labelled: prometheus.WrapRegistererWith(prometheus.Labels{"ledger": instance}, registry),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "inviteq_clerk_calls_total", Help: "Calls to Clerk by this process. outcome is ok or what is known of the failure; status is none when no answer came.",
		}, []string{"operation", "outcome", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "inviteq_clerk_call_duration_seconds", Help: "How long calls to Clerk took that were sent.",
			Buckets: []float64{.05, .1, .2, .3, .5, 1, 2, 5, 10},
		}, []string{"operation"}),
		opened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "inviteq_breaker_opened_total", Help: "How often this process stopped calling Clerk because it was down.",
		}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "inviteq_delivery_wait_seconds", Help: "How long invites waited, from when they might have gone to the call that delivered them.",
			Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600},
		}, []string{"lane"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "inviteq_sweep_tasks_total", Help: "Records without a task to which the sweep of this process gave one.",
		}),
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "inviteq_reconcile_passes_total", Help: "Passes of reconciliation that this process has finished.",
		}, []string{"pass"}),
		differences: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "inviteq_reconcile_differences_total", Help: "Differences between ledger and Clerk that passes of this process have found.",
		}, []string{"difference"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "inviteq_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.labelled.MustRegister(m.calls, m.took, m.opened, m.waited, m.swept, m.passes, m.differences, info)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// A counter that appears with its first event has no rate for it.
	for _, d := range differences(reconcile.Report{}) {
		m.differences.WithLabelValues(d.name)
	}
	for _, op := range []clerk.Op{clerk.OpCreate, clerk.OpBulkCreate, clerk.OpRevoke, clerk.OpDelete, clerk.OpList, clerk.OpUsers, clerk.OpProbe} {
		m.calls.WithLabelValues(op.String(), "ok", "200")
		m.took.WithLabelValues(op.String())
	}
	for _, lane := range tasks.Lanes {
		m.waited.WithLabelValues(lane.String())
	}
	for _, pass := range reconcile.Kinds {
		m.passes.WithLabelValues(pass)
	}
	return m
}

// Call is clerk.Config.Observe.
func (m *Metrics) Call(c clerk.Call) {
	outcome, status := "ok", "200"
	if c.Err != nil {
		outcome, status = c.Err.Kind.String(), statusLabel(c.Err.Status)
	}
	m.calls.WithLabelValues(c.Op.String(), outcome, status).Inc()
	if c.Err == nil || c.Err.Kind != clerk.KindNotSent {
		m.took.WithLabelValues(c.Op.String()).Observe(c.Took.Seconds())
	}
}

// statusLabel is one of a bounded set, whatever a server says.
func statusLabel(status int) string {
	switch {
	case status == 0:
		return "none"
	case http.StatusText(status) != "":
		return strconv.Itoa(status)
	}
	return "other"
}

// Breaker is clerk.Breaker.OnChange.
func (m *Metrics) Breaker(c clerk.Change) {
	if c.To == clerk.Open && c.From == clerk.Closed {
		m.opened.Inc()
	}
}

// Delivered is worker.Observer.Delivered.
func (m *Metrics) Delivered(lane tasks.Lane, waited time.Duration) {
	m.waited.WithLabelValues(lane.String()).Observe(waited.Seconds())
}

// Swept is worker.Observer.Swept.
func (m *Metrics) Swept(given int) { m.swept.Add(float64(given)) }

// Reconciled is worker.Observer.Reconciled.
func (m *Metrics) Reconciled(r reconcile.Report) {
	if pass := r.Kind; slices.Contains(reconcile.Kinds, pass) {
		m.passes.WithLabelValues(pass).Inc()
	}
	for _, d := range differences(r) {
		m.differences.WithLabelValues(d.name).Add(float64(d.count))
	}
}

type difference struct {
	name  string
	count int
}

// differences are what a pass found, by what was wrong.
func differences(r reconcile.Report) []difference {
	return []difference{
		{"settled", r.SettledAll()}, {"missing", r.Missing}, {"doubled", r.Doubled}, {"foreign", r.Foreign}, {"lagging", r.Lagging},
	}
}

// metricsHandler serves both kinds.
func (h *Handler) metricsHandler() (http.Handler, error) {
	m := h.cfg.Metrics
	if err := m.labelled.Register(&collector{h}); err != nil {
		return nil, err
	}
	return promhttp.InstrumentMetricHandler(m.registry, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second, Registry: m.registry,
	})), nil
}
