package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

// TestOwnScope plays one token holder against another, and against the command line.
func TestOwnScope(t *testing.T) {
	s := newStage(t)
	billing, web := s.tokenOf("billing", access.Operator, access.Own), s.tokenOf("web", access.Operator, access.Own)
	const key = "Idempotency-Key"

	s.token = billing
	var single invitation
	s.post("/v1/invitations", `{"email_address":"ada@example.com","public_metadata":{"plan":"pro"}}`, key, "order-1").into(t, &single)
	if single.EmailAddress != "ada@example.com" || single.Inviteq.Masked {
		t.Errorf("the address that it has given itself is masked: %+v", single)
	}
	bulk := s.post("/v1/invitations/bulk", members(3, "b"))
	var members []invitation
	bulk.into(t, &members)
	var list struct {
		ID string `json:"id"`
	}
	s.do("POST", "/v1/imports?import_id=march", "text/csv", "email_address\nrow@example.com\n").into(t, &list)
	var mine []invitation
	if s.get("/v1/invitations?limit=100").into(t, &mine); len(mine) != 5 {
		t.Errorf("it sees %d of its 5 invites", len(mine))
	}
	var page struct {
		Data  []invitation `json:"data"`
		Total int          `json:"total_count"`
	}
	for _, order := range []string{"-created_at", "email_address", "-expires_at"} {
		if s.get("/v1/invitations?paginated=true&limit=2&offset=1&order_by="+order).into(t, &page); len(page.Data) != 2 || page.Total != 5 {
			t.Errorf("by %s it sees %d on the page, and %d in all", order, len(page.Data), page.Total)
		}
	}
	for _, path := range []string{"/v1/imports/march", "/v1/imports/" + list.ID, "/v1/invites/order-1", "/v1/invites/" + single.ID} {
		if r := s.get(path); r.status != 200 {
			t.Errorf("its own %s: %d", path, r.status)
		}
	}

	// The other one cannot tell what exists from what does not.
	s.token = web
	imported := bulk.header.Get("Inviteq-Import-Id")
	for _, path := range []string{
		"/v1/invites/" + single.ID, "/v1/invites/order-1", "/v1/invites/" + members[0].ID, "/v1/imports/march", "/v1/imports/" + list.ID, "/v1/imports/" + imported,
	} {
		if r := s.get(path); r.status != 404 {
			t.Errorf("of another: %s is %d: %s", path, r.status, r.body)
		}
	}
	nothing := strings.ReplaceAll(s.post("/v1/invitations/inq_none/revoke", "").errors(t)[0].LongMessage, "inq_none", "")
	for _, id := range []string{single.ID, members[1].ID, "inv_2abc"} {
		if r := s.post("/v1/invitations/"+id+"/revoke", ""); r.status != 404 || r.errors(t)[0].LongMessage != nothing {
			t.Errorf("revoking another's %s: %d %s", id, r.status, r.body)
		}
	}
	for _, act := range []string{"pause", "resume", "revoke", "renew"} {
		if r := s.post("/v1/imports/"+list.ID+"/"+act, ""); r.status != 404 {
			t.Errorf("%s another's import: %d", act, r.status)
		}
	}
	for _, path := range []string{"/v1/invitations", "/v1/invitations?query=ada@example.com", "/v1/invitations?query=" + single.ID} {
		var all []invitation
		if s.get(path).into(t, &all); len(all) != 0 {
			t.Errorf("%s shows %+v", path, all)
		}
	}
	var imports struct {
		Total int `json:"total_count"`
	}
	if s.get("/v1/imports").into(t, &imports); imports.Total != 0 {
		t.Errorf("it sees %d imports of another", imports.Total)
	}
	// Neither can it take the other's ids, nor write into its import.
	var theirs struct {
		ID       string `json:"id"`
		Admitted int    `json:"admitted"`
	}
	if s.do("POST", "/v1/imports?import_id=march", "text/csv", "email_address\nrow@example.com\n").into(t, &theirs); theirs.ID == list.ID || theirs.Admitted != 1 {
		t.Errorf("the same name and list is %+v", theirs)
	}
	if s.do("POST", "/v1/imports?import_id="+list.ID, "text/csv", "email_address\nintruder@example.com\n").into(t, &theirs); theirs.ID == list.ID {
		t.Error("it has written into another's import")
	}
	if r := s.do("POST", "/v1/imports?global_ids=true", "text/csv", "id,email_address\nsquat,x@example.com\n"); r.status != 422 {
		t.Errorf("ids of the whole instance: %d", r.status)
	}
	var own invitation
	if s.post("/v1/invitations", `{"email_address":"eve@example.com"}`, key, "order-1").into(t, &own); own.ID == single.ID {
		t.Error("the key of another token made the same id")
	}
	defer s.wrong()()
	if r := s.post("/v1/invitations", `{"email_address":"eve@example.com"}`, key, single.ID); r.status != 400 || r.errors(t)[0].Code != "idempotency_key_invalid" {
		t.Errorf("a key that is another's id: %d %s", r.status, r.body)
	}
}

