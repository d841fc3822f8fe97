package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// collector reads what all workers of a ledger share, at every scrape, in a few
// round trips whatever the number of invites. Every worker tells the same, so take
// the max over them, not the sum. Counters come from the ledger and survive
// restarts.
//
// A part that cannot be read says so in inviteq_up{part} and leaves the others as
// they are; breaker and problems are this process's own.
type collector struct{ h *Handler }

const scrapeTimeout = 5 * time.Second

// gaugeOf and counterOf describe a metric by name, help and labels.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("inviteq_"+name, help, labels, nil)
}

var (
	descUp        = desc("up", "1 if this part of Redis could be read: the ledger, or one of asynq's queues.", "part")
	descCondition = desc("condition", "1 if the promises rest on this and Redis does not fulfil it; /readyz says what to do.", "condition")
	descProblem   = desc("problem", "1 if this keeps the worker from delivering; /readyz says what to do.", "problem")
	descBreaker   = desc("breaker_state", "1 for the state in which this process's breaker is.", "state")
	descInvites   = desc("invites", "Invites in each state.", "state")
	descWaiting   = desc("waiting_invites", "Invites that wait for their turn.", "lane")
	descLater     = desc("delayed_invites", "Queued invites that may not go yet: not before, or backoff.")
	descShelved   = desc("stopped_invites", "Queued invites of imports that are paused or held.")
	descStopped   = desc("stopped_imports", "Imports that are paused or held.")
	descOldest    = desc("oldest_waiting_seconds", "Age of the invite at the head of a lane; 0 if none waits.", "lane")
	descDepth     = desc("asker_waiting_invites", "Queued invites of the ten deepest queues of each lane, by who asked; owner is other for the rest, and none where nobody was named.", "lane", "owner", "import")
	descAge       = desc("asker_oldest_seconds", "Age of the oldest waiting invite of such a queue.", "lane", "owner", "import")
	descWorkers   = desc("workers", "Workers of the ledger that are there.")
	descDiffer    = desc("worker_limits_differ", "1 if they are configured with different limits.")
	descDrain     = desc("drain_seconds", "Until everything that waits now will have been sent, at the current rate.")
	descPaused    = desc("lane_paused", "1 if the lane is paused.", "lane")
	descLimit     = desc("quota_limit_calls", "Calls that Clerk allows in a window, as configured; absent without a limit.", "endpoint")
	descLeft      = desc("quota_remaining_calls", "Calls that may still be made in the window; absent without a limit.", "endpoint")
	descNext      = desc("quota_next_call_seconds", "Until the next call may be made; 0 if at once.", "endpoint")
	descGate      = desc("gate_seconds", "Until the gate opens or is probed; 0 if it is open. all: the key or the edge refuses us.", "endpoint")
	descCareful   = desc("gate_careful_seconds", "How long calls will still be spaced evenly after a refusal that the log did not predict.", "endpoint")
	descBulk      = desc("bulk_invites", "Invites that a bulk call may hold now; 1 if none is made.")
	descSmaller   = desc("bulk_smaller_seconds", "How long bulk calls will still be smaller, or not be made, because Clerk refuses them, whatever invites they hold.")
	descRevoking  = desc("revokes_waiting", "Invites to be revoked, and requests to revoke, that a worker still has to carry out.")
	descRefused   = desc("revokes_refused", "Those among them that Clerk has refused so far.")
	descArrived   = desc("late_arrivals_total", "Invitations that a lost call made after its invite had ended, ever.")
	descDemand    = desc("interactive_demand_invites", "Interactive invites in the last window.")
	descMoves     = desc("invite_transitions_total", "Changes of state, ever.", "from", "to")
	descOutcomes  = desc("outcomes_total", "Invites that came into a state that is not open, by reason, ever.", "state", "reason")
	descDone      = desc("deliveries_total", "Invites that Clerk has taken from us, ever.")
	descLast      = desc("reconcile_last_timestamp_seconds", "When the last pass began that was finished.", "pass")
	descLastTook  = desc("reconcile_last_duration_seconds", "How long the last pass took.", "pass")
	descFindings  = desc("reconcile_last_differences", "Differences that the last pass found.", "pass", "difference")
	descTasks     = desc("queue_tasks", "Tasks of asynq.", "queue", "state")
	descLatency   = desc("queue_latency_seconds", "Age of the oldest pending task.", "queue")
	descQPaused   = desc("queue_paused", "1 if asynq's queue is paused.", "queue")
	descDoneQ     = desc("queue_processed_total", "Runs of tasks, ever; one that waits runs more than once.", "queue")
	descFailedQ   = desc("queue_failed_total", "Runs of tasks that failed, ever; waiting is no failure.", "queue")
)

