package worker

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// health knows what keeps the worker from delivering. It logs one line for each
// change, not one for each failure.
type health struct {
	log      zerolog.Logger
	place    string // Where Redis is.
	mu       sync.Mutex
	problems map[tasks.HealthProblem]string // what to do
	asking   bool                           // Clerk has not been asked yet: not ready, and no news
	failed   time.Time                      // when Redis last failed
	kind     redisconn.Kind                 // what was last said of it
	said     time.Time                      // when
	fellows  []ledger.Fellow                // the workers that are there, this one included
	differ   string                         // how they are configured differently
	paused   map[tasks.Lane]bool
}

// fellowsAre notes which workers are there, and says so when their settings differ.
func (h *health) fellowsAre(all []ledger.Fellow) {
	differ := ledger.Disagreement(all)
	h.mu.Lock()
	before := h.differ
	h.fellows, h.differ = all, differ
	h.mu.Unlock()
	switch {
	case differ == before:
	case differ == "":
		h.log.Info().Msg("all workers have the same limits again")
	default:
		h.log.Warn().Str("workers", differ).Msg("workers have different limits")
	}
}

func (h *health) set(what tasks.HealthProblem, advice string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, was := h.problems[what]
	switch {
	case advice == "" && was:
		delete(h.problems, what)
		h.log.Info().Str("what", string(what)).Msg("well again")
	case advice != "":
		if h.problems == nil {
			h.problems = map[tasks.HealthProblem]string{}
		}
		h.problems[what] = advice
		if what != tasks.ProblemDraining && (!was || before != advice) {
			h.log.Error().Str("what", string(what)).Str("advice", advice).Msg("not ready")
		}
	}
}

// clerk says whether Clerk has been reached since the start. A probe that comes before
// it was asked must not find the worker ready, and there is nothing to tell a person yet.
func (h *health) clerk(reached bool) {
	h.mu.Lock()
	h.asking = false
	h.mu.Unlock()
	advice := ""
	if !reached {
		advice = tasks.ProblemClerkUnreached.Entry().Do
	}
	h.set(tasks.ProblemClerkUnreached, advice)
}

// calm is how long Redis must not have failed before it is said to be well again:
// many talk to it at a time, and their news may cross.
const calm = 3 * time.Second

func (h *health) has(what tasks.HealthProblem) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, has := h.problems[what]
	return has
}

// words lists what keeps the worker from delivering, for its fellows.
func (h *health) words() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var words []string
	for what := range h.problems {
		words = append(words, string(what))
	}
	slices.Sort(words)
	return strings.Join(words, ",")
}

func (h *health) redis(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	h.mu.Lock()
	if err != nil {
		h.failed = time.Now()
	}
	crossing := time.Since(h.failed) < calm
	h.mu.Unlock()
	switch {
	case err == nil && crossing:
	case err == nil:
		h.set(tasks.ProblemRedis, "")
	default:
		h.trouble(err)
	}
}

// trouble says what is wrong with Redis. While it fails over, several kinds of
// error come from several goroutines: one line in ten seconds is enough.
func (h *health) trouble(err error) {
	kind, advice := redisconn.KindOf(err), "Redis does not answer: check REDIS_URL and the server"
	if kind != "" {
		advice = redisconn.Explain(h.place, err).Error()
	}
	h.mu.Lock()
	same := kind == h.kind || time.Since(h.said) < tellTrouble
	if h.problems[tasks.ProblemRedis] == "" {
		same = false
	}
	if !same {
		h.kind, h.said = kind, time.Now()
	}
	h.mu.Unlock()
	if !same {
		h.set(tasks.ProblemRedis, advice)
	}
}

// tellTrouble is how long one word about Redis stands before another replaces it.
const tellTrouble = 10 * time.Second

func (h *health) draining() { h.set(tasks.ProblemDraining, "shutting down") }

// Problems returns what keeps the worker from delivering, and what to do about
// it. Empty means ready.
func (w *Worker) Problems() map[tasks.HealthProblem]string {
	w.health.mu.Lock()
	defer w.health.mu.Unlock()
	p := map[tasks.HealthProblem]string{}
	if w.health.asking {
		p[tasks.ProblemClerkUnreached] = "Clerk is being asked for the first time"
	}
	maps.Copy(p, w.health.problems)
	return p
}

// Asking reports whether Clerk is being asked for the first time: then
// tasks.ProblemClerkUnreached is nothing to tell a person yet.
func (w *Worker) Asking() bool {
	w.health.mu.Lock()
	defer w.health.mu.Unlock()
	return w.health.asking
}

// Fellows returns the workers of the ledger that are there, and what is to be said if
// they are configured differently.
func (w *Worker) Fellows() (all []ledger.Fellow, differ string) {
	w.health.mu.Lock()
	defer w.health.mu.Unlock()
	return slices.Clone(w.health.fellows), w.health.differ
}

// pausedAre notes which lanes are paused, and says so when that changes. changed are
// those that follow their asynq queue.
func (h *health) pausedAre(paused, changed map[tasks.Lane]bool) {
	h.mu.Lock()
	before := h.paused
	h.paused = paused
	h.mu.Unlock()
	for _, lane := range tasks.Lanes {
		if paused[lane] == before[lane] {
			continue
		}
		text := "the lane is resumed"
		if paused[lane] {
			text = "the lane is paused: nothing of it is sent until it is resumed"
		}
		if _, follows := changed[lane]; follows {
			text += "; its asynq queue was changed"
		}
		h.log.Info().Stringer("lane", lane).Msg(text)
	}
}

// notice is what is worth knowing and no reason to be unready.
func (h *health) notice() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, lane := range tasks.Lanes {
		if h.paused[lane] {
			all = append(all, "the "+lane.String()+" lane is paused; `inviteq resume` lets it go on")
		}
	}
	if h.differ != "" {
		all = append(all, h.differ)
	}
	return strings.Join(all, "; ")
}

// silence says that Clerk does not answer any more; "" while it does. That leaves
// /readyz green: see watch.
func (w *Worker) silence() string {
	ok, retryAt := w.cfg.Clerk.Ready()
	if ok {
		return ""
	}
	return "does not answer; the next try is at " + retryAt.UTC().Format(time.RFC3339) + ". Nothing is lost, and to replace this worker would change nothing"
}

// Handler serves /healthz (the process lives) and /readyz (it can deliver; if
// not, what to do; under which conditions the promises do not hold; and which
// workers there are).
func (w *Worker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = rw.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, _ *http.Request) {
		problems := w.Problems()
		fellows, _ := w.Fellows()
		workers := make([]string, len(fellows))
		for i, f := range fellows {
			workers[i] = f.String()
		}
		rw.Header().Set("Content-Type", "application/json")
		if len(problems) > 0 {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(rw).Encode(struct {
			Ready    bool                           `json:"ready"`
			Problems map[tasks.HealthProblem]string `json:"problems,omitzero"`
			Notice   string                         `json:"notice,omitzero"` // no reason to be unready
			Clerk    string                         `json:"clerk,omitzero"`  // nor is that it does not answer any more
			Workers  []string                       `json:"workers,omitzero"`
			Warnings map[tasks.Condition]string     `json:"warnings,omitempty"`
		}{len(problems) == 0, problems, w.health.notice(), w.silence(), workers, w.Conditions()})
	})
	return mux
}
