package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/worker/webhook"
)

// look asks a handler for a page, on loopback.
func (h *Handler) look(t *testing.T, path string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestOneBrokenQueueLeavesTheOthers(t *testing.T) {
	s := newStage(t)
	s.admit("", "ada@example.com")
	s.admit("spring", people(0, 3)...)
	s.await(tasks.Pending, 4)
	// A hash of the wrong type, as a restore of half a backup leaves it.
	if err := s.redis.Set(t.Context(), "asynq:{"+s.queues.Import+"}:archived", "broken", 0).Err(); err != nil {
		t.Fatal(err)
	}
	metrics := s.page("/metrics")
	for metric, want := range map[string]bool{
		`inviteq_up{ledger="L",part="queue_import"} 0`: true, `inviteq_up{ledger="L",part="queue_interactive"} 1`: true,
		`inviteq_up{ledger="L",part="ledger"} 1`: true, `inviteq_deliveries_total{ledger="L"} 4`: true,
		`inviteq_queue_tasks{ledger="L",queue="import"`: false, `inviteq_queue_tasks{ledger="L",queue="interactive",state="completed"}`: true,
	} {
		metric = strings.ReplaceAll(metric, `"L"`, `"`+s.ledger.Instance()+`"`)
		if got := strings.Contains(metrics, metric); got != want {
			t.Errorf("%s: got %t, want %t", metric, got, want)
		}
	}
	list := s.page("/monitoring/api/queues")
	if !strings.Contains(list, `"queue":"`+s.queues.Import+`"`) || !strings.Contains(list, "cannot be read") || !strings.Contains(list, `"queue":"`+s.queues.Interactive+`"`) {
		t.Errorf("asynqmon's list: %s", list)
	}
	if body := s.page("/"); !strings.Contains(body, "Backlog") {
		t.Error("the status page has no figures")
	}
}

func TestPagesWhileRedisIsAway(t *testing.T) {
	server := redistest.Start(t)
	o := server.Options().Simple()
	o.DialTimeout, o.ReadTimeout, o.MaxRetries = 200*time.Millisecond, 200*time.Millisecond, -1
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{Limits: ledger.ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	h := handlerWith(t, func(c *Config) { c.Ledger = l })
	if code, body := h.look(t, "/"); code != http.StatusOK || !strings.Contains(body, "Nothing needs you") {
		t.Fatalf("got %d: %s", code, body)
	}
	server.Kill()
	h.snapshot.at = time.Time{}
	code, body := h.look(t, "/")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "The ledger cannot be read.") || !strings.Contains(body, "Not delivering") {
		t.Errorf("got %d: %s", code, body)
	}
	for _, path := range []string{"/imports", "/imports/x"} {
		if code, body := h.look(t, path); code != http.StatusServiceUnavailable || !strings.Contains(body, "Nothing is lost") {
			t.Errorf("%s: got %d: %s", path, code, body)
		}
	}
	code, body = h.look(t, "/metrics")
	if code != http.StatusOK || !strings.Contains(body, `part="ledger"} 0`) || !strings.Contains(body, "inviteq_build_info") {
		t.Errorf("metrics: got %d: %s", code, body[:min(len(body), 500)])
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	h.snapshot.at = time.Time{}
	if code, _ := h.look(t, "/"); code != http.StatusOK {
		t.Errorf("after Redis came back: got %d", code)
	}
}

// TestSmallerBulksArrivalsAndRefusedRevokesAreShown on the status page and in the
// metrics.
func TestSmallerBulksArrivalsAndRefusedRevokesAreShown(t *testing.T) {
	rdb, instance := redistest.Shared(t), redistest.Instance()
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{Instance: instance, Limits: ledger.ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	h := handlerWith(t, func(c *Config) { c.Ledger = l })
	check := func(page string, want ...string) {
		t.Helper()
		h.snapshot.at = time.Time{}
		_, metrics := h.look(t, "/metrics")
		_, status := h.look(t, page)
		for _, w := range want {
			if !strings.Contains(metrics, strings.Replace(w, "{}", `{ledger="`+instance+`"}`, 1)) && !strings.Contains(status, w) {
				t.Errorf("neither the page nor the metrics say %q", w)
			}
		}
	}
	check("/", "inviteq_bulk_invites{} 10", "inviteq_bulk_smaller_seconds{} 0", "inviteq_late_arrivals_total{} 0", "inviteq_revokes_refused{} 0", "Nothing needs you")

	for _, c := range []struct {
		want int
		line string
	}{{5, "For 2h 30m a call holds 5 at most."}, {2, "For 2h 30m a call holds 2 at most."}, {1, "For 2h 30m each invite goes alone."}} {
		gate := "inviteq:{" + instance + "}:gate"
		if err := rdb.HSet(t.Context(), gate, "bulk.most", c.want, "bulk.most.until", time.Now().Add(150*time.Minute+20*time.Second).UnixMilli()).Err(); err != nil {
			t.Fatal(err)
		}
		check("/", fmt.Sprintf("inviteq_bulk_invites{} %d", c.want), "inviteq_bulk_smaller_seconds{} 90", c.line)
	}
	check("/", "Gate: closed for 2h 30m (bulk refused)", `inviteq_gate_seconds{endpoint="bulk",ledger="`+instance+`"} 90`)

	if err := l.Arrived(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.RevokeRefused(t.Context(), ledger.Now, "inq_1", "refused", time.Minute, time.Hour); err != nil {
		t.Fatal(err)
	}
	check("/", "inviteq_late_arrivals_total{} 1", "inviteq_revokes_refused{} 1", "Clerk refuses 1 revoke.", `data-figure="arrived">1<`)
}

// TestWhoWaitsIsShown by who asked, in the metrics and on the page: the deepest, and all
// others together. And so are workers that disagree.
func TestWhoWaitsIsShown(t *testing.T) {
	rdb, instance := redistest.Shared(t), redistest.Instance()
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{Instance: instance, Limits: ledger.ClerkLimits})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(n int, owner, importID string) {
		var all []tasks.Invite
		for range n {
			i := tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: email(t, tasks.NewID("canary")+"@example.com"), Owner: owner, ImportID: importID}
			if importID != "" {
				i.Lane = tasks.Import
			}
			all = append(all, i)
		}
		if _, _, err := l.Admit(t.Context(), time.Now().Add(-time.Hour), all); err != nil {
			t.Fatal(err)
		}
	}
	admit(40, "", "")
	admit(30, "sales", "spring")
	for n := range askersShown + 4 {
		admit(2, fmt.Sprintf("shop-%02d", n), "")
	}
	h := handlerWith(t, func(c *Config) { c.Ledger = l })
	_, metrics := h.look(t, "/metrics")
	_, status := h.look(t, "/")
	name := func(lane, owner, importID string) string {
		return fmt.Sprintf("{import=%q,lane=%q,ledger=%q,owner=%q}", importID, lane, instance, owner)
	}
	for _, want := range []string{
		"inviteq_asker_waiting_invites" + name("interactive", "none", "") + " 40\n",
		"inviteq_asker_waiting_invites" + name("import", "sales", "spring") + " 30\n",
		"inviteq_asker_waiting_invites" + name("interactive", "shop-00", "") + " 2\n",
		"inviteq_asker_waiting_invites" + name("interactive", "other", "") + " 10\n",
		"inviteq_asker_oldest_seconds" + name("import", "sales", "spring") + " 3600.",
		"inviteq_worker_limits_differ{ledger=" + strconv.Quote(instance) + "} 0\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if n := strings.Count(metrics, "inviteq_asker_waiting_invites{"); n != askersShown+3 {
		t.Errorf("got %d series, want those of %d people, an import, and two for all others", n, askersShown)
	}
	for _, want := range []string{`data-asker="spring">30<`, `</a> of sales`, "people, no owner named", `data-asker="shop-00">2<`, "others, interactive"} {
		if !strings.Contains(status, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(status, "different limits") {
		t.Error("no workers, and yet they disagree")
	}

	// A second worker, with other limits.
	other, err := ledger.Open(t.Context(), rdb, ledger.Config{Instance: instance, Limits: ledger.Limits{Single: ledger.Limit{Calls: 50, Window: time.Hour}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*ledger.Ledger{"one": l, "two": other} {
		if _, err := l.Announce(t.Context(), ledger.Now, ledger.Fellow{Name: name, Since: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	h.snapshot.at = time.Time{}
	if _, metrics = h.look(t, "/metrics"); !strings.Contains(metrics, "inviteq_worker_limits_differ{ledger="+strconv.Quote(instance)+"} 1\n") {
		t.Error("the metrics do not tell that workers disagree")
	}
	if _, status = h.look(t, "/"); !strings.Contains(status, "Workers have different limits.") || !strings.Contains(status, "two (single 50/1h") {
		t.Error("the page does not tell that workers disagree")
	}
}

func TestLabelsAreBounded(t *testing.T) {
	outcomes := map[ledger.Outcome]int64{
		{State: tasks.Rejected, Reason: "ada@example.com"}: 1, {State: tasks.Rejected, Reason: "Some Text"}: 2,
		{State: tasks.Rejected, Reason: "existing_user"}: 3, {State: tasks.Pending}: 4,
	}
	got := bounded(outcomes)
	for labels, want := range map[[2]string]int64{
		{"rejected", "other"}: 3, {"rejected", "existing_user"}: 3, {"pending", "none"}: 4, {"expired", "none"}: 0,
	} {
		if n, ok := got[labels]; n != want || !ok {
			t.Errorf("%v: got %d, want %d", labels, n, want)
		}
	}
	for status, want := range map[int]string{0: "none", 200: "200", 429: "429", 799: "other"} {
		if got := statusLabel(status); got != want {
			t.Errorf("%d: got %s, want %s", status, got, want)
		}
	}
}

func TestFormatters(t *testing.T) {
	invite := tasks.Invite{ID: "a-1", EmailAddress: email(t, "ada@example.com")}
	for _, c := range []struct{ typ, payload, want string }{
		{tasks.TypeCreate, string(tasks.Create{ID: "inq_1"}.Encode()), "invite inq_1"},
		{tasks.TypeCreate, string(tasks.Create{Invite: &invite}.Encode()), "invite a-1 for a***@e***, whole in the task"},
		{tasks.TypeBulkCreate, string(tasks.BulkCreate{ImportID: "spring", From: 100, Count: 50}.Encode()), "rows 101 to 150 of import spring"},
		{tasks.TypeBulkCreate, string(tasks.BulkCreate{ImportID: "spring", Invites: []tasks.Invite{invite}}.Encode()), "1 invites of import spring, whole in the task"},
		{tasks.TypeRevoke, string(tasks.Revoke{ID: "rvk_1"}.Encode()), "revoke rvk_1"},
		{tasks.TypeRevoke, string(tasks.Revoke{Target: "ada@example.com"}.Encode()), "revoke a***@e***"},
		{tasks.TypeReconcile, string(tasks.Reconcile{Full: true}.Encode()), "compare all invitations"},
		{tasks.TypeReconcile, string(tasks.Reconcile{}.Encode()), "compare the newest invitations"},
		{webhook.TaskType, `{"position":"1-1","data":{"event_id":"inq_1:2","invite_id":"inq_1"}}`, "event inq_1:2"},
		{tasks.TypeCreate, "ada", "3 bytes that inviteq cannot read; not shown, because they may hold an address"},
		{"mail:send", `{"to":"ada@example.com"}`, "24 bytes that inviteq cannot read; not shown, because they may hold an address"},
	} {
		if got := formatPayload(c.typ, []byte(c.payload)); got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.typ, c.payload, got, c.want)
		}
	}
	for _, c := range []struct{ typ, result, want string }{
		{tasks.TypeCreate, "", ""},
		{tasks.TypeCreate, `{"state":"pending","invitation_id":"inv_1"}`, "pending inv_1"},
		{"", `{"state":"rejected","reason":"existing_user"}`, "rejected: existing user"},
		{tasks.TypeBulkCreate, `{"rejected":2,"pending":98}`, "98 pending, 2 rejected"},
		{tasks.TypeRevoke, `{"inq_2":"revoked","inq_1":"canceled"}`, "inq_1 canceled, inq_2 revoked"},
		{tasks.TypeReconcile, `{"skipped":"another pass is going on"}`, "skipped: another pass is going on"},
		{tasks.TypeReconcile, `{"kind":"full","started_at":"2026-05-01T00:00:00Z","took_ns":2000000000,"scanned":240,"missing":1,"foreign":2}`, "full pass: 240 scanned, 1 differences, 1 missing, 2 foreign, in 2s"},
		{webhook.TaskType, `{"type":"invite.pending","status":502,"took_ns":7}`, "invite.pending: answered 502"},
		{"", `{"name":"Ada Lovelace"}`, "23 bytes that inviteq cannot read; not shown, because they may hold an address"},
		{"mail:send", `{"sent":1}`, "10 bytes that inviteq cannot read; not shown, because they may hold an address"},
	} {
		if got := formatResult(c.typ, []byte(c.result)); got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.typ, c.result, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]int64{1: 1, 3: 4, 9: 10, 350: 400, 401: 500, 1001: 2000} {
		if got := roundUp(n); got != want {
			t.Errorf("%d: got %d, want %d", n, got, want)
		}
	}
}