// Describe leaves the collector unchecked: which series there are depends on
// what can be read.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads everything: side by side, so that a Redis that does not answer is
// waited for once.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s := scrape{out}
	c.process(s)
	var reads sync.WaitGroup
	reads.Go(func() { s.gauge(descUp, truth(c.ledger(ctx, s) == nil), "ledger") })
	for label, name := range map[string]string{
		"interactive": c.h.queues.Interactive, "import": c.h.queues.Import, "control": c.h.queues.Control,
	} {
		reads.Go(func() { c.queue(s, label, name) })
	}
	reads.Wait()
}

// scrape writes metrics.
type scrape struct{ out chan<- prometheus.Metric }

func (s scrape) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s scrape) counter(d *prometheus.Desc, v int64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// until is how far away a moment is, in seconds, and 0 once it has passed.
func until(now, at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return max(0, at.Sub(now).Seconds())
}

// process tells what is this process's own.
func (c *collector) process(s scrape) {
	problems := c.h.cfg.Health()
	for _, what := range tasks.HealthProblems() {
		_, is := problems[what]
		s.gauge(descProblem, truth(is), string(what))
	}
	conditions := c.h.cfg.Conditions()
	for _, what := range tasks.Conditions() {
		_, is := conditions[what]
		s.gauge(descCondition, truth(is), string(what))
	}
	if c.h.cfg.Clerk != nil {
		now := c.h.cfg.Clerk.State()
		for _, state := range []clerk.State{clerk.Closed, clerk.HalfOpen, clerk.Open} {
			s.gauge(descBreaker, truth(state == now), state.String())
		}
	}
}

func (c *collector) ledger(ctx context.Context, s scrape) error {
	now := time.Now()
	l := c.h.cfg.Ledger
	o, err := l.Overview(ctx, now)
	if err != nil {
		return err
	}
	totals, err := l.Totals(ctx)
	if err != nil {
		return err
	}
	heads, err := oldest(ctx, l, o)
	if err != nil {
		return err
	}
	for _, state := range tasks.States {
		s.gauge(descInvites, float64(o.States[state]), state.String())
	}
	for _, lane := range tasks.Lanes {
		_, paused := o.Paused[lane]
		s.gauge(descWaiting, float64(o.Waiting[lane]), lane.String())
		s.gauge(descOldest, ageOf(now, heads[lane]), lane.String())
		s.gauge(descPaused, truth(paused), lane.String())
	}
	if err := c.askers(ctx, s, now); err != nil {
		return err
	}
	s.gauge(descLater, float64(o.Later))
	s.gauge(descShelved, float64(o.Shelved))
	s.gauge(descStopped, float64(o.Stopped))
	if at := o.Drain(); !at.IsZero() { // Nobody knows when while nothing can move.
		s.gauge(descDrain, until(now, at))
	}
	s.gauge(descDemand, o.Demand)
	s.gauge(descGate, until(now, o.Closed.Until), string(ledger.All))
	s.gauge(descBulk, float64(o.BulkNow()))
	s.gauge(descSmaller, until(now, o.Quotas[ledger.Bulk].Gate.MostUntil))
	s.gauge(descRevoking, float64(o.Revoking))
	s.gauge(descRefused, float64(o.Refused))
	for _, e := range ledger.Endpoints {
		q := o.Quotas[e]
		if q.Limit.Calls > 0 {
			s.gauge(descLimit, float64(q.Limit.Calls), string(e))
			s.gauge(descLeft, float64(q.Free()), string(e))
		}
		s.gauge(descNext, until(now, q.NextAt), string(e))
		s.gauge(descGate, until(now, q.Gate.Until), string(e))
		s.gauge(descCareful, until(now, q.Gate.CarefulUntil), string(e))
	}
	for m, n := range totals.Moves {
		s.counter(descMoves, n, m.From.String(), m.To.String())
	}
	s.counter(descDone, totals.Delivered())
	s.counter(descArrived, totals.Arrived)
	for labels, n := range bounded(totals.Outcomes) {
		s.counter(descOutcomes, n, labels[0], labels[1])
	}
	return c.reports(ctx, s)
}

// askersShown bounds the series by lane: an owner is a name that the operator, or a
// producer, has chosen.
const askersShown = 10

// askers tells what waits by who asked, and whether the workers agree.
func (c *collector) askers(ctx context.Context, s scrape, now time.Time) error {
	queues, err := c.h.cfg.Ledger.Queues(ctx, askersShown)
	if err != nil {
		return err
	}
	for _, q := range queues.Deepest {
		owner := cmp.Or(q.Owner, "none")
		s.gauge(descDepth, float64(q.Waiting), q.Lane.String(), owner, q.Import)
		s.gauge(descAge, age(now, q.Since), q.Lane.String(), owner, q.Import)
	}
	for lane, n := range queues.Others {
		s.gauge(descDepth, float64(n), lane.String(), "other", "")
	}
	fellows, err := c.h.cfg.Ledger.Fellows(ctx, ledger.Now)
	s.gauge(descWorkers, float64(len(fellows)))
	s.gauge(descDiffer, truth(ledger.Disagreement(fellows) != ""))
	return err
}

func ageOf(now time.Time, head ledger.Record) float64 {
	return age(now, head.CreatedAt)
}

func age(now, since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}

// oldest reads the invite at the head of each lane that has one.
func oldest(ctx context.Context, l *ledger.Ledger, o ledger.Overview) (map[tasks.Lane]ledger.Record, error) {
	heads := map[tasks.Lane]ledger.Record{}
	for lane, id := range o.OldestWaiting {
		records, err := l.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			heads[lane] = r
		}
	}
	return heads, nil
}

