package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

// TestCreate accepts an invitation with everything that can be said of it, and
// the ledger has what was said.
func TestCreate(t *testing.T) {
	s := newStage(t)
	var i invitation
	r := s.post("/v1/invitations", `{"email_address":"Ada@Example.com","public_metadata":{"b":1,"a":[1.50]},"redirect_url":"/welcome","notify":false,
		"ignore_existing":true,"expires_in_days":3,"template_slug":"invitation","lane":"import","not_before":"2099-01-01T00:00:00Z","deadline":"2099-02-01T00:00:00Z"}`)
	r.into(t, &i)
	if !strings.HasPrefix(i.ID, "inq_") || i.ID != i.Inviteq.ID || i.Status != "pending" || i.Inviteq.State != "queued" || i.Inviteq.Lane != "import" ||
		i.EmailAddress != "ada@example.com" || i.ExpiresAt-i.CreatedAt != 3*24*3600*1000 || i.Inviteq.ETA < 4070908800000 || i.Revoked {
		t.Errorf("got %s", r.body)
	}
	if strings.Contains(r.body, `"url"`) {
		t.Error("there is a url")
	}
	records, err := s.ledger.Get(t.Context(), i.ID)
	if err != nil || len(records) != 1 {
		t.Fatal(err)
	}
	got, err := json.Marshal(records[0].Invite.JSON())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"email_address":"Ada@Example.com","public_metadata":{"a":[1.50],"b":1},"redirect_url":"/welcome","notify":false,"ignore_existing":true,` +
		`"expires_in_days":3,"template_slug":"invitation","id":"` + i.ID + `","lane":"import","not_before":"2099-01-01T00:00:00Z","deadline":"2099-02-01T00:00:00Z"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}

	// Optional parameters may be null, as in Clerk's bulk call.
	s.post("/v1/invitations", `{"email_address":"b@example.com","public_metadata":null,"notify":null,"ignore_existing":null,"expires_in_days":null,"redirect_url":null}`).into(t, &i)
	if string(i.PublicMetadata) != "{}" || i.Inviteq.Lane != "interactive" {
		t.Errorf("got %+v", i)
	}
	for _, e := range s.audit() {
		if e.Token != "tests" || e.Status != 200 || e.Invites != 1 || e.Route != "/v1/invitations" || !strings.HasPrefix(e.ID, "inq_") || e.Remote != "127.0.0.1" {
			t.Errorf("audited %+v", e)
		}
	}
}

