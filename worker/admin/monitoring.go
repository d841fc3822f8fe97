package admin

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

const monitoringPath = "/monitoring"

// sharedConn hands the ledger's connection to asynqmon, which wants to make its
// own. It is the ledger's owner who closes it.
type sharedConn struct{ rdb redis.UniversalClient }

func (c sharedConn) MakeRedisClient() any { return c.rdb }

// monitoring serves asynqmon. Its page asks for fonts from another host, and runs
// inline scripts: the page is rewritten so that it survives a strict policy, and
// every answer is searched for addresses.
func (h *Handler) monitoring() http.Handler {
	app := asynqmon.New(asynqmon.Options{
		RootPath:         monitoringPath,
		RedisConnOpt:     sharedConn{h.cfg.Ledger.Redis()},
		PayloadFormatter: asynqmon.PayloadFormatterFunc(formatPayload),
		ResultFormatter:  asynqmon.ResultFormatterFunc(formatResult),
		ReadOnly:         !h.cfg.Actions,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, monitoringPath)
		if strings.HasPrefix(path, "/static/") && r.Method == http.MethodGet {
			w.Header().Set("Cache-Control", "private, max-age=31536000, immutable") // The names hold a hash.
			app.ServeHTTP(w, r)
			return
		}
		if !h.ours(path) {
			http.Error(w, "This instance has no such queue.", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && h.cfg.Actions && !caller(r).Acts() {
			http.Error(w, "This takes the role operator.", http.StatusForbidden)
			return
		}
		if h.lanePause(w, r, path) {
			return
		}
		if path == "/api/queues" && r.Method == http.MethodGet {
			h.queueList(w)
			return
		}
		answer := &buffered{header: w.Header(), status: http.StatusOK}
		app.ServeHTTP(answer, r)
		body := answer.body.Bytes()
		switch {
		case strings.HasPrefix(path, "/api/"):
			body = tasks.Mask(h.onlyOurs(path, body))
			if answer.status == http.StatusOK {
				w.Header().Set("Content-Type", "application/json")
			}
		case bytes.HasPrefix(body, []byte("<!doctype html")):
			nonce := rand.Text()
			body = rewritePage(body, nonce)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+"'; "+
				"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.status)
		_, _ = w.Write(body)
	})
}

var (
	foreignLink  = regexp.MustCompile(`<link[^>]* href="https?://[^>]*>`)
	manifestLink = regexp.MustCompile(`<link rel="manifest"[^>]*>`)
	inlineScript = []byte("<script>")
)

// rewritePage removes what comes from other hosts (asynqmon falls back to the
// system's fonts) and the manifest (which browsers fetch without credentials), adds
// a way back and our stylesheet, and gives the nonce to inline scripts, to that stylesheet and, by
// the meta element that JSS looks for, to the styles that the page makes.
func rewritePage(page []byte, nonce string) []byte {
	page = foreignLink.ReplaceAll(page, nil)
	page = manifestLink.ReplaceAll(page, nil)
	page = bytes.ReplaceAll(page, inlineScript, []byte(`<script nonce="`+nonce+`">`))
	page = bytes.Replace(page, []byte("<body>"), []byte(`<body><nav class="inviteq" aria-label="inviteq"><a href="/">Back to inviteq</a></nav>`), 1)
	return bytes.Replace(page, []byte("<head>"), []byte(`<head><meta property="csp-nonce" content="`+nonce+`"/>`+
		`<link rel="stylesheet" nonce="`+nonce+`" href="/assets/monitoring.css"/>`), 1)
}

// buffered holds an answer back until it has been looked at.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

// queueList answers in place of asynqmon, whose list of queues fails as a whole
// when one of them cannot be read.
func (h *Handler) queueList(w http.ResponseWriter) {
	names, err := h.queueNames()
	if err != nil {
		http.Error(w, "Redis does not answer", http.StatusInternalServerError)
		return
	}
	list := make([]map[string]any, 0, len(names))
	for _, name := range names {
		latency := "cannot be read"
		q, err := h.inspector.GetQueueInfo(name)
		switch {
		case errors.Is(err, asynq.ErrQueueNotFound):
			continue
		case err != nil:
			q = &asynq.QueueInfo{Queue: name}
		default:
			latency = show.Duration(q.Latency)
		}
		list = append(list, map[string]any{ // as asynqmon's page expects it
			"queue": name, "memory_usage_bytes": q.MemoryUsage, "size": q.Size, "groups": q.Groups,
			"latency_msec": q.Latency.Milliseconds(), "display_latency": latency,
			"active": q.Active, "pending": q.Pending, "aggregating": q.Aggregating, "scheduled": q.Scheduled,
			"retry": q.Retry, "archived": q.Archived, "completed": q.Completed,
			"processed": q.Processed, "succeeded": q.Processed - q.Failed, "failed": q.Failed,
			"paused": q.Paused, "timestamp": q.Timestamp,
		})
	}
	body, err := json.Marshal(map[string]any{"queues": list})
	if err != nil {
		http.Error(w, "the queues cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(tasks.Mask(body))
}
