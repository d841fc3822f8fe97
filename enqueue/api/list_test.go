package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"

	"github.com/inviteq/inviteq/tasks/access"
)

type page struct {
	Data  []invitation `json:"data"`
	Total int          `json:"total_count"`
}

func (p page) addresses() []string {
	var list []string
	for _, i := range p.Data {
		name, _, _ := strings.Cut(i.EmailAddress, "@")
		list = append(list, name)
	}
	return list
}

// TestList asks for every order and part of invites in several states.
func TestList(t *testing.T) {
	s := newStage(t)
	var ids []string
	for n, name := range []string{"c", "a", "d", "b", "e"} {
		var i invitation
		s.post("/v1/invitations", fmt.Sprintf(`{"email_address":"%s@example.com","expires_in_days":%d}`, name, 10-n)).into(t, &i)
		ids = append(ids, i.ID)
	}
	if r := s.post("/v1/invitations/"+ids[2]+"/revoke", ""); r.status != 200 {
		t.Fatal(r.body)
	}
	for _, c := range []struct {
		query string
		total int
		want  []string
	}{
		{"", 4, []string{"e", "b", "a", "c"}},
		{"&order_by=-created_at", 4, []string{"e", "b", "a", "c"}},
		{"&order_by=created_at", 4, []string{"c", "a", "b", "e"}},
		{"&order_by=%2Bcreated_at", 4, []string{"c", "a", "b", "e"}},
		{"&order_by=+created_at&limit=2", 4, []string{"c", "a"}}, // an unescaped plus
		{"&order_by=email_address", 4, []string{"a", "b", "c", "e"}},
		{"&order_by=-email_address&offset=1&limit=2", 4, []string{"c", "b"}},
		{"&order_by=expires_at", 4, []string{"e", "b", "a", "c"}},
		{"&limit=2&offset=1", 4, []string{"b", "a"}},
		{"&offset=4", 4, nil},
		{"&status=revoked", 1, []string{"d"}},
		{"&status=accepted&status=expired", 0, nil},
		{"&status=pending&status=revoked&order_by=email_address", 5, []string{"a", "b", "c", "d", "e"}},
		{"&query=A@Example.com", 1, []string{"a"}},
		{"&query=d@example.com", 0, nil},
		{"&query=d@example.com&status=revoked", 1, []string{"d"}},
		{"&query=" + ids[0], 1, []string{"c"}},
		{"&query=inq_nobody", 0, nil},
		{"&query=example.com", 0, nil},
		{"&query=a@b@c", 0, nil},
	} {
		var p page
		s.get("/v1/invitations?paginated=true"+c.query).into(t, &p)
		if diff := cmp.Diff(c.want, p.addresses()); diff != "" || p.Total != c.total {
			t.Errorf("%s: total %d, want %d; %s", c.query, p.Total, c.total, diff)
		}
	}
	var bare []invitation
	s.get("/v1/invitations").into(t, &bare)
	if len(bare) != 4 {
		t.Errorf("a bare list has %d", len(bare))
	}
	defer s.wrong()()
	for _, q := range []string{"limit=5;offset=1", "status=%zz"} {
		if r := s.get("/v1/invitations?" + q); r.status != 400 {
			t.Errorf("%s: %d %s", q, r.status, r.body)
		}
	}
	for _, q := range []string{"status=lost", "order_by=name", "order_by=--created_at", "paginated=perhaps", "limit=0", "limit=501", "limit=x",
		"offset=-1", "offset=1000001", "page=2", "=1", "canary@example.com=1"} {
		r := s.get("/v1/invitations?" + q)
		if r.status != 422 || r.errors(t)[0].Meta["param_name"] == nil || strings.Contains(r.body, "canary") {
			t.Errorf("%s: %d %s", q, r.status, r.body)
		}
	}
}

