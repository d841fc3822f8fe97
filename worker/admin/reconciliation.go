package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker/reconcile"
)

// reconcileData is the page of reconciliation: what runs, and the last report of a kind.
type reconcileData struct {
	frame
	Runs    []passRun
	Asked   bool               // One that a person has asked for is under way.
	Reports []reconcile.Report // the last of each kind
	Report  *reconcile.Report  // the one that is shown; nil before there is any
	Of      reconcile.Finding  // which of its rows are shown; "" for all
	Counts  []findingCount     // of the rows
	Rows    []differenceRow    // some of them
	From    int
	Next    string
	Kept    int
}

type findingCount struct {
	Finding reconcile.Finding
	Count   int
}

// differenceRow is a row, with the invite that it is about now.
type differenceRow struct {
	reconcile.Row
	Adopted bool // It was foreign, and has been recorded since.
}

// passRun is a pass that is going on, or waits.
type passRun struct {
	Full, Adopts bool
	Active       bool
	So           reconcile.Report // how far it has come
	Why          string           // it waits
	Next         time.Time        // when it tries again
	Failed       bool             // It is not tried again.
}

// reconcileOf is GET /reconciliation.
func (h *Handler) reconcileOf(r *http.Request) (d reconcileData, err error) {
	q := r.URL.Query()
	v, f, err := h.open(r, "Reconciliation", "reconciliation", "/reconciliation/events?"+q.Encode())
	if err != nil {
		return d, err
	}
	d.frame = f
	if d.Runs, d.Asked, err = h.passRuns(); err != nil {
		return d, err
	}
	for _, kind := range reconcile.Kinds {
		if report, ok := v.Reports[kind]; ok {
			d.Reports = append(d.Reports, report)
			if d.Report == nil || kind == q.Get("kind") {
				d.Report = &report
			}
		}
	}
	if d.Report == nil {
		return d, nil
	}
	counts := d.Report.Counts()
	for _, f := range reconcile.Findings {
		if counts[f] > 0 {
			d.Counts = append(d.Counts, findingCount{f, counts[f]})
		}
	}
	if d.Of = reconcile.Finding(q.Get("of")); counts[d.Of] == 0 {
		d.Of = ""
	}
	d.From, _ = fromParameter(r)
	return d, h.differences(r.Context(), &d)
}

// differences reads the rows that are shown.
func (h *Handler) differences(ctx context.Context, d *reconcileData) error {
	rows, kept, err := reconcile.Rows(ctx, h.cfg.Ledger, *d.Report, d.Of, d.From, rowsAPage)
	if err != nil {
		return err
	}
	if d.Kept = kept; d.From+rowsAPage < kept {
		d.Next = d.Query(d.Of) + "&from=" + strconv.Itoa(d.From+rowsAPage)
	}
	var unknown []string
	for _, r := range rows {
		if r.InviteID == "" {
			unknown = append(unknown, r.InvitationID)
		}
	}
	since, err := h.cfg.Ledger.FindInvitations(ctx, unknown...)
	for _, r := range rows {
		row := differenceRow{Row: r}
		if row.InviteID == "" {
			row.InviteID = since[r.InvitationID]
			row.Adopted = row.InviteID != "" && r.Finding == reconcile.Foreign
		}
		d.Rows = append(d.Rows, row)
	}
	return err
}

// Query is the address of the rows of a finding.
func (d reconcileData) Query(of reconcile.Finding) string {
	q := url.Values{"kind": {d.Report.Kind}}
	if of != "" {
		q.Set("of", string(of))
	}
	return "?" + q.Encode()
}

// All is how many rows there would be if all were kept.
func (d reconcileData) All() (n int) {
	for _, c := range d.Counts {
		if d.Of == "" || d.Of == c.Finding {
			n += c.Count
		}
	}
	return n
}

// passRuns are the passes that go on, by whichever worker, and the one that was asked
// for, until it has ended well.
func (h *Handler) passRuns() (runs []passRun, asked bool, err error) {
	active, err := h.inspector.ListActiveTasks(h.queues.Control, asynq.PageSize(200))
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, t := range active {
		if t.Type == tasks.TypeReconcile {
			run := passOf(t)
			run.Active = true
			_ = json.Unmarshal(t.Result, &run.So) // It may have said nothing yet.
			runs, asked = append(runs, run), asked || t.ID == tasks.AskedPass
		}
	}
	t, err := h.inspector.GetTaskInfo(h.queues.Control, tasks.AskedPass)
	switch {
	case errors.Is(err, asynq.ErrTaskNotFound):
		return runs, asked, nil
	case err != nil || t.State == asynq.TaskStateCompleted || t.State == asynq.TaskStateActive:
		return runs, asked, err
	}
	run := passOf(t)
	run.Why, run.Failed = string(tasks.Mask([]byte(strings.TrimPrefix(t.LastErr, "waiting: ")))), t.State == asynq.TaskStateArchived
	if t.State == asynq.TaskStateRetry {
		run.Next = t.NextProcessAt
	}
	return append(runs, run), !run.Failed, nil
}

func passOf(t *asynq.TaskInfo) passRun {
	p, _ := tasks.ParseReconcile(t.Payload) // Of another one it is not said what it does.
	return passRun{Full: p.Full, Adopts: !p.AdoptBefore.IsZero()}
}

// startPass is POST /reconciliation/{verb}: one of the workers compares the newest
// invitations, or all, or adopts what the last report calls foreign.
func (h *Handler) startPass(r *http.Request) (string, string, error) {
	verb := r.PathValue("verb")
	pass, count := tasks.Reconcile{Full: verb != "recent"}, 0
	switch verb {
	case "recent", "full":
	case "adopt":
		var last reconcile.Report
		if err := h.cfg.Ledger.LastReport(r.Context(), "full", &last); err != nil {
			return "", "", err
		}
		if count = last.Adoptable(); count <= 0 {
			return "", "", refuse(http.StatusConflict, "The last full report has nothing that could be recorded.")
		}
		if err := confirmed(r, int64(count)); err != nil {
			return "", "", err
		}
		pass.AdoptBefore = last.StartedAt // What was made since is not what was looked at.
	default:
		return "", "", refuse(http.StatusNotFound, "There is no such thing to do.")
	}
	_, asked, err := h.passRuns()
	switch {
	case err != nil:
		return "", "", err
	case asked:
		return "", "", refuse(http.StatusConflict, "A reconciliation that was asked for is under way: wait for its report.")
	}
	if err := h.note(r, map[string]string{"recent": "reconcile the newest", "full": "reconcile", "adopt": "adopt"}[verb], "", count); err != nil {
		return "", "", err
	}
	// The last one stays for a day, for people to look at, unless another is asked for.
	if err := h.inspector.DeleteTask(h.queues.Control, tasks.AskedPass); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) && !errors.Is(err, asynq.ErrQueueNotFound) {
		return "", "", err
	}
	_, err = asynq.NewClientFromRedisClient(h.cfg.Ledger.Redis()).EnqueueContext(r.Context(), asynq.NewTask(tasks.TypeReconcile, pass.Encode()),
		append(tasks.Options(h.queues.Control, tasks.AskedPass), asynq.Timeout(tasks.PassTimeout))...)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		err = nil // Somebody else has asked just now.
	}
	said := "A worker compares ledger and Clerk; its report comes here."
	if verb == "adopt" {
		said = fmt.Sprintf("A worker reads Clerk's list again, and records %s.", show.Count(count, "invitation"))
	}
	return "/reconciliation?kind=" + map[bool]string{true: "full", false: "recent"}[pass.Full], said, err
}
