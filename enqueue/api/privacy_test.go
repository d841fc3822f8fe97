package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// TestNobodyIsNamed sends an address wherever a client can put one, and looks for
// it in the audit log and in every error.
func TestNobodyIsNamed(t *testing.T) {
	s := newStage(t).work()
	defer s.wrong()()
	s.sim.AddUser("canary@example.com")
	for _, r := range []reply{
		s.post("/v1/invitations", `{"email_address":"canary@@example.com"}`),
		s.post("/v1/invitations", `{"email_address":"a@example.com","canary@example.com":true}`),
		s.post("/v1/invitations", `{"email_address":"a@example.com","redirect_url":"mailto:canary@example.com"}`),
		s.post("/v1/invitations", `{"email_address":"a@example.com","not_before":"canary@example.com"}`),
		s.post("/v1/invitations", `{"email_address":["canary@example.com"]}`),
		s.post("/v1/invitations", `canary@example.com`),
		s.post("/v1/invitations?canary@example.com=1", `{}`),
		s.post("/v1/invitations?wait=canary@example.com", `{}`),
		s.post("/v1/invitations?wait=20", `{"email_address":"canary@example.com"}`),
		s.post("/v1/invitations", `{"email_address":"b@example.com"}`, "Idempotency-Key", "canary@example.com "),
		s.post("/v1/invitations/bulk", `[{"email_address":"canary@example.com"},{"email_address":"canary@example.com"}]`),
		s.post("/v1/invitations/canary@example.com/revoke", ""),
		s.get("/v1/invitations?order_by=canary@example.com"),
		s.get("/v1/invites/canary@example.com"),
		s.get("/canary@example.com"),
		s.do("POST", "/v1/imports", csv, "email\ncanary@example.com,canary@example.com\n"),
		s.do("POST", "/v1/imports", csv, "canary@example.com\n"),
		s.do("POST", "/v1/imports", "canary@example.com", "email\n"),
		s.do("POST", "/v1/imports?import_id=canary@example.com", csv, "email\n"),
		s.do("GET", "/v1/invitations", "", "", "X-Request-Id", "canary@example.com"),
		s.do("GET", "/v1/invitations", "", "", "Authorization", "Bearer canary@example.com"),
	} {
		text := r.body
		if r.status == 200 {
			text = "" // a list, to its owner
		}
		if strings.Contains(strings.ToLower(text+fmt.Sprint(r.header)), "canary") {
			t.Errorf("%d %v %s", r.status, r.header, r.body)
		}
	}
	// What an owner may see is masked wherever it is printed.
	s.post("/v1/invitations", `{"email_address":"canary.good@example.com"}`, "Idempotency-Key", "canary@example.com")
	entries := s.audit()
	if len(entries) != 22 {
		t.Errorf("%d entries, want 22", len(entries))
	}
	for _, e := range entries {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(text)+fmt.Sprintf("%+v %#v", e, e)), "canary") {
			t.Errorf("audited %s", text)
		}
	}
	// Of Redis, the records hold addresses and nothing else of ours does.
	keys, err := s.redis.Keys(t.Context(), "*{"+s.ledger.Instance()+"}:bound:*").Result()
	if err != nil || len(keys) != 1 || strings.Contains(keys[0], "canary") {
		t.Errorf("bound %v, %v", keys, err)
	}
}

// TestWithoutRedis says so, with a status for load balancers and no detail.
func TestWithoutRedis(t *testing.T) {
	server := redistest.Start(t)
	rdb := server.Client(t)
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := enqueue.New(enqueue.Config{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, func(c *api.Config) { c.Ledger, c.Client = l, client })
	if s.token, _, err = access.NewStore(rdb, ledger.KeyPrefix("")).Create(t.Context(), time.Now(), "a", access.Admin, access.Instance); err != nil {
		t.Fatal(err)
	}
	if r := s.get("/healthz"); r.status != 200 {
		t.Errorf("healthz: %d %s", r.status, r.body)
	}
	server.Kill()
	for _, r := range []reply{s.get("/healthz"), s.get("/v1/invitations"), s.post("/v1/invitations", `{"email_address":"canary@example.com"}`)} {
		if r.status != 503 || r.errors(t)[0].Code != "service_unavailable" || r.header.Get("Retry-After") == "" || strings.Contains(r.body, server.Socket) {
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
	entries := s.audit()
	if last := entries[len(entries)-1]; last.Err == nil || last.Status != 503 {
		t.Errorf("audited %+v", last)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it recovers", func() bool { return s.get("/healthz").status == 200 })
}

// TestDocument: the document is what is served, and every operation of it is
// there.
func TestDocument(t *testing.T) {
	s := newStage(t)
	r := s.get("/openapi.yaml")
	if r.status != 200 || r.body != string(api.Document) || !strings.HasPrefix(r.header.Get("Content-Type"), "application/yaml") {
		t.Errorf("%d %v", r.status, r.header)
	}
	defer s.wrong()()
	var operations []string
	for path, p := range document(t, s.url).Paths.Map() {
		for method, o := range p.Operations() {
			operations = append(operations, o.OperationID)
			if p.Servers == nil {
				path = "/v1" + strings.TrimPrefix(path, "/v1")
			}
			body, media := "", ""
			if method == "POST" {
				body, media = "{}", "application/json"
			}
			if r := s.do(method, strings.ReplaceAll(path, "{id}", "x"), media, body); r.status == 405 || r.status == 404 && !strings.Contains(path, "{id}") {
				t.Errorf("%s %s: %d", method, path, r.status)
			}
		}
	}
	slices.Sort(operations)
	want := []string{"CreateBulkInvitations", "CreateImport", "CreateInvitation", "DeleteInvitation", "ExportPerson", "ForgetPerson", "GetDocument", "GetHealth", "GetImport", "GetInvite", "GetRevoke", "ListEvents", "ListImports", "ListInvitations", "PauseImport", "RenewImport", "ResumeImport", "RevokeImport", "RevokeInvitation"}
	if !slices.Equal(operations, want) {
		t.Errorf("operations %v, want %v", operations, want)
	}
}

// TestConfig complains about everything at once.
func TestConfig(t *testing.T) {
	_, err := api.New(api.Config{Wait: time.Hour, MaxImport: -1})
	if err == nil {
		t.Fatal("no complaint")
	}
	for _, word := range []string{"Client", "Wait", "MaxImport"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is missing in %v", word, err)
		}
	}
}
