package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

// watch knows whether Clerk may be called at all, probes it when that is due, and
// tells the worker's health what stands in the way.
//
// It asks Clerk once before the first turn, so that a worker with a wrong key says so
// before anybody is invited, and is not ready: a rollout keeps the old ones then. What
// Clerk refuses is refused to this worker: others may have the right key, and go on.
// Only where none of them has, the gate over everything is closed for all.
//
// A worker that has reached Clerk since its start stays ready when Clerk does not
// answer any more: to replace it would change nothing, and waiting costs nothing. One
// that has never reached it is not ready: its address, or the way out, may be wrong.
type watch struct {
	ledger *ledger.Ledger
	clerk  *clerk.Client
	reads  *reads
	health *health
	tempo  *tempo
	name   string // of this worker among its fellows

	mu      sync.Mutex
	asked   bool            // once, whatever came of it
	reached bool            // Clerk, or something in its place, has answered since the start
	refused tasks.GateCause // why it refuses this worker; "" if it does not
	again   time.Time       // when to ask again while it does
}

// run asks at the start, and looks at the gate over everything from time to time, until
// ctx ends.
func (w *watch) run(ctx context.Context) {
	if !w.tempo.greets {
		w.heard(ctx, nil)
		w.mu.Lock()
		w.asked = true
		w.mu.Unlock()
	}
	for ctx.Err() == nil {
		if _, due := w.state(); due {
			w.ask(ctx)
		}
		w.checkUp(ctx)
		pause := w.tempo.watch
		w.mu.Lock()
		if !w.reached {
			pause = time.Second
		}
		w.mu.Unlock()
		nudges(nil).sleep(ctx, pause)
	}
}

// state returns why Clerk refuses this worker, and whether it should be asked.
func (w *watch) state() (refused tasks.GateCause, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused, !w.reached || w.refused != "" && !time.Now().Before(w.again)
}

// ask makes one read, to see whether Clerk answers, and takes the key.
func (w *watch) ask(ctx context.Context) {
	if err := w.reads.spend(ctx); err != nil {
		if isFailure(err) { // else the quota is spent
			w.health.redis(err)
		}
		return
	}
	err := w.clerk.Probe(ctx)
	if ctx.Err() != nil {
		return
	}
	w.heard(ctx, err)
	w.mu.Lock()
	w.asked = true
	if !asError(err).Kind.ClosesEverything() && w.reached {
		w.refused = ""
	}
	w.mu.Unlock()
}

// heard learns from what became of a read, or of several.
func (w *watch) heard(ctx context.Context, err error) {
	if _, ok := errors.AsType[*clerk.Error](err); err != nil && !ok {
		return // It is about Redis, or the quota.
	}
	kind := asError(err).Kind
	w.mu.Lock()
	before := w.refused
	w.reached = w.reached || err == nil || asError(err).Status > 0
	if kind.ClosesEverything() {
		w.refused, w.again = verdict.CloseEverything(time.Now(), kind).Why, time.Now().Add(verdict.KeyGate)
	}
	reached, refused := w.reached, w.refused
	w.mu.Unlock()
	w.health.clerk(reached)
	if refused == "" || !kind.ClosesEverything() {
		return
	}
	w.keyHealth(ledger.Gate{})
	if refused != before && !w.othersMay(ctx) {
		w.health.redis(w.ledger.SetGate(ctx, ledger.Now, verdict.CloseEverything(w.ledger.Time(), kind)))
	}
}

// othersMay reports whether there is a worker that Clerk does not refuse.
func (w *watch) othersMay(ctx context.Context) bool {
	all, err := w.ledger.Fellows(ctx, ledger.Now)
	return err != nil || slices.ContainsFunc(all, func(f ledger.Fellow) bool { return f.Name != w.name && f.Problem == "" })
}

func (w *watch) checkUp(ctx context.Context) {
	o, err := w.ledger.Overview(ctx, ledger.Now)
	w.health.redis(err)
	if err == nil {
		w.keyHealth(o.Closed)
	}
}

// keyHealth says whether Clerk refuses this worker, or all.
func (w *watch) keyHealth(g ledger.Gate) {
	why, _ := w.state()
	if why == "" && g.Closed() {
		why = g.Why
	}
	switch why {
	case "":
		w.health.set(tasks.ProblemClerkKey, "")
	case tasks.CauseUnauthorized:
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

// firstLook is how soon a turn is asked for again while Clerk has not been asked yet.
const firstLook = 20 * time.Millisecond

// clerkReady asks the breaker. If it is due to close, this makes the probe.
func (w *watch) clerkReady(ctx context.Context) (bool, time.Time) {
	w.mu.Lock()
	asked, refused, again := w.asked, w.refused, w.again
	w.mu.Unlock()
	switch {
	case !asked && w.tempo.greets:
		return false, time.Now().Add(firstLook)
	case refused != "":
		return false, latest(again, time.Now().Add(time.Second))
	}
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