// bounded returns the outcomes by their labels, state and reason. A reason is one
// of the vocabulary's, whatever a later version has written into Redis.
func bounded(outcomes map[ledger.Outcome]int64) map[[2]string]int64 {
	all := make(map[[2]string]int64, len(outcomes))
	for _, s := range tasks.States {
		if !s.Open() {
			all[[2]string{s.String(), "none"}] = 0 // A counter that begins at one has no rate for it.
		}
	}
	for o, n := range outcomes {
		label := string(o.Reason)
		if label == "" {
			label = "none"
		} else if _, err := tasks.ParseReason(label); err != nil {
			label = "other"
		}
		all[[2]string{o.State.String(), label}] += n
	}
	return all
}

func (c *collector) reports(ctx context.Context, s scrape) error {
	reports, err := reconcile.LastReports(ctx, c.h.cfg.Ledger)
	for pass, r := range reports {
		s.gauge(descLast, float64(r.StartedAt.Unix()), pass)
		s.gauge(descLastTook, r.Took.Seconds(), pass)
		for _, d := range differences(r) {
			s.gauge(descFindings, float64(d.count), pass, d.name)
		}
	}
	return err
}

// queue reads one of asynq's three queues. What goes wrong with it leaves the others
// as they are.
func (c *collector) queue(s scrape, label, name string) {
	q, err := c.h.queueInfo(name)
	s.gauge(descUp, truth(err == nil), "queue_"+label)
	if err != nil {
		return
	}
	for state, n := range map[string]int{
		"active": q.Active, "pending": q.Pending, "scheduled": q.Scheduled, "retry": q.Retry,
		"archived": q.Archived, "completed": q.Completed,
	} {
		s.gauge(descTasks, float64(n), label, state)
	}
	s.gauge(descLatency, q.Latency.Seconds(), label)
	s.gauge(descQPaused, truth(q.Paused), label)
	s.counter(descDoneQ, int64(q.ProcessedTotal), label)
	s.counter(descFailedQ, int64(q.FailedTotal), label)
}

// queueInfo reads one queue; one that no task has ever been in is empty.
func (h *Handler) queueInfo(name string) (*asynq.QueueInfo, error) {
	known, err := h.inspector.Queues()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(known, name) {
		return &asynq.QueueInfo{Queue: name}, nil
	}
	return h.inspector.GetQueueInfo(name)
}

func isNotFound(err error) bool { return errors.Is(err, ledger.ErrNotFound) }