// TestInstanceScope shares its ids with the command line.
func TestInstanceScope(t *testing.T) {
	s := newStage(t)
	client, err := enqueue.New(enqueue.Config{Redis: s.redis, Instance: s.ledger.Instance()})
	if err != nil {
		t.Fatal(err)
	}
	ada, err := tasks.ParseEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Invite(t.Context(), tasks.Invite{ID: "order-1", EmailAddress: ada}); err != nil {
		t.Fatal(err)
	}
	s.token = s.tokenOf("billing", access.Operator, access.Instance)
	r := s.post("/v1/invitations", `{"email_address":"ada@example.com"}`, "Idempotency-Key", "order-1")
	var again invitation
	if r.into(t, &again); again.ID != "order-1" || r.header.Get("Idempotent-Replayed") != "true" || again.EmailAddress != "ada@example.com" {
		t.Errorf("got %+v", again)
	}
	// It is not the operator's own, so that later it is masked.
	var seen struct {
		EmailAddress string `json:"email_address"`
	}
	if s.get("/v1/invites/order-1").into(t, &seen); strings.Contains(seen.EmailAddress, "ada@") {
		t.Errorf("an operator sees %s", seen.EmailAddress)
	}
	if r := s.post("/v1/invitations", `{"email_address":"bob@example.com"}`, "Idempotency-Key", "order-1"); r.status != 409 {
		t.Errorf("another request under the id: %d", r.status)
	}
	var all []invitation
	s.post("/v1/invitations", `{"email_address":"carl@example.com","public_metadata":{"a":1}}`)
	s.get("/v1/invitations").into(t, &all)
	open := map[string]bool{}
	for _, i := range all {
		open[i.EmailAddress] = !i.Inviteq.Masked
		if i.Inviteq.Masked && string(i.PublicMetadata) != "{}" {
			t.Errorf("masked, and yet it shows %s", i.PublicMetadata)
		}
	}
	if len(all) != 2 || !open["carl@example.com"] || open["ada@example.com"] {
		t.Errorf("an operator sees %v", open)
	}
	s.token = s.tokenOf("desk", access.Viewer, access.Instance)
	if r := s.get("/v1/invitations"); r.status != 200 || strings.Contains(r.body, "carl@") || strings.Contains(r.body, `"a":1`) {
		t.Errorf("a viewer sees %s", r.body)
	}
	if r := s.get("/v1/invites/order-1"); r.status != 200 || strings.Contains(r.body, "ada@") {
		t.Errorf("a viewer sees %s", r.body)
	}
	for _, r := range []reply{
		s.post("/v1/invitations", `{"email_address":"bob@example.com"}`), s.post("/v1/invitations/bulk", `[{"email_address":"bob@example.com"}]`),
		s.post("/v1/invitations/order-1/revoke", ""), s.do("POST", "/v1/imports", "text/csv", "email_address\nbob@example.com\n"),
	} {
		if r.status != 403 || r.errors(t)[0].Code != "authorization_invalid" {
			t.Errorf("got %d: %s", r.status, r.body)
		}
	}
	s.token = s.tokenOf("boss", access.Admin, access.Instance)
	if s.get("/v1/invitations").into(t, &all); len(all) != 2 || all[0].Inviteq.Masked || all[1].Inviteq.Masked {
		t.Errorf("an admin sees %+v", all)
	}
	s.post("/v1/invitations/order-1/revoke", "")

	// Each act stands in the audit log, and so does who was shown whose address.
	acts := map[string]int{}
	for a, err := range s.tokens().Acts(t.Context(), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		acts[a.Who+" "+a.What] += max(a.Count, 1)
	}
	for what, want := range map[string]int{"billing invite": 2, "boss reveal": 3, "boss revoke": 1, "desk reveal": 0, "billing reveal": 0} {
		if acts[what] != want {
			t.Errorf("%s: %d, want %d (all: %v)", what, acts[what], want, acts)
		}
	}
}

