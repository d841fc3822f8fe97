package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/worker/erase"
)

// eraser deletes at the stage's simulated Clerk.
type eraser struct{ stage *stage }

func (e *eraser) clerk() *erase.Clerk {
	return &erase.Clerk{Ledger: e.stage.ledger, Clerk: e.stage.clerk, Share: 1}
}

// Invitation implements api.Eraser.
func (e *eraser) Invitation(ctx context.Context, id string) (bool, error) {
	return e.clerk().Invitation(ctx, id)
}

// Person implements api.Eraser.
func (e *eraser) Person(ctx context.Context, a tasks.Email) (int, error) {
	return e.clerk().Person(ctx, a)
}

func newErasingStage(t *testing.T) *stage {
	t.Helper()
	e := &eraser{}
	e.stage = newStage(t, func(cfg *api.Config) { cfg.Eraser = e })
	return e.stage.work()
}

func (s *stage) delete(path string) reply { s.t.Helper(); return s.do("DELETE", path, "", "") }

// TestDelete deletes what was sent, what was not, what others have made, and nothing twice.
func TestDelete(t *testing.T) {
	s := newErasingStage(t)
	var sent, again invitation
	s.post("/v1/invitations?wait=20", `{"email_address":"ada@example.com"}`).into(t, &sent)
	const want = `{"object":"invitation","id":"%","deleted":true}`
	if r := s.delete("/v1/invitations/" + sent.ID); r.status != 200 || strings.TrimSpace(r.body) != strings.ReplaceAll(want, "%", sent.ID) {
		t.Fatalf("deleting what was sent: %d %s", r.status, r.body)
	}
	if got := s.sim.ByAddress("ada@example.com")[0]; got.Status != clerksim.StatusDeleted {
		t.Errorf("Clerk has it as %s", got.Status)
	}
	for _, id := range []string{sent.ID, sent.Inviteq.ID, "inv_never", "inq_never"} {
		if r := s.delete("/v1/invitations/" + id); r.status != 404 {
			t.Errorf("deleting %s again: %d %s", id, r.status, r.body)
		}
	}
	r, err := s.ledger.Get(t.Context(), sent.Inviteq.ID)
	if err != nil || r[0].State != tasks.Revoked || r[0].Reason != tasks.ReasonGoneAtClerk {
		t.Errorf("the ledger has %+v %v", r, err)
	}

	// Nobody is in the way of a new invitation. Deleting the accepted one keeps what is known.
	s.post("/v1/invitations?wait=20", `{"email_address":"ada@example.com"}`).into(t, &again)
	if again.Status != "pending" || again.ID == sent.ID {
		t.Fatalf("invited again: %+v", again)
	}
	if err := s.sim.Accept("ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if r := s.delete("/v1/invitations/" + again.ID); r.status != 200 {
		t.Errorf("deleting an accepted one: %d %s", r.status, r.body)
	}

	// One that somebody has deleted at Clerk meanwhile is told to be gone once.
	s.post("/v1/invitations?wait=20", `{"email_address":"bob@example.com"}`).into(t, &sent)
	if err := s.sim.Delete(sent.ID); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{200, 404} {
		if r := s.delete("/v1/invitations/" + sent.ID); r.status != want {
			t.Errorf("deleted at Clerk before: %d %s, want %d", r.status, r.body, want)
		}
	}

	// Of those that Clerk never had.
	future := `{"email_address":"eve@example.com","not_before":"2099-01-01T00:00:00Z","deadline":"2099-02-01T00:00:00Z"}`
	s.post("/v1/invitations", future).into(t, &sent)
	for range 2 { // There is nothing at Clerk, however often it is asked.
		if r := s.delete("/v1/invitations/" + sent.ID); r.status != 200 {
			t.Errorf("deleting what was not sent: %d %s", r.status, r.body)
		}
	}
	var invite struct {
		State string `json:"state"`
	}
	if s.get("/v1/invites/"+sent.ID).into(t, &invite); invite.State != "canceled" {
		t.Errorf("what was not sent is %s", invite.State)
	}
	if n := s.sim.Stats().Mails; n != 3 {
		t.Errorf("%d mails were sent, want 3", n)
	}
}

// TestDeleteWhileItIsSent: as long as it is not known whether Clerk has it, the answer is
// no promise; a repeat comes to the end.
func TestDeleteWhileItIsSent(t *testing.T) {
	s := newErasingStage(t)
	s.sim.Inject(clerksim.OpCreate, clerksim.Fault{Hold: 2 * time.Second}, 1)
	var i invitation
	s.post("/v1/invitations", `{"email_address":"ada@example.com"}`).into(t, &i)
	eventually(t, "its call is under way", func() bool { return len(s.sim.ByAddress("ada@example.com")) == 1 })
	if r := s.delete("/v1/invitations/" + i.ID + "?wait=0"); r.status != 409 || r.errors(t)[0].Code != "conflict" || r.header.Get("Retry-After") == "" {
		t.Errorf("while its call is under way: %d %s", r.status, r.body)
	}
	if r := s.delete("/v1/invitations/" + i.ID + "?wait=20"); r.status != 200 {
		t.Errorf("the repeat: %d %s", r.status, r.body)
	}
	if got := s.sim.ByAddress("ada@example.com"); len(got) != 1 || got[0].Status != clerksim.StatusDeleted {
		t.Errorf("Clerk has %+v", got)
	}
}