// TestParameters has a code of Clerk's for everything that can be wrong, all of
// it at once, and quotes nothing.
func TestParameters(t *testing.T) {
	s := newStage(t)
	defer s.wrong()()
	long := strings.Repeat("x", 9000)
	for _, c := range []struct {
		body string
		want []string // status, and code:param of each problem
	}{
		{`{}`, []string{"422", "form_param_missing:email_address"}},
		{`{"email_address":null}`, []string{"422", "form_param_nil:email_address"}},
		{`{"email_address":7}`, []string{"422", "form_param_value_invalid:email_address"}},
		{`{"email_address":"canary"}`, []string{"422", "form_param_format_invalid:email_address"}},
		{`{"email_address":"a@example.com\r\nBcc: canary@example.com"}`, []string{"422", "form_param_format_invalid:email_address"}},
		{`{"email_address":"","expires_in_days":0,"redirect_url":"javascript:canary","template_slug":"canary","lane":"fast"}`, []string{
			"422", "form_param_missing:email_address", "form_param_value_invalid:lane", "form_param_value_invalid:expires_in_days",
			"form_param_format_invalid:redirect_url", "form_param_value_invalid:template_slug"}},
		{`{"email_address":"a@example.com","expires_in_days":"7","notify":"no","public_metadata":[1],"not_before":"soon"}`, []string{
			"422", "form_param_value_invalid:notify", "form_param_value_invalid:expires_in_days", "form_param_value_invalid:not_before",
			"form_param_value_invalid:public_metadata"}},
		{`{"email_address":"a@example.com","public_metadata":{"a":"` + long + `"}}`, []string{"422", "form_param_exceeds_allowed_size:public_metadata"}},
		{`{"email_address":"a@example.com","id":"mine","canary@example.com":1}`, []string{"422", "form_param_unknown:a parameter", "form_param_unknown:id"}},
		{`{"email_address":"a@example.com","email_address":"b@example.com"}`, []string{"400", "request_body_invalid:"}},
		{`{"email_address":"a@example.com"`, []string{"400", "request_body_invalid:"}},
		{`{"email_address":"a@example.com"} {}`, []string{"400", "request_body_invalid:"}},
		{`[{"email_address":"a@example.com"}]`, []string{"400", "request_body_invalid:"}},
		{`"canary"`, []string{"400", "request_body_invalid:"}},
		{`null`, []string{"400", "request_body_invalid:"}},
		{``, []string{"400", "request_body_invalid:"}},
		{"{\"email_address\":\"canary\xff@example.com\"}", []string{"400", "request_body_invalid:"}},
		{strings.Repeat("[", 60000), []string{"400", "request_body_invalid:"}},
		{`{"email_address":"` + strings.Repeat("a", 70000) + `"}`, []string{"413", "request_body_too_large:"}},
	} {
		r := s.post("/v1/invitations", c.body)
		got := []string{fmt.Sprint(r.status)}
		for _, e := range r.errors(t) {
			name, _ := e.Meta["param_name"].(string)
			got = append(got, e.Code+":"+name)
			if e.Message == "" || e.LongMessage == "" {
				t.Errorf("%.60s: an error without text", c.body)
			}
		}
		slices.Sort(got[1:])
		slices.Sort(c.want[1:])
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%.60s: %s", c.body, diff)
		}
		if strings.Contains(r.body, "canary") {
			t.Errorf("%.60s: the answer quotes it: %.300s", c.body, r.body)
		}
	}
	if n := s.waiting(); n != 0 {
		t.Errorf("%d were accepted", n)
	}
}

