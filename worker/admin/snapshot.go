package admin

import (
	"context"
	"sync"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// view is the state of a ledger and of this worker at a moment: what the status
// page shows.
type view struct {
	Now      time.Time
	Overview ledger.Overview
	Totals   ledger.Totals
	Hours    []ledger.Hour // the last hoursShown, the oldest first
	Oldest   map[tasks.Lane]ledger.Record
	Queues   ledger.Queues
	Workers  []ledger.Fellow
	Differ   string       // how workers are configured differently
	Imports  []importView // the newest, those that run first
	Reports  map[string]reconcile.Report
	Parked   []ledger.Record  // some of them
	Doubtful []ledger.Record  // unknown for longer than reading takes; some of them
	Broken   map[string]int64 // tasks that asynq has archived, by queue
	GivenUp  int64            // posts to the receiver of webhooks among those, about a page of them at most
	Breaker  breakerView
	Problems map[tasks.HealthProblem]string
}

type breakerView struct {
	Known   bool
	State   clerk.State
	RetryAt time.Time
}

const (
	hoursShown   = 48
	importsShown = 8
	importsRead  = 20
	someInvites  = 100

	// A look takes two reads, 15 s apart; with ignore_existing 15 min.
	doubtful       = 10 * time.Minute
	doubtfulResend = 45 * time.Minute
)

// snapshot keeps the last view for a moment, so that ten open pages cost as much
// as one.
type snapshot struct {
	mu   sync.Mutex
	last view
	err  error
	at   time.Time
}

const snapshotAge = time.Second

// view reads the state, or returns what was read a moment ago.
func (h *Handler) view(ctx context.Context) (view, error) {
	s := &h.snapshot
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) >= snapshotAge {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scrapeTimeout)
		defer cancel()
		s.last, s.err = h.read(ctx)
		s.at = time.Now()
	}
	return s.last, s.err
}

// forgetSnapshot lets the next page see what was changed just now.
func (h *Handler) forgetSnapshot() {
	h.snapshot.mu.Lock()
	defer h.snapshot.mu.Unlock()
	h.snapshot.at = time.Time{}
}

// read makes some twenty round trips, whatever the number of invites. With an
// error comes what is known without Redis.
func (h *Handler) read(ctx context.Context) (v view, err error) {
	l := h.cfg.Ledger
	v.Now, v.Problems = time.Now(), h.cfg.Health()
	if c := h.cfg.Clerk; c != nil {
		_, retryAt := c.Ready()
		v.Breaker = breakerView{true, c.State(), retryAt}
	}
	if v.Overview, err = l.Overview(ctx, v.Now); err != nil {
		return v, err
	}
	if v.Totals, err = l.Totals(ctx); err != nil {
		return v, err
	}
	if v.Hours, err = l.Hours(ctx, v.Now, hoursShown); err != nil {
		return v, err
	}
	if v.Oldest, err = oldest(ctx, l, v.Overview); err != nil {
		return v, err
	}
	if v.Queues, err = l.Queues(ctx, askersShown); err != nil {
		return v, err
	}
	fellows, err := l.Fellows(ctx, ledger.Now)
	if err != nil {
		return v, err
	}
	v.Workers, v.Differ = fellows, ledger.Disagreement(fellows)
	if v.Imports, err = h.imports(ctx, v.Overview, importsRead, importsShown); err != nil {
		return v, err
	}
	if v.Reports, err = reconcile.LastReports(ctx, l); err != nil {
		return v, err
	}
	if v.Parked, err = some(ctx, l, tasks.Parked, v.Overview); err != nil {
		return v, err
	}
	unknown, err := some(ctx, l, tasks.Unknown, v.Overview)
	if err != nil {
		return v, err
	}
	for _, r := range unknown {
		patience := doubtful
		if r.Invite.IgnoreExisting {
			patience = doubtfulResend
		}
		if v.Now.Sub(r.SentAt) > patience {
			v.Doubtful = append(v.Doubtful, r)
		}
	}
	v.Broken = map[string]int64{}
	for _, name := range h.queues.Names() {
		if q, err := h.queueInfo(name); err == nil && q.Archived > 0 {
			v.Broken[name] = int64(q.Archived)
		}
	}
	if v.Broken[h.queues.Control] > 0 {
		given, _, err := h.deliveryRows("given up", 0)
		if err != nil {
			return v, err
		}
		v.GivenUp = int64(len(given))
		if v.Broken[h.queues.Control] -= v.GivenUp; v.Broken[h.queues.Control] == 0 || v.GivenUp >= rowsAPage {
			delete(v.Broken, h.queues.Control) // What others' tasks are among many is not counted.
		}
	}
	return v, nil
}

func some(ctx context.Context, l *ledger.Ledger, s tasks.State, o ledger.Overview) ([]ledger.Record, error) {
	if o.States[s] == 0 {
		return nil, nil
	}
	page, err := l.ListState(ctx, s, "", someInvites)
	return page.Records, err
}