// TestWhoMayDelete: own ones; others' with the role admin; and every delete is written down.
func TestWhoMayDelete(t *testing.T) {
	s := newErasingStage(t)
	admin := s.token
	tokens := map[string]string{
		"billing": s.tokenOf("billing", access.Operator, access.Own),
		"web":     s.tokenOf("web", access.Operator, access.Own),
		"ops":     s.tokenOf("ops", access.Operator, access.Instance),
		"eyes":    s.tokenOf("eyes", access.Viewer, access.Instance),
		"admin":   admin,
	}
	made := map[string]string{}
	for _, who := range []string{"billing", "ops"} {
		s.token = tokens[who]
		var i invitation
		s.post("/v1/invitations?wait=20", `{"email_address":"`+who+`@example.com"}`).into(t, &i)
		made[who] = i.ID
	}
	theirs, err := s.sim.CreateForeign("stranger@example.com")
	if err != nil {
		t.Fatal(err)
	}
	made["stranger"] = theirs.ID
	for _, row := range []struct {
		who, whose string
		want       int
	}{
		{"web", "billing", 404},
		{"web", "stranger", 404},
		{"ops", "billing", 403},
		{"ops", "stranger", 403},
		{"eyes", "billing", 403},
		{"billing", "billing", 200},
		{"ops", "ops", 200},
		{"admin", "stranger", 200},
	} {
		s.token = tokens[row.who]
		if r := s.delete("/v1/invitations/" + made[row.whose]); r.status != row.want {
			t.Errorf("%s deletes that of %s: %d %s, want %d", row.who, row.whose, r.status, r.body, row.want)
		}
	}
	acts, err := s.tokens().LastActs(t.Context(), 3)
	if err != nil || len(acts) != 3 {
		t.Fatal(acts, err)
	}
	for n, who := range []string{"tests", "ops", "billing"} {
		if a := acts[n]; a.What != "delete" || a.Who != who || a.About == "" {
			t.Errorf("the audit log has %+v, want a delete by %s", a, who)
		}
	}
}

// TestDeleteWithoutClerk: an API without a key for Clerk says so, and so does one whose
// Clerk is down; nothing is half done.
func TestDeleteWithoutClerk(t *testing.T) {
	s := newStage(t)
	if r := s.delete("/v1/invitations/inv_1"); r.status != http.StatusNotImplemented || r.errors(t)[0].Code != "clerk_key_missing" {
		t.Errorf("without a key: %d %s", r.status, r.body)
	}
	if r := s.post("/v1/people/forget", `{"email_address":"ada@example.com","at_clerk":true}`); r.status != http.StatusNotImplemented {
		t.Errorf("forget without a key: %d %s", r.status, r.body)
	}

	s = newErasingStage(t)
	var i invitation
	s.post("/v1/invitations?wait=20", `{"email_address":"ada@example.com"}`).into(t, &i)
	s.sim.Inject(clerksim.OpDelete, clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 503}, 1)
	if r := s.delete("/v1/invitations/" + i.ID); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("while Clerk is down: %d %s", r.status, r.body)
	}
	if r, err := s.ledger.Get(t.Context(), i.Inviteq.ID); err != nil || r[0].State != tasks.Pending {
		t.Errorf("while Clerk is down: %+v %v", r, err)
	}
	if r := s.delete("/v1/invitations/" + i.ID); r.status != 200 {
		t.Errorf("afterwards: %d %s", r.status, r.body)
	}
}

// TestForgetAtClerk deletes whatever Clerk has of a person, and then forgets them.
func TestForgetAtClerk(t *testing.T) {
	s := newErasingStage(t)
	var i invitation
	s.post("/v1/invitations?wait=20", `{"email_address":"ada@example.com"}`).into(t, &i)
	var got struct {
		Done    bool     `json:"done"`
		Invites []string `json:"invites"`
		Pending []string `json:"pending"`
		Deleted int      `json:"deleted_at_clerk"`
	}
	s.post("/v1/people/forget", `{"email_address":"ada@example.com","at_clerk":true}`).into(t, &got)
	if !got.Done || got.Deleted != 1 || len(got.Invites) != 1 || len(got.Pending) != 0 {
		t.Errorf("got %+v", got)
	}
	if at := s.sim.ByAddress("ada@example.com")[0]; at.Status != clerksim.StatusDeleted {
		t.Errorf("Clerk has it as %s", at.Status)
	}
	done := s.wrong()
	defer done()
	if r := s.post("/v1/people/forget", `{"email_address":"ada@example.com","at_clerk":"yes"}`); r.status != 422 || r.errors(t)[0].Meta["param_name"] != "at_clerk" {
		t.Errorf("a wrong at_clerk: %d %s", r.status, r.body)
	}
	if r := s.post("/v1/people/export", `{"email_address":"ada@example.com","at_clerk":true}`); r.status != 422 {
		t.Errorf("at_clerk of an export: %d %s", r.status, r.body)
	}
}