// waiting is how many invites are queued.
func (s *stage) waiting() int64 {
	s.t.Helper()
	o, err := s.ledger.Overview(s.t.Context(), time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return o.States[tasks.Queued]
}

// TestBulkIsCheckedAsAWhole names every bad member by its index, and accepts none
// of the others.
func TestBulkIsCheckedAsAWhole(t *testing.T) {
	s := newStage(t)
	restore := s.wrong()
	r := s.post("/v1/invitations/bulk", `[{"email_address":"a@example.com"},{"email_address":"canary"},{"email_address":"A@EXAMPLE.com"},
		{"email_address":"b@example.com","expires_in_days":400},7,{"email_address":"c@example.com","x":1}]`)
	var got []string
	for _, e := range r.errors(t) {
		got = append(got, fmt.Sprintf("%v %s", e.Meta["index"], e.Code))
	}
	want := []string{"1 form_param_format_invalid", "2 form_param_value_invalid", "3 form_param_value_invalid", "4 request_body_invalid", "5 form_param_unknown"}
	if diff := cmp.Diff(want, got); diff != "" || r.status != 422 || strings.Contains(r.body, "canary") {
		t.Errorf("status %d: %s\n%s", r.status, diff, r.body)
	}
	for body, code := range map[string]string{
		"[]": "request_body_invalid", "{}": "request_body_invalid", "[{},": "request_body_invalid", "[{}] 1": "request_body_invalid", "[{} {}]": "request_body_invalid",
		"[" + strings.TrimSuffix(strings.Repeat("{},", 1001), ",") + "]": "bulk_size_exceeded",
		"[" + strings.Repeat(" ", 5<<20) + "]":                           "request_body_too_large",
	} {
		if r := s.post("/v1/invitations/bulk", body); r.errors(t)[0].Code != code {
			t.Errorf("%.20s: %d %.200s; want %s", body, r.status, r.body, code)
		}
	}
	restore()
	if n := s.waiting(); n != 0 {
		t.Errorf("%d were accepted", n)
	}

	var list []invitation
	r = s.post("/v1/invitations/bulk", members(1000, "p"))
	r.into(t, &list)
	if len(list) != 1000 || list[999].EmailAddress != "p999@example.com" || list[0].Inviteq.Lane != "import" || s.waiting() != 1000 {
		t.Errorf("%d answered, %d waiting", len(list), s.waiting())
	}
	var i importState
	s.get("/v1/imports/"+r.header.Get("Inviteq-Import-Id")).into(t, &i)
	if i.Total != 1000 || i.Open != 1000 || i.States["queued"] != 1000 || i.ETA == nil || i.ETA.Before(time.Now()) {
		t.Errorf("the import: %+v", i)
	}
	s.post("/v1/invitations/bulk", members(10, "q")).into(t, &list)
	if list[0].Inviteq.Lane != "interactive" {
		t.Errorf("ten members are in lane %s", list[0].Inviteq.Lane)
	}
}

type importState struct {
	ID          string           `json:"id"`
	Name        string           `json:"name"`
	Owner       string           `json:"owner"`
	State       string           `json:"state"`
	PausedAt    *time.Time       `json:"paused_at"`
	HeldUntil   *time.Time       `json:"held_until"`
	Total       int              `json:"total"`
	Open        int              `json:"open"`
	States      map[string]int   `json:"states"`
	ETA         *time.Time       `json:"eta"`
	Rows        int              `json:"rows"`
	Admitted    int              `json:"admitted"`
	Known       int              `json:"known"`
	Duplicates  int              `json:"duplicates"`
	Invalid     int              `json:"invalid"`
	Conflicting int              `json:"conflicting"`
	Conflicts   []int            `json:"conflicts"`
	DryRun      bool             `json:"dry_run"`
	Problems    []map[string]any `json:"problems"`
	Ignored     []string
}

// members is the body of a bulk create.
func members(n int, prefix string) string {
	list := make([]tasks.InviteJSON, n)
	for i := range list {
		list[i].EmailAddress = fmt.Sprintf("%s%d@example.com", prefix, i)
	}
	b, _ := json.Marshal(list) // plain strings
	return string(b)
}

// TestIdempotency keeps the promise of the key: the same request is the same
// invite, another one is refused, another token of scope own is somebody else.
func TestIdempotency(t *testing.T) {
	s := newStage(t)
	s.token = s.tokenOf("tests", access.Operator, access.Own)
	const key = "Idempotency-Key"
	var first, again, other invitation
	r := s.post("/v1/invitations", `{"email_address":"a@example.com","public_metadata":{"a":1,"b":2}}`, key, "signup-1")
	r.into(t, &first)
	if r.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first request is a replay")
	}
	r = s.post("/v1/invitations", `{ "public_metadata": {"b":2, "a":1}, "email_address":"a@example.com" }`, key, "signup-1")
	r.into(t, &again)
	if diff := cmp.Diff(first.ID, again.ID); diff != "" || r.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same request again: %s %v", diff, r.header)
	}
	for _, body := range []string{`{"email_address":"b@example.com"}`, `{"email_address":"a@example.com","public_metadata":{"a":1,"b":2},"lane":"import"}`} {
		if r := s.post("/v1/invitations", body, key, "signup-1"); r.status != 409 || r.errors(t)[0].Code != "idempotency_key_conflict" {
			t.Errorf("another request: %d %s", r.status, r.body)
		}
	}
	if r := s.post("/v1/invitations/bulk", `[{"email_address":"a@example.com"}]`, key, "signup-1"); r.status != 409 {
		t.Errorf("another operation: %d %s", r.status, r.body)
	}
	mine := s.token
	s.token = s.tokenOf("somebody-else", access.Operator, access.Own)
	s.post("/v1/invitations", `{"email_address":"a@example.com"}`, key, "signup-1").into(t, &other)
	if other.ID == first.ID {
		t.Error("two callers share a key")
	}
	s.token = s.tokenOf("tests", access.Operator, access.Own) // A new token of the same name is the same caller.
	s.post("/v1/invitations", `{"email_address":"a@example.com","public_metadata":{"a":1,"b":2}}`, key, "signup-1").into(t, &again)
	if again.ID != first.ID {
		t.Error("a new token of the same name is another caller")
	}
	s.token = mine

	// In bulk a request that is longer, or shorter, is another request.
	r = s.post("/v1/invitations/bulk", members(150, "p"), key, "team")
	if r.status != 200 {
		t.Fatal(r.body)
	}
	same := s.post("/v1/invitations/bulk", members(150, "p"), key, "team")
	var list, listAgain []invitation
	r.into(t, &list)
	same.into(t, &listAgain)
	for n := range list { // The estimates grow older.
		list[n].Inviteq.ETA, listAgain[n].Inviteq.ETA = 0, 0
	}
	if !cmp.Equal(list, listAgain) || same.header.Get("Idempotent-Replayed") != "true" || same.header.Get("Inviteq-Import-Id") != r.header.Get("Inviteq-Import-Id") {
		t.Errorf("the same bulk again has another answer: %.300s", same.body)
	}
	for _, n := range []int{149, 151} {
		if r := s.post("/v1/invitations/bulk", members(n, "p"), key, "team"); r.status != 409 {
			t.Errorf("%d members: %d", n, r.status)
		}
	}
	if got := s.waiting(); got != 152 {
		t.Errorf("%d invites wait, want 152", got)
	}
	// When the key has been forgotten the ids still hold.
	keys, err := s.redis.Keys(t.Context(), "*{"+s.ledger.Instance()+"}:bound:*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	if err := s.redis.Del(t.Context(), keys...).Err(); err != nil {
		t.Fatal(err)
	}
	s.post("/v1/invitations", `{"email_address":"a@example.com","public_metadata":{"a":1,"b":2}}`, key, "signup-1").into(t, &again)
	if again.ID != first.ID {
		t.Error("a forgotten key makes a second invite")
	}
	if r := s.post("/v1/invitations", `{"email_address":"b@example.com"}`, key, "signup-1"); r.status != 409 {
		// Bound to this request now is nothing: the id has other content.
		t.Errorf("a forgotten key with another request: %d %s", r.status, r.body)
	}

	defer s.wrong()()
	for _, bad := range []string{"", "with space", strings.Repeat("x", 256), "ü"} {
		if r := s.post("/v1/invitations", `{"email_address":"a@example.com"}`, key, bad); r.status != 400 || r.errors(t)[0].Code != "idempotency_key_invalid" {
			t.Errorf("key %.20q: %d %s", bad, r.status, r.body)
		}
	}
	if r := s.post("/v1/invitations", `{"email_address":"a@example.com"}`, key, "a", key, "b"); r.status != 400 {
		t.Errorf("two keys: %d %s", r.status, r.body)
	}
}