// TestKeysOfBefore: a request that is repeated across an upgrade makes no second invite.
func TestKeysOfBefore(t *testing.T) {
	s := newStage(t)
	// This id was made by a version whose tokens had no scope, of the token billing and the key order-1.
	const before = "inq_bn54r1kwdwqrrzr8c2zs8e7p"
	ada, err := tasks.ParseEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ledger.Admit(t.Context(), time.Now(), []tasks.Invite{{ID: before, EmailAddress: ada}}); err != nil {
		t.Fatal(err)
	}
	const bearer = "sk_test_inq0123456789abcdef" + "zyxwvtsrqpnmkjhgfedcba9876543210zyxwvtsrqpnmkjhgfedc"
	if err := s.redis.HSet(t.Context(), "inviteq:{"+s.ledger.Instance()+"}:tokens", "tok_0123456789abcdef",
		`{"name":"billing","sha256":"0a19379d39dc2b937aa568e4e284adf5b70c8dd3092bcdaa6044a158b12b0a65","created":1800000000000}`).Err(); err != nil {
		t.Fatal(err)
	}
	s.token = bearer
	var again invitation
	s.post("/v1/invitations", `{"email_address":"ada@example.com"}`, "Idempotency-Key", "order-1").into(t, &again)
	if again.ID != before {
		t.Errorf("the repeated request made %s", again.ID)
	}
	if r := s.get("/v1/invites/order-1"); r.status != 200 || !strings.Contains(r.body, before) {
		t.Errorf("by its key: %d %s", r.status, r.body)
	}
	if s.post("/v1/invitations", `{"email_address":"bob@example.com"}`, "Idempotency-Key", "order-2").into(t, &again); again.ID != "order-2" {
		t.Errorf("a new request made %s", again.ID)
	}
}

// TestForgetAndExport are for admins of the whole instance.
func TestForgetAndExport(t *testing.T) {
	s := newStage(t)
	s.post("/v1/invitations", `{"email_address":"canary@example.com"}`, "Idempotency-Key", "order-1")
	const body = `{"email_address":"canary@example.com"}`
	for _, other := range []string{s.tokenOf("a", access.Admin, access.Own), s.tokenOf("b", access.Operator, access.Instance)} {
		for _, path := range []string{"/v1/people/forget", "/v1/people/export"} {
			if r := s.post(path, body, "Authorization", "Bearer "+other); r.status != 403 {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
	}
	if r := s.post("/v1/people/export", body); r.status != 200 || !strings.Contains(r.body, "canary@example.com") || !strings.Contains(r.body, "order-1") {
		t.Errorf("exported %d %s", r.status, r.body)
	}
	var got struct {
		Done    bool
		Invites []string
	}
	if s.post("/v1/people/forget", body).into(t, &got); !got.Done || len(got.Invites) != 1 {
		t.Errorf("got %+v", got)
	}
	if r := s.get("/v1/invites/order-1"); r.status != 404 {
		t.Errorf("afterwards: %d %s", r.status, r.body)
	}
	if s.post("/v1/people/forget", body).into(t, &got); !got.Done || len(got.Invites) != 0 {
		t.Errorf("again: %+v", got)
	}
	acts, err := s.tokens().LastActs(t.Context(), 3)
	if err != nil || len(acts) != 3 || acts[2].What != "export" || acts[1].What != "forget" || !strings.HasPrefix(acts[1].About, "person:") {
		t.Errorf("audited %+v, %v", acts, err)
	}
	defer s.wrong()()
	if r := s.post("/v1/people/forget", `{"email_address":"canary"}`); r.status != 422 {
		t.Errorf("no address: %d %s", r.status, r.body)
	}
}