// TestPages goes through a long list page by page, in the order that is fast and
// in one that is not: every invite comes once.
func TestPages(t *testing.T) {
	s := newStage(t)
	const n = 1200
	for part := range 4 {
		if r := s.post("/v1/invitations/bulk", members(n/4, fmt.Sprintf("p%d.", part))); r.status != 200 {
			t.Fatal(r.body)
		}
	}
	for _, order := range []string{"-created_at", "email_address"} {
		seen := map[string]bool{}
		var created []int64
		for offset := 0; ; offset += 500 {
			var p page
			s.get(fmt.Sprintf("/v1/invitations?paginated=true&limit=500&offset=%d&order_by=%s", offset, order)).into(t, &p)
			if p.Total != n {
				t.Fatalf("total %d, want %d", p.Total, n)
			}
			for _, i := range p.Data {
				seen[i.ID] = true
				created = append(created, -i.CreatedAt)
			}
			if len(p.Data) < 500 {
				break
			}
		}
		if len(seen) != n || len(created) != n {
			t.Errorf("%s: %d invites, %d different; want %d", order, len(created), len(seen), n)
		}
		if order == "-created_at" && !slices.IsSorted(created) {
			t.Error("the newest do not come first")
		}
	}
}

// TestRevoke takes back what waits, what is with Clerk, and what is somebody
// else's.
func TestRevoke(t *testing.T) {
	s := newStage(t)
	var i invitation
	s.post("/v1/invitations", `{"email_address":"a@example.com"}`).into(t, &i)
	s.post("/v1/invitations/"+i.ID+"/revoke", "").into(t, &i)
	if !i.Revoked || i.Status != "revoked" || i.Inviteq.State != "canceled" {
		t.Errorf("revoked before it was sent: %+v", i)
	}
	if r := s.post("/v1/invitations/"+i.ID+"/revoke", ""); r.status != 400 || r.errors(t)[0].Code != "invitation_already_revoked" {
		t.Errorf("revoked again: %d %s", r.status, r.body)
	}
	if r := s.post("/v1/invitations/inq_nobody/revoke", ""); r.status != 404 || r.errors(t)[0].Code != "resource_not_found" {
		t.Errorf("nobody: %d %s", r.status, r.body)
	}
	s.work()
	s.post("/v1/invitations?wait=20", `{"email_address":"b@example.com"}`).into(t, &i)
	clerks := i.ID
	if !strings.HasPrefix(clerks, "inv_") {
		t.Fatalf("not delivered: %+v", i)
	}
	s.post("/v1/invitations/"+clerks+"/revoke?wait=20", "").into(t, &i)
	if !i.Revoked || i.ID != clerks || i.Inviteq.State != "revoked" || s.sim.ByAddress("b@example.com")[0].Status != "revoked" {
		t.Errorf("revoked at Clerk: %+v", i)
	}
	s.post("/v1/invitations?wait=20", `{"email_address":"c@example.com"}`).into(t, &i)
	s.post("/v1/invitations/"+i.ID+"/revoke?wait=0", "").into(t, &i)
	if i.Inviteq.State == "pending" && (i.Status != "pending" || !i.Inviteq.Revoking) {
		t.Errorf("not waited for: %+v", i)
	}
	foreign, err := s.sim.CreateForeign("d@example.com")
	if err != nil {
		t.Fatal(err)
	}
	var asked invitation
	s.post("/v1/invitations/"+foreign.ID+"/revoke?wait=0", "").into(t, &asked)
	if asked.ID != foreign.ID || asked.Inviteq.RequestID == "" || asked.Status == "pending" != asked.Inviteq.Revoking {
		t.Errorf("somebody else's: %+v", asked)
	}
	eventually(t, "somebody else's invitation is revoked", func() bool { return s.sim.ByAddress("d@example.com")[0].Status == "revoked" })
	var done enqueue.RevokeStatus
	eventually(t, "the revoke is done", func() bool {
		s.get("/v1/revokes/"+asked.Inviteq.RequestID).into(t, &done)
		return done.Done()
	})
	if done.Foreign != 1 || len(done.Invitations) != 1 || done.Invitations[0] != foreign.ID || done.AskedAt.After(*done.DoneAt) {
		t.Errorf("somebody else's: %+v", done)
	}
	// With a wait the answer is Clerk's.
	foreign, err = s.sim.CreateForeign("e@example.com")
	if err != nil {
		t.Fatal(err)
	}
	s.post("/v1/invitations/"+foreign.ID+"/revoke?wait=20", "").into(t, &asked)
	if asked.ID != foreign.ID || !asked.Revoked || asked.Status != "revoked" || asked.Inviteq.Revoking {
		t.Errorf("somebody else's, waited for: %+v", asked)
	}
	if foreign, err = s.sim.CreateForeign("f@example.com"); err == nil {
		err = s.sim.Accept(foreign.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := s.post("/v1/invitations/"+foreign.ID+"/revoke?wait=20", ""); r.status != 400 || r.errors(t)[0].Code != "invitation_already_accepted" {
		t.Errorf("somebody else's, accepted: %d %s", r.status, r.body)
	}
	if r := s.post("/v1/invitations/inv_nobody/revoke?wait=20", ""); r.status != 404 || r.errors(t)[0].Code != "resource_not_found" {
		t.Errorf("unknown to Clerk: %d %s", r.status, r.body)
	}
	if r := s.get("/v1/revokes/rvk_nobody"); r.status != 404 || r.errors(t)[0].Code != "resource_not_found" {
		t.Errorf("a revoke of nobody: %d %s", r.status, r.body)
	}
}

// TestInvite is the question about one invite, by either id.
func TestInvite(t *testing.T) {
	s := newStage(t).work()
	var i invitation
	s.post("/v1/invitations?wait=20", `{"email_address":"Ada@example.com"}`).into(t, &i)
	for _, id := range []string{i.ID, i.Inviteq.ID} {
		var got struct {
			Object, ID, State   string
			EmailAddress        string `json:"email_address"`
			InvitationID        string `json:"invitation_id"`
			CreatedAt, Eta, Url *string
		}
		s.get("/v1/invites/"+id).into(t, &got)
		if got.Object != "invite" || got.ID != i.Inviteq.ID || got.InvitationID != i.ID || got.State != "pending" || got.EmailAddress != "Ada@example.com" || got.Eta != nil || got.Url != nil {
			t.Errorf("got %+v", got)
		}
	}
	for _, path := range []string{"/v1/invites/inq_nobody", "/v1/imports/imp_nobody"} {
		if r := s.get(path); r.status != 404 {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	defer s.wrong()()
	for _, path := range []string{"/v1/invites/ada@example.com", "/v1/invites/a%20b", "/v1/imports/ada@example.com"} {
		if r := s.get(path); r.status != 404 || strings.Contains(r.body, "ada@") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := s.get("/v1/invites/" + i.ID + "?x=1"); r.status != 422 {
		t.Errorf("an unknown parameter: %d", r.status)
	}
	for _, e := range s.audit() {
		if strings.Contains(fmt.Sprintf("%+v", e), "ada@") {
			t.Errorf("audited %+v", e)
		}
	}
}

// TestInviteByItsKey: whoever asks with an Idempotency-Key finds the invite by it, and
// nobody else does.
func TestInviteByItsKey(t *testing.T) {
	s := newStage(t)
	s.token = s.tokenOf("one", access.Operator, access.Own)
	var made, got struct{ ID, Object string }
	s.post("/v1/invitations", `{"email_address":"ada@example.com"}`, "Idempotency-Key", "order-1").into(t, &made)
	s.get("/v1/invites/order-1").into(t, &got)
	if got.Object != "invite" || got.ID != made.ID {
		t.Errorf("got %+v, want %s", got, made.ID)
	}
	s.token = s.tokenOf("another", access.Operator, access.Own)
	if r := s.get("/v1/invites/order-1"); r.status != 404 {
		t.Errorf("another token: %d %s", r.status, r.body)
	}
}
