package api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

type eventPage struct {
	Data []tasks.EventJSON `json:"data"`
	Next string            `json:"next"`
	More bool              `json:"more"`
}

// shown are the changes of a page.
func (p eventPage) shown() (all []string) {
	for _, e := range p.Data {
		all = append(all, e.InviteID+e.ImportID+" "+e.From+">"+e.To)
	}
	return all
}

// readAll pages through what is there after a position.
func (s *stage) readAll(after, query string) (all eventPage) {
	s.t.Helper()
	for all.Next, all.More = after, true; all.More; {
		var p eventPage
		s.get("/v1/events?after="+url.QueryEscape(all.Next)+query).into(s.t, &p)
		all = eventPage{append(all.Data, p.Data...), p.Next, p.More}
	}
	return all
}

// write adds an event of an import as the ledger does.
func (s *stage) write(importID string, n int) {
	s.t.Helper()
	pipe := s.redis.Pipeline()
	for range n {
		pipe.XAdd(s.t.Context(), &redis.XAddArgs{Stream: s.events(), Values: []string{"id", "", "ver", "1", "to", tasks.ImportCompleted, "import_id", importID, "at", "1800000000000"}})
	}
	if _, err := pipe.Exec(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) events() string { return "inviteq:{" + s.ledger.Instance() + "}:events" }

// TestEventPages loses nothing and shows nothing twice, however small the pages and
// whatever comes in between.
func TestEventPages(t *testing.T) {
	s := newStage(t)
	var empty eventPage
	if s.get("/v1/events").into(t, &empty); len(empty.Data) != 0 || empty.Next != "0" || empty.More {
		t.Errorf("before the first event: %+v", empty)
	}
	for _, id := range []string{"a", "b", "c"} {
		s.post("/v1/invitations", `{"email_address":"`+id+`@example.com"}`, "Idempotency-Key", id)
		s.post("/v1/invitations/"+id+"/revoke", "")
	}
	want := []string{"a queued>canceled", "b queued>canceled", "c queued>canceled"}
	for limit := 1; limit <= 4; limit++ {
		if got := s.readAll("0", fmt.Sprintf("&limit=%d", limit)); !slices.Equal(got.shown(), want) {
			t.Errorf("by %d: %v", limit, got.shown())
		}
	}
	first := s.readAll("0", "")
	if r := s.get("/v1/events?after=" + first.Next); !strings.Contains(r.body, `"data":[]`) {
		t.Errorf("at the end: %s", r.body)
	}
	s.write("imp", 2345)
	rest := s.readAll(first.Next, "&limit=7")
	seen := map[string]bool{}
	for _, e := range rest.Data {
		seen[e.Position] = true
	}
	if len(rest.Data) != 2345 || len(seen) != 2345 {
		t.Errorf("%d events at %d positions", len(rest.Data), len(seen))
	}
	if from := s.readAll(first.Data[1].Position, "&id=c&limit=1"); !slices.Equal(from.shown(), want[2:]) {
		t.Errorf("from the middle: %v", from.shown())
	}
	// As the command line has it.
	if e := first.Data[0]; e.ID != "a:1" || e.Sequence != 1 || e.Reason != tasks.ReasonRevokeRequested || time.Since(e.At) > time.Minute {
		t.Errorf("got %+v", e)
	}
}

// TestEventFilters are those of inviteq events.
func TestEventFilters(t *testing.T) {
	s := newStage(t).work()
	s.post("/v1/invitations?wait=20", `{"email_address":"ada@example.com"}`, "Idempotency-Key", "ada")
	s.do("POST", "/v1/imports?import_id=march", "text/csv", "email_address\nrow@example.com\n")
	eventually(t, "the import is done", func() bool { return len(s.readAll("0", "&state=import_completed").Data) == 1 })
	for query, want := range map[string]int{
		"":                                     5,
		"&id=ada":                              2,
		"&import_id=march":                     3,
		"&state=pending":                       2,
		"&state=pending&state=sending":         4,
		"&state=pending&import_id=march":       1,
		"&id=nobody":                           0,
		"&since=2026-01-01T00:00:00Z":          5,
		"&since=0001-01-01T00:00:00Z":          5,
		"&since=2100-01-01T00:00:00%2B02:00":   0,
		"&state=sending&id=ada&import_id=none": 0,
	} {
		got := s.readAll("0", query)
		if len(got.Data) != want {
			t.Errorf("%s: %v, want %d", query, got.shown(), want)
		}
		if got.Next == "0" && want > 0 {
			t.Errorf("%s: the next request would read them again", query)
		}
	}
	body := s.get("/v1/events").body
	if strings.Contains(body, "@") || !strings.Contains(body, `"invitation_id":"inv_`) {
		t.Errorf("got %s", body)
	}
}

// TestEventsOfOthers do not exist for a token of the scope own.
func TestEventsOfOthers(t *testing.T) {
	s := newStage(t)
	billing, web := s.tokenOf("billing", access.Operator, access.Own), s.tokenOf("web", access.Viewer, access.Own)
	all := s.tokenOf("desk", access.Viewer, access.Instance)
	s.token = billing
	var single invitation
	s.post("/v1/invitations", `{"email_address":"ada@example.com"}`, "Idempotency-Key", "order-1").into(t, &single)
	s.post("/v1/invitations/"+single.ID+"/revoke", "")
	var list struct {
		ID string `json:"id"`
	}
	s.do("POST", "/v1/imports?import_id=march", "text/csv", "email_address\nrow@example.com\n").into(t, &list)
	s.post("/v1/imports/"+list.ID+"/revoke", "")
	// The stream of others is long: each answer reads a part of it, and none is lost.
	s.write("others", 12_000)
	mine := s.readAll("0", "")
	if len(mine.Data) != 3 || mine.Data[0].InviteID != single.ID || mine.Data[2].To != tasks.ImportCompleted || mine.Data[2].ImportID != list.ID {
		t.Errorf("billing reads %v", mine.shown())
	}
	var part eventPage
	s.get("/v1/events?after="+mine.Data[2].Position).into(t, &part)
	if len(part.Data) != 0 || !part.More {
		t.Errorf("one answer has read it all: %+v", part)
	}
	// Its own names do: of its key, and of its import.
	if got := s.readAll("0", "&id=order-1"); len(got.Data) != 1 {
		t.Errorf("by its key: %v", got.shown())
	}
	if got := s.readAll("0", "&import_id=march"); len(got.Data) != 2 {
		t.Errorf("by its import's name: %v", got.shown())
	}
	s.token = web
	for _, query := range []string{"", "&id=" + single.ID, "&id=order-1", "&import_id=march", "&import_id=" + list.ID} {
		if got := s.readAll("0", query); len(got.Data) != 0 {
			t.Errorf("web reads %v of %s", got.shown(), query)
		}
	}
	s.token = all
	if got := s.readAll("0", "&limit=500"); len(got.Data) != 12_003 {
		t.Errorf("the instance has %d", len(got.Data))
	}
}

// TestEventsWait answers when there is something, for a filter, too, and not before.
func TestEventsWait(t *testing.T) {
	s := newStage(t)
	s.write("before", 1)
	got := make(chan reply, 1)
	began := time.Now()
	go func() { got <- s.get("/v1/events?after=$&wait=20&import_id=march") }()
	eventually(t, "it waits", func() bool { return time.Since(began) > 200*time.Millisecond })
	s.write("other", 1)
	s.write("march", 1)
	var page eventPage
	if (<-got).into(t, &page); !slices.Equal(page.shown(), []string{"march >import_completed"}) || time.Since(began) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(began), page.shown())
	}
	began = time.Now()
	s.get("/v1/events?after="+page.Next+"&wait=0.3").into(t, &page)
	if took := time.Since(began); len(page.Data) != 0 || took < 300*time.Millisecond {
		t.Errorf("after %s: %v", took, page.shown())
	}
	go func() { got <- s.get("/v1/events?after=$&wait=30") }()
	eventually(t, "it waits", func() bool { return time.Since(began) > 500*time.Millisecond })
	s.stop()
	if r := <-got; r.status != 200 {
		t.Errorf("at the end: %d %s", r.status, r.body)
	}
}