// TestParallelRequests with one key make one invite.
func TestParallelRequests(t *testing.T) {
	s := newStage(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	seen, fresh := map[string]bool{}, 0
	for range 32 {
		wait.Go(func() {
			r := s.post("/v1/invitations", `{"email_address":"a@example.com"}`, "Idempotency-Key", "once")
			var i invitation
			if json.Unmarshal([]byte(r.body), &i) != nil || r.status != 200 {
				t.Errorf("%d %s", r.status, r.body)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[i.ID] = true
			if r.header.Get("Idempotent-Replayed") == "" {
				fresh++
			}
		})
	}
	wait.Wait()
	if len(seen) != 1 || fresh != 1 || s.waiting() != 1 {
		t.Errorf("%d ids, %d new, %d waiting; want one of each", len(seen), fresh, s.waiting())
	}

	// Of two different requests with one key, one wins; nothing of the other stays.
	won := map[int]int{}
	for n := range 16 {
		wait.Go(func() {
			r := s.post("/v1/invitations/bulk", members(2+n%2, "p"), "Idempotency-Key", "team")
			mu.Lock()
			defer mu.Unlock()
			if r.status == 200 {
				won[2+n%2]++
			} else if r.status != 409 {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	wait.Wait()
	if len(won) != 1 || won[2]+won[3] != 8 {
		t.Errorf("won: %v, want eight of one kind", won)
	}
	for n := range won {
		if got := s.waiting(); got != int64(1+n) {
			t.Errorf("%d wait, want %d", got, 1+n)
		}
	}
}

// TestWait answers with Clerk's id when there is a worker, with Clerk's error
// when Clerk refuses, and with what is known when the time is up.
func TestWait(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.ReadTimeout = 300 * time.Millisecond }) // Waiting outlasts it.
	var i invitation
	started := time.Now()
	s.post("/v1/invitations?wait=1", `{"email_address":"a@example.com"}`).into(t, &i)
	if took := time.Since(started); took < time.Second || took > 5*time.Second || !strings.HasPrefix(i.ID, "inq_") {
		t.Errorf("without a worker: %s after %s", i.ID, took)
	}
	s.work()
	s.post("/v1/invitations?wait=20", `{"email_address":"b@example.com"}`).into(t, &i)
	if !strings.HasPrefix(i.ID, "inv_") || i.Inviteq.State != "pending" || !strings.HasPrefix(i.Inviteq.ID, "inq_") {
		t.Errorf("with a worker: %+v", i)
	}
	s.sim.AddUser("user@example.com")
	s.sim.BlockAddress("blocked@example.com")
	for _, c := range []struct {
		address, code, reason string
		status                int
	}{
		{"user@example.com", "form_identifier_exists", "existing_user", 422},
		{"b@example.com", "duplicate_record", "already_invited", 400},
		{"blocked@example.com", "not_allowed_access", "blocked", 403},
	} {
		r := s.post("/v1/invitations?wait=20", `{"email_address":"`+c.address+`"}`, "Idempotency-Key", c.reason)
		e := r.errors(t)[0]
		ours, _ := e.Meta["inviteq"].(map[string]any)
		if r.status != c.status || e.Code != c.code || ours["reason"] != c.reason || ours["state"] != "rejected" {
			t.Errorf("%s: %d %s", c.address, r.status, r.body)
		}
		if names, _ := e.Meta["email_addresses"].([]any); c.status == 400 && (len(names) != 1 || names[0] != c.address) {
			t.Errorf("the duplicate is not named: %s", r.body)
		}
		if again := s.post("/v1/invitations", `{"email_address":"`+c.address+`"}`, "Idempotency-Key", c.reason); again.status != c.status {
			t.Errorf("%s again: %d %s", c.address, again.status, again.body)
		}
	}
	var list []invitation
	s.post("/v1/invitations/bulk?wait=20", `[{"email_address":"c@example.com"},{"email_address":"user@example.com"}]`).into(t, &list)
	if !strings.HasPrefix(list[0].ID, "inv_") || list[1].Status != "revoked" || list[1].Inviteq.State != "rejected" || list[1].Inviteq.Reason != "existing_user" {
		t.Errorf("bulk: %+v", list)
	}
	s.get("/v1/invitations?status=revoked").into(t, &list)
	if len(list) != 0 {
		t.Errorf("people who were never invited are listed as revoked: %+v", list)
	}
	func() {
		defer s.wrong()()
		for _, q := range []string{"wait=31", "wait=-1", "wait=soon", "wait=NaN", "wait=1&wait=2", "weight=1"} {
			if r := s.post("/v1/invitations?"+q, `{"email_address":"a@example.com"}`); r.status != 422 {
				t.Errorf("%s: %d %s", q, r.status, r.body)
			}
		}
	}()
	if s.sim.MaxMails() != 1 {
		t.Errorf("somebody got %d mails", s.sim.MaxMails())
	}
}

// TestWaitingKeepsNobodyOut: more requests wait than may be in flight, and others
// are answered meanwhile.
func TestWaitingKeepsNobodyOut(t *testing.T) {
	s := newStage(t)
	var wait sync.WaitGroup
	for n := range 300 {
		wait.Go(func() {
			r := s.post("/v1/invitations?wait=30", fmt.Sprintf(`{"email_address":"p%d@example.com"}`, n))
			if r.status != 200 {
				t.Errorf("got %d %s", r.status, r.body)
			}
		})
		// Not all in one moment: that would be too many at a time.
		eventually(t, "one more waits", func() bool { return s.waiting() >= int64(n-14) })
	}
	eventually(t, "all wait", func() bool { return s.waiting() == 300 })
	if r := s.get("/v1/invitations"); r.status != 200 {
		t.Errorf("meanwhile: %d %s", r.status, r.body)
	}
	s.stop()
	wait.Wait()
}
