package admin

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// asynqmon shows and changes all queues of a Redis. Here it is for one instance: what
// is about another one's queue is not found, and left out of what is listed.

// queueOf returns the queue that a path of asynqmon's API is about, and what shall be
// done with the whole of it: "", "pause" or "resume".
func queueOf(path string) (queue, verb string, found bool) {
	rest, found := strings.CutPrefix(path, "/api/queues/")
	if !found {
		return "", "", false
	}
	queue, _, below := strings.Cut(rest, "/")
	if below {
		return queue, "", true
	}
	for _, verb := range []string{"pause", "resume"} {
		if name, ok := strings.CutSuffix(queue, ":"+verb); ok {
			return name, verb, true
		}
	}
	return queue, "", true
}

// ours reports whether a path of asynqmon's API is about this instance alone.
func (h *Handler) ours(path string) bool {
	queue, _, found := queueOf(path)
	return (!found || slices.Contains(h.queues.Names(), queue)) && !strings.HasPrefix(path, "/api/scheduler_entries/")
}

// lanePause makes asynqmon's pause of a queue that of its lane, and its resume, too:
// the worker sends by the lane. It reports whether it was one.
func (h *Handler) lanePause(w http.ResponseWriter, r *http.Request, path string) bool {
	queue, verb, _ := queueOf(path)
	if verb == "" || r.Method != http.MethodPost || !h.cfg.Actions {
		return false
	}
	for _, lane := range tasks.Lanes {
		if h.queues.Of(lane) != queue {
			continue
		}
		err := h.setPaused(r, lane, verb == "pause")
		if err != nil {
			http.Error(w, "Redis does not answer, so nothing was changed.", http.StatusInternalServerError)
			return true
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	return false // The control queue has no lane.
}

// setPaused pauses or resumes a lane. Its asynq queue would follow within a second; here it
// does at once, so that asynqmon shows it, and first, as the worker expects of whoever
// changes both.
func (h *Handler) setPaused(r *http.Request, lane tasks.Lane, paused bool) error {
	defer h.forgetSnapshot()
	if paused {
		_ = h.inspector.PauseQueue(h.queues.Of(lane)) // The worker does it, too.
		return h.cfg.Ledger.Pause(r.Context(), ledger.Now, lane)
	}
	_ = h.inspector.UnpauseQueue(h.queues.Of(lane)) // The worker does it, too.
	return h.cfg.Ledger.Resume(r.Context(), lane)
}

// onlyOurs leaves out of a list of asynqmon's what other instances have.
func (h *Handler) onlyOurs(path string, body []byte) []byte {
	var all map[string]json.RawMessage
	field := map[string]string{
		"/api/queue_stats": "stats", "/api/servers": "servers", "/api/scheduler_entries": "entries", "/api/redis_info": "queue_locations",
	}[path]
	if field == "" || json.Unmarshal(body, &all) != nil || all[field] == nil {
		return body
	}
	own := func(queue string) bool { return slices.Contains(h.queues.Names(), queue) }
	var kept any
	var err error
	switch field {
	case "stats":
		var stats map[string]json.RawMessage
		err = json.Unmarshal(all[field], &stats)
		maps.DeleteFunc(stats, func(queue string, _ json.RawMessage) bool { return !own(queue) })
		kept = stats
	case "entries":
		kept = []any{} // inviteq has no scheduler of asynq's.
	default:
		var list []json.RawMessage
		err = json.Unmarshal(all[field], &list)
		kept = slices.DeleteFunc(list, func(one json.RawMessage) bool {
			var about struct {
				Queue  string         `json:"queue"`
				Queues map[string]int `json:"queue_priorities"`
			}
			if json.Unmarshal(one, &about) != nil {
				return true
			}
			for queue := range about.Queues {
				if own(queue) {
					return false
				}
			}
			return !own(about.Queue)
		})
	}
	text, err2 := json.Marshal(kept)
	if all[field] = text; errors.Join(err, err2) != nil {
		return []byte("{}")
	}
	body, err = json.Marshal(all)
	if err != nil {
		return []byte("{}")
	}
	return body
}

// queueNames are the queues of this instance that asynq knows.
func (h *Handler) queueNames() ([]string, error) {
	names, err := h.inspector.Queues()
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(h.queues.Names(), name) }), err
}
