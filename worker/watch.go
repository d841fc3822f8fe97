package worker

import (
	"context"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

// watch knows whether Clerk may be called at all, probes it when that is due, and
// tells the worker's health what stands in the way.
type watch struct {
	ledger *ledger.Ledger
	clerk  *clerk.Client
	reads  *reads
	health *health
	tempo  *tempo
}

// run looks at the gate over everything, from time to time, until ctx ends.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(w.tempo.watch)
	defer tick.Stop()
	for {
		w.checkUp(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) checkUp(ctx context.Context) {
	o, err := w.ledger.Overview(ctx, ledger.Now)
	w.health.redis(err)
	if err == nil {
		w.keyHealth(o.Closed)
	}
}

func (w *watch) keyHealth(g ledger.Gate) {
	switch {
	case !g.Closed():
		w.health.set(tasks.ProblemClerkKey, "")
	case g.Why == tasks.CauseUnauthorized:
		w.health.set(tasks.ProblemClerkKey, "Clerk refuses the secret key: check CLERK_SECRET_KEY; nothing is sent until it works")
	default:
		w.health.set(tasks.ProblemClerkKey, "the edge in front of Clerk refuses us: check CLERK_API_URL and the network's way out; nothing is sent until it works")
	}
}

// askForTheKey probes whether Clerk takes the key again, once the gate over
// everything is due, and returns when to ask next.
func (w *watch) askForTheKey(ctx context.Context, due time.Time) time.Time {
	now := time.Now()
	if o, err := w.ledger.Overview(ctx, ledger.Now); err == nil {
		w.keyHealth(o.Closed)
	}
	if now.Before(due) && due.Before(now.Add(w.tempo.idle)) {
		return due
	}
	if now.Before(due) {
		return now.Add(w.tempo.idle)
	}
	gate := ledger.GateChange{Endpoint: ledger.All, Open: true}
	if err := w.clerk.Probe(ctx); err != nil && asError(err).Kind.ClosesEverything() {
		gate = verdict.CloseEverything(w.ledger.Time(), asError(err).Kind)
	} else if err != nil {
		return now.Add(w.tempo.idle)
	}
	w.health.redis(w.ledger.SetGate(ctx, ledger.Now, gate))
	return now.Add(time.Second)
}

// clerkReady asks the breaker. If it is due to close, this makes the probe.
func (w *watch) clerkReady(ctx context.Context) (bool, time.Time) {
	ok, retryAt := w.clerk.Ready()
	if ok || time.Now().Before(retryAt) {
		return ok, retryAt
	}
	if err := w.reads.spend(ctx); err != nil {
		return false, time.Now().Add(time.Second)
	}
	if err := w.clerk.Probe(ctx); err != nil && asError(err).Kind.ClosesEverything() {
		w.health.redis(w.ledger.SetGate(ctx, ledger.Now, verdict.CloseEverything(w.ledger.Time(), asError(err).Kind)))
	}
	if ok, retryAt = w.clerk.Ready(); !ok && !retryAt.After(time.Now()) {
		retryAt = time.Now().Add(time.Second)
	}
	return ok, retryAt
}
