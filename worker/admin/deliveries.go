package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/webhook"
)

// deliveriesData is the page of what is posted to the receiver of webhooks: what asynq
// keeps of it.
type deliveriesData struct {
	frame
	Gone   bool   // It wants no more.
	State  string // which are shown
	States []string
	Rows   []deliveryRow
	Page   int
	Next   int // 0 after the last page
}

// Goes reports whether what is shown is tried again.
func (d deliveriesData) Goes() bool { return d.State == "failing" || d.State == "waiting" }

// deliveryRow is one event on its way to the receiver, or arrived.
type deliveryRow struct {
	webhook.Named
	webhook.Answer
	TaskID   string
	Attempts int
	At       time.Time // of the last answer; zero if there was none
	Next     time.Time // of the next try; zero if there is none
	Fault    string    // of the last try
	Replay   bool      // It can be posted again.
}

// deliveryStates are the lists of the page, in the order in which the first that is not
// empty is shown.
var deliveryStates = []string{"given up", "failing", "waiting", "delivered"}

func (h *Handler) deliveriesOf(r *http.Request) (d deliveriesData, err error) {
	q := r.URL.Query()
	_, f, err := h.open(r, "Webhooks", "webhooks", "/webhooks/events?"+q.Encode())
	if err != nil {
		return d, err
	}
	d = deliveriesData{frame: f, States: deliveryStates, State: q.Get("state")}
	if d.Posts {
		gone, err := h.cfg.Ledger.ReceiverGone(r.Context())
		if err != nil {
			return d, err
		}
		d.Gone = gone == h.cfg.Webhook.Fingerprint()
	}
	d.Page, _ = strconv.Atoi(q.Get("page"))
	if slices.Contains(deliveryStates, d.State) {
		d.Rows, d.Next, err = h.deliveryRows(d.State, d.Page)
		return d, err
	}
	for _, d.State = range deliveryStates {
		if d.Rows, d.Next, err = h.deliveryRows(d.State, 0); err != nil || len(d.Rows) > 0 {
			return d, err
		}
	}
	return d, nil
}

// pagesRead is how many pages of the queue are read in search of posts: others' tasks
// are among them.
const pagesRead = 20

// deliveryRows reads a list, the newest first. Pages are asynq's, which counts from the
// oldest: 0 is the last of them, and next the one before what was read.
func (h *Handler) deliveryRows(state string, page int) (rows []deliveryRow, next int, err error) {
	info, err := h.queueInfo(h.queues.Control)
	if err != nil {
		return nil, 0, err
	}
	i := h.inspector
	list, size := i.ListCompletedTasks, info.Completed
	switch state {
	case "given up":
		list, size = i.ListArchivedTasks, info.Archived
	case "failing":
		list, size = i.ListRetryTasks, info.Retry
	case "waiting":
		list, size = func(queue string, opts ...asynq.ListOption) ([]*asynq.TaskInfo, error) {
			active, err := i.ListActiveTasks(queue, opts...)
			if err != nil {
				return nil, err
			}
			pending, err := i.ListPendingTasks(queue, opts...)
			return append(active, pending...), err
		}, max(info.Active, info.Pending)
	}
	last := (size + rowsAPage - 1) / rowsAPage
	if page <= 0 || page > last {
		page = last
	}
	for read := 0; page > 0 && read < pagesRead && len(rows) < rowsAPage; read++ {
		found, err := list(h.queues.Control, asynq.PageSize(rowsAPage), asynq.Page(page))
		if err != nil {
			return nil, 0, err
		}
		for _, t := range slices.Backward(found) {
			if t.Type == webhook.TaskType {
				rows = append(rows, deliveryOf(t))
			}
		}
		page--
	}
	return rows, page, nil
}

func deliveryOf(t *asynq.TaskInfo) deliveryRow {
	p, _ := webhook.ParsePost(t.Payload) // Others can write to the queue: then it names nothing.
	row := deliveryRow{Named: p.Data, TaskID: t.ID, Attempts: t.Retried}
	_ = json.Unmarshal(t.Result, &row.Answer) // Before its first try there is none, or it is of an earlier version.
	row.Replay = t.State == asynq.TaskStateCompleted || t.State == asynq.TaskStateArchived || t.State == asynq.TaskStateRetry
	if row.At = t.LastFailedAt; t.State == asynq.TaskStateCompleted {
		row.At = t.CompletedAt
	}
	if t.State == asynq.TaskStateCompleted || t.State == asynq.TaskStateArchived {
		row.Attempts++ // asynq counts those after the first.
	} else {
		row.Next = t.NextProcessAt
	}
	if t.State != asynq.TaskStateCompleted {
		row.Fault = string(tasks.Mask([]byte(strings.TrimPrefix(t.LastErr, "webhook: "))))
	}
	return row
}

// replay is POST /webhooks/{task}/replay: the message is made anew from the ledger, signed,
// and posted once more. What was delivered keeps its answer, and gets another row.
func (h *Handler) replay(r *http.Request) (string, string, error) {
	t, err := h.inspector.GetTaskInfo(h.queues.Control, r.PathValue("task"))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) || err == nil && t.Type != webhook.TaskType {
		return "", "", refuse(http.StatusNotFound, "This delivery is not kept any more.")
	}
	if err != nil {
		return "", "", err
	}
	p, err := webhook.ParsePost(t.Payload)
	if err != nil || !deliveryOf(t).Replay {
		return "", "", refuse(http.StatusConflict, "This delivery is under way, or nothing of ours.")
	}
	if err := h.note(r, "replay webhook", p.Data.EventID, 0); err != nil {
		return "", "", err
	}
	if t.State == asynq.TaskStateCompleted {
		err = p.Enqueue(r.Context(), asynq.NewClientFromRedisClient(h.cfg.Ledger.Redis()), h.queues.Control, tasks.NewID(":again"))
	} else {
		err = h.inspector.RunTask(h.queues.Control, t.ID)
	}
	return "/webhooks?" + url.Values{"state": {"delivered"}}.Encode(), "The event is posted again; its answer comes here, or among those that fail.", err
}