// TestEventsGone: what may have been missed is said, whether the stream was cut or Redis
// went back.
func TestEventsGone(t *testing.T) {
	s := newStage(t)
	gone := func(what, after string) {
		t.Helper()
		r := s.get("/v1/events?wait=20&after=" + after)
		if r.status != 410 || r.errors(t)[0].Code != "position_gone" || !strings.Contains(r.body, "after=0") {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	s.write("a", 3)
	all := s.readAll("0", "")
	if err := s.redis.XTrimMaxLen(t.Context(), s.events(), 1).Err(); err != nil {
		t.Fatal(err)
	}
	gone("cut off", all.Data[1].Position)
	if got := s.readAll(all.Next, ""); len(got.Data) != 0 {
		t.Errorf("the last one is there: %v", got.shown())
	}
	gone("never was", "1-1")
	gone("later than all", "9999999999999999-9999999999999999")

	waits := make(chan reply, 1)
	go func() { waits <- s.get("/v1/events?wait=20&after=" + all.Next) }()
	if err := s.redis.Del(t.Context(), s.events()).Err(); err != nil {
		t.Fatal(err)
	}
	if r := <-waits; r.status != 410 {
		t.Errorf("emptied meanwhile: %d %s", r.status, r.body)
	}
	s.write("b", 1)
	gone("of before", all.Next)
	if got := s.readAll("0", ""); len(got.Data) != 1 {
		t.Errorf("from the oldest: %v", got.shown())
	}
}

// TestEventsHostile: what cannot be a position or an id goes nowhere.
func TestEventsHostile(t *testing.T) {
	s := newStage(t)
	s.write("a", 1)
	defer s.wrong()()
	for query, param := range map[string]string{
		"after=": "after", "after=-": "after", "after=%2B": "after", "after=>": "after", "after=(1-1": "after", "after=1": "after", "after=0-": "after",
		"after=1-1%0a": "after", "after=1-1%00": "after", "after=$$": "after", "after=00": "after", "after=canary@example.com": "after",
		"after=99999999999999999-1": "after", "after=0&after=$": "after", "after=١-1": "after", "after=-1-1": "after",
		"limit=0": "limit", "limit=501": "limit", "limit=1e2": "limit", "wait=31": "wait", "wait=NaN": "wait",
		"id=canary@example.com": "id", "id=": "id", "id=a&id=b": "id", "import_id=a%2Fb": "import_id", "import_id=canary@example.com": "import_id",
		"state=delivered": "state", "state=": "state", "state=canary@example.com": "state",
		"since=yesterday": "since", "since=2h": "since", "since=": "since", "sort=at": "sort", "canary@example.com=1": "",
	} {
		r := s.get("/v1/events?" + query)
		if r.status != 422 || strings.Contains(r.body, "canary") || param != "" && r.errors(t)[0].Meta["param_name"] != param {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	if r := s.post("/v1/events", `{}`); r.status != 405 || r.header.Get("Allow") != "GET" {
		t.Errorf("POST: %d %v", r.status, r.header)
	}
	if r := s.do("GET", "/v1/events", "", "", "Authorization", "Bearer none"); r.status != 401 {
		t.Errorf("without a token: %d", r.status)
	}
	for _, e := range s.audit() {
		if strings.Contains(fmt.Sprintf("%+v", e), "canary") {
			t.Errorf("audited %+v", e)
		}
	}
}
