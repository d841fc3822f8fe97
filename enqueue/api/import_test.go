package api_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

const csv = "text/csv"

// TestImport streams lists in both formats; the same list again is the same
// import.
func TestImport(t *testing.T) {
	s := newStage(t)
	var list strings.Builder
	list.WriteString("email,public_metadata.team\n")
	for n := range 250 {
		fmt.Fprintf(&list, "p%d@example.com,red\n", n)
	}
	list.WriteString("P1@example.com,red\n")
	var dry, first, again importState
	s.do("POST", "/v1/imports?dry_run=true", csv, list.String()).into(t, &dry)
	if !dry.DryRun || dry.Rows != 251 || dry.Duplicates != 1 || s.waiting() != 0 {
		t.Errorf("dry run: %+v, %d waiting", dry, s.waiting())
	}
	r := s.do("POST", "/v1/imports", csv, list.String())
	r.into(t, &first)
	if first.ID != dry.ID || first.Admitted != 250 || first.Total != 250 || first.Open != 250 || first.Duplicates != 1 || first.ETA == nil || first.DryRun || s.waiting() != 250 {
		t.Errorf("got %s", r.body)
	}
	r = s.do("POST", "/v1/imports", csv, list.String())
	r.into(t, &again)
	if again.ID != first.ID || again.Known != 250 || again.Admitted != 0 || r.header.Get("Idempotent-Replayed") != "true" || s.waiting() != 250 {
		t.Errorf("again: %s", r.body)
	}
	var got importState
	s.get("/v1/imports/"+first.ID).into(t, &got)
	if got.Total != 250 || got.States["queued"] != 250 {
		t.Errorf("its state: %+v", got)
	}

	r = s.do("POST", "/v1/imports?import_id=friends&lane=interactive", "application/x-ndjson; charset=utf-8", `{"email_address":"x@example.com"}`+"\n"+`{"email_address":"y@example.com","lane":"import"}`)
	r.into(t, &got)
	if got.ID != "friends" || got.Admitted != 2 {
		t.Errorf("JSON Lines: %s", r.body)
	}
	var p page
	s.get("/v1/invitations?paginated=true&query=x@example.com").into(t, &p)
	if p.Total != 1 || p.Data[0].Inviteq.Lane != "interactive" || p.Data[0].Inviteq.ImportID != "friends" {
		t.Errorf("got %+v", p)
	}
	s.do("POST", "/v1/imports?import_id=friends", "application/jsonl", `{"email_address":"x@example.com","expires_in_days":3}`).into(t, &got)
	if got.Conflicting != 1 || len(got.Conflicts) != 1 || got.Conflicts[0] != 1 || got.Admitted != 0 {
		t.Errorf("a conflict: %+v", got)
	}
	entries := s.audit()
	if e := entries[len(entries)-1]; e.ID != "friends" || e.Route != "/v1/imports" {
		t.Errorf("audited %+v", e)
	}
}

// TestStopImport: an import is held, let go, paused and resumed, and listed with its
// name and who asked.
func TestStopImport(t *testing.T) {
	s := newStage(t)
	var i importState
	s.do("POST", "/v1/imports?import_id=spring&name=team.csv&hold=1h", csv, "email\na@example.com\n").into(t, &i)
	if i.State != "held" || i.HeldUntil == nil || i.Name != "team.csv" || i.Owner == "" || i.ETA == nil || i.ETA.Before(*i.HeldUntil) {
		t.Errorf("held: %+v", i)
	}
	for _, step := range []struct{ do, state string }{{"resume", "running"}, {"resume", "running"}, {"pause", "paused"}, {"pause", "paused"}, {"resume", "running"}} {
		var i importState
		s.do("POST", "/v1/imports/spring/"+step.do, "", "").into(t, &i)
		if i.State != step.state || (i.PausedAt != nil) != (step.state == "paused") || (i.ETA != nil) != (step.state == "running") || i.HeldUntil != nil {
			t.Errorf("after %s: %+v", step.do, i)
		}
	}
	s.do("POST", "/v1/imports?import_id=summer&name=ada%40example.com.csv", csv, "email\nb@example.com\n")
	var page struct {
		Data  []importState `json:"data"`
		Total int           `json:"total_count"`
	}
	s.get("/v1/imports").into(t, &page)
	if page.Total != 2 || len(page.Data) != 2 || page.Data[0].ID != "summer" || page.Data[0].Name != "" || page.Data[1].Name != "team.csv" {
		t.Errorf("got %+v", page)
	}
	s.get("/v1/imports?limit=1&offset=1").into(t, &page)
	if page.Total != 2 || len(page.Data) != 1 || page.Data[0].ID != "spring" {
		t.Errorf("got %+v", page)
	}
	for path, want := range map[string]int{"/v1/imports/nothing/pause": 404, "/v1/imports/nothing/resume": 404, "/v1/imports/spring/pause?x=1": 422} {
		if r := s.do("POST", path, "", ""); r.status != want {
			t.Errorf("%s: %d, want %d", path, r.status, want)
		}
	}
	for _, hold := range []string{"soon", "-1m", "0"} {
		if r := s.do("POST", "/v1/imports?hold="+hold, csv, "email\nb@example.com\n"); r.status != 422 {
			t.Errorf("hold=%s: %d", hold, r.status)
		}
	}
}

// TestRevokeImport: without a worker what was not sent is canceled, and people whose
// invitation was revoked are invited anew.
func TestRevokeImport(t *testing.T) {
	s := newStage(t)
	s.do("POST", "/v1/imports?import_id=spring", csv, "email\na@example.com\nb@example.com\n")
	var got struct {
		ID       string     `json:"request_id"`
		Canceled int        `json:"canceled"`
		Rows     int        `json:"rows"`
		Waiting  int        `json:"waiting"`
		Renewed  int        `json:"renewed"`
		Done     *time.Time `json:"done_at"`
	}
	s.do("POST", "/v1/imports/spring/revoke?state=pending&state=parked", "", "").into(t, &got)
	if got.Canceled != 0 || got.Rows != 2 || got.Waiting != 0 {
		t.Errorf("no queued ones: %+v", got)
	}
	s.do("POST", "/v1/imports/spring/revoke", "", "").into(t, &got)
	if got.Canceled != 2 || got.Rows != 2 || got.Waiting != 0 || s.waiting() != 0 {
		t.Errorf("got %+v, %d wait", got, s.waiting())
	}
	s.get("/v1/revokes/"+got.ID).into(t, &got)
	if got.Canceled != 2 {
		t.Errorf("its state: %+v", got)
	}
	s.do("POST", "/v1/imports/spring/renew?state=expired&state=pending", "", "").into(t, &got)
	if got.Renewed != 0 || got.Rows != 2 {
		t.Errorf("renewed: %+v", got)
	}
	defer s.wrong()()
	for path, want := range map[string]int{"/v1/imports/nothing/revoke": 404, "/v1/imports/nothing/renew": 404, "/v1/imports/spring/revoke?state=expired": 422, "/v1/imports/spring/renew?state=queued": 422} {
		if r := s.do("POST", path, "", ""); r.status != want {
			t.Errorf("%s: %d, want %d", path, r.status, want)
		}
	}
}

// TestImportKey: the key of a list that is repeated, and of another one.
func TestImportKey(t *testing.T) {
	s := newStage(t)
	var first, again importState
	s.do("POST", "/v1/imports", csv, "email\na@example.com\n", "Idempotency-Key", "k").into(t, &first)
	s.do("POST", "/v1/imports", csv, "email\na@example.com\n", "Idempotency-Key", "k").into(t, &again)
	if first.Admitted != 1 || again.Known != 1 || first.ID != again.ID {
		t.Errorf("got %+v and %+v", first, again)
	}
	if r := s.do("POST", "/v1/imports", csv, "email\nb@example.com\n", "Idempotency-Key", "k"); r.status != 409 {
		t.Errorf("another list: %d %s", r.status, r.body)
	}
	if s.waiting() != 1 {
		t.Errorf("%d wait", s.waiting())
	}
}

// TestBadRows names every one of them and accepts nothing, unless told to.
func TestBadRows(t *testing.T) {
	s := newStage(t)
	const list = "email,expires_in_days\ncanary,7\na@example.com,7\nb@example.com,soon\nc@example.com,7,8\n"
	r := s.do("POST", "/v1/imports", csv, list)
	var got []string
	for _, e := range r.errors(t) {
		got = append(got, fmt.Sprintf("%v %v", e.Meta["row"], e.Meta["param_name"]))
	}
	if want := "2 email_address, 4 expires_in_days, 5 "; r.status != 422 || strings.Join(got, ", ") != want || strings.Contains(r.body, "canary") {
		t.Errorf("%d: got %q, want %q\n%s", r.status, strings.Join(got, ", "), want, r.body)
	}
	if s.waiting() != 0 {
		t.Errorf("%d wait", s.waiting())
	}
	var i importState
	s.do("POST", "/v1/imports?skip_invalid=true", csv, list).into(t, &i)
	if i.Admitted != 1 || i.Invalid != 3 || len(i.Problems) != 3 || i.Rows != 4 {
		t.Errorf("got %+v", i)
	}

	// Very many bad rows are counted, and the first of them named.
	r = s.do("POST", "/v1/imports", csv, "email\n"+strings.Repeat("x\n", 20_000))
	all := r.errors(t)
	if last := all[len(all)-1]; len(all) != 1001 || last.Code != "more_errors" || last.Meta["invalid"] != 20_000.0 {
		t.Errorf("%d errors, the last %+v", len(all), last)
	}
	for _, c := range []struct {
		body, code string
		status     int
	}{
		{"\n", "import_invalid", 422},
		{"email\n", "import_empty", 422},
		{"name\ncanary\n", "import_invalid", 422},
		{"canary@example.com,canary\n", "import_invalid", 422},
		{"e\x00m\x00", "import_invalid", 422},
		{"email\na@example.com\xff\n", "import_row_invalid", 422},
	} {
		if r := s.do("POST", "/v1/imports", csv, c.body); r.status != c.status || r.errors(t)[0].Code != c.code || strings.Contains(r.body, "canary") {
			t.Errorf("%q: %d %s", c.body, r.status, r.body)
		}
	}
	defer s.wrong()()
	for _, q := range []string{"lane=fast", "import_id=", "import_id=a@example.com", "skip_invalid=perhaps", "x=1"} {
		if r := s.do("POST", "/v1/imports?"+q, csv, "email\na@example.com\n"); r.status != 422 || strings.Contains(r.body, "a@example.com") {
			t.Errorf("%s: %d %s", q, r.status, r.body)
		}
	}
	for _, media := range []string{"", "application/pdf", "text/csv; charset=", "multipart/form-data; boundary=x"} {
		if r := s.do("POST", "/v1/imports", media, "email\na@example.com\n"); r.status != 415 {
			t.Errorf("%q: %d %s", media, r.status, r.body)
		}
	}
}

// TestImportShapes: what is not CSV, columns by their own names, ids of the caller's.
func TestImportShapes(t *testing.T) {
	s := newStage(t)
	var got importState
	r := s.do("POST", "/v1/imports?column=email_address%3DWork+mail&column=ignore%3DNotfy&global_ids=true", csv, "id,Work mail,Name,Notfy\norder-1,a@example.com,A,x\n")
	r.into(t, &got)
	if got.Admitted != 1 || strings.Join(got.Ignored, ", ") != "Name, Notfy" {
		t.Errorf("got %s", r.body)
	}
	var one map[string]any
	s.get("/v1/invites/order-1").into(t, &one)
	if one["import_id"] != got.ID {
		t.Errorf("got %v", one)
	}
	r = s.do("POST", "/v1/imports?column=email_address%3DWork+mail&column=ignore%3DNotfy&import_id="+got.ID, csv, "id,Work mail,Name,Notfy\norder-1,a@example.com,A,x\n")
	if e := r.errors(t); r.status != 409 || !strings.Contains(e[0].LongMessage, "global_ids=true") {
		t.Errorf("without the ids with which it was begun: %d %s", r.status, r.body)
	}
	for media, body := range map[string]string{
		"application/json": `[{"email":"b@example.com"},{"E-Mail":"c@example.com"}]`, "application/octet-stream": "\xff\xfee\x00m\x00a\x00i\x00l\x00\n\x00d\x00@\x00b\x00.\x00c\x00o\x00",
	} {
		r := s.do("POST", "/v1/imports", media, body)
		if r.into(t, &got); got.Admitted == 0 {
			t.Errorf("%s: %s", media, r.body)
		}
	}
	r = s.do("POST", "/v1/imports", "application/json", `[{"email":"b@example.com"},{"email":"x"}]`)
	if e := r.errors(t); len(e) != 1 || e[0].Meta["row"] != 1.0 || e[0].Meta["item"] != 2.0 {
		t.Errorf("got %s", r.body)
	}
	defer s.wrong()()
	for _, q := range []string{"column=x", "column=colour%3Dx", "global_ids=perhaps", "preflight=true"} {
		if r := s.do("POST", "/v1/imports?"+q, csv, "email\na@example.com\n"); r.status != 422 {
			t.Errorf("%s: %d %s", q, r.status, r.body)
		}
	}
}

// TestImportPreflight hands on what the check says, and accepts nothing.
func TestImportPreflight(t *testing.T) {
	var asked []string
	s := newStage(t, func(c *api.Config) {
		c.Preflight = func(_ context.Context, list iter.Seq2[tasks.Invite, error], size int) (tasks.Forecast, error) {
			for i, err := range list {
				if err != nil {
					return tasks.Forecast{}, err
				}
				asked = append(asked, i.ID)
			}
			return tasks.Forecast{ToSend: size - 1, Users: 1}, nil
		}
	})
	var got struct {
		importState
		Preflight tasks.Forecast `json:"preflight"`
	}
	s.do("POST", "/v1/imports?preflight=true&global_ids=true", csv, "id,email\n1,a@example.com\n2,b@example.com\n3,A@example.com\n").into(t, &got)
	if !got.DryRun || got.Preflight.ToSend != 1 || got.Preflight.Users != 1 || got.Duplicates != 1 || strings.Join(asked, " ") != "1 2" || s.waiting() != 0 {
		t.Errorf("got %+v, asked %q, %d wait", got, asked, s.waiting())
	}
}

// TestImportsWaiting: a list that would make too many wait is refused.
func TestImportsWaiting(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.MaxWaiting = 2; c.MaxRows = 3 })
	if r := s.do("POST", "/v1/imports", csv, "email\na@example.com\nb@example.com\nc@example.com\n"); r.status != 429 || r.header.Get("Retry-After") == "" {
		t.Errorf("too many wait: %d %s", r.status, r.body)
	}
	if r := s.do("POST", "/v1/imports", csv, "email\n"+strings.Repeat("x\n", 4)); r.status != 413 {
		t.Errorf("too many rows: %d %s", r.status, r.body)
	}
	if s.waiting() != 0 {
		t.Errorf("%d wait", s.waiting())
	}
}

// TestNeighboursHaveRoom: one token of scope own cannot take all that may wait.
func TestNeighboursHaveRoom(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.MaxWaiting = 6 })
	billing, web := s.tokenOf("billing", access.Operator, access.Own), s.tokenOf("web", access.Operator, access.Own)
	for _, step := range []struct {
		token, list string
		status      int
	}{
		{billing, "a@example.com\nb@example.com\n", 200},
		{billing, "c@example.com\nd@example.com\n", 429},
		{billing, "c@example.com\n", 200},
		{billing, "i@example.com\nj@example.com\n", 429},
		{web, "e@example.com\nf@example.com\ng@example.com\n", 200},
		{s.tokenOf("backend", access.Operator, access.Instance), "h@example.com\n", 429}, // All that may wait do.
	} {
		s.token = step.token
		if r := s.do("POST", "/v1/imports", csv, "email\n"+step.list); r.status != step.status || step.status == 429 && !strings.Contains(r.body, "wait already") {
			t.Errorf("%q: %d %s", step.list, r.status, r.body)
		}
	}
}

// TestInvitesHaveABound: creates count, too, and what is known already is no more.
func TestInvitesHaveABound(t *testing.T) {
	s := newStage(t, func(c *api.Config) { c.MaxWaiting = 6 })
	own, all := s.tokenOf("own", access.Operator, access.Own), s.token
	one := func(n int) string { return fmt.Sprintf(`{"email_address":"p%d@example.com"}`, n) }
	for _, step := range []struct {
		name, token, path, body, key string
		status                       int
	}{
		{"the first of its own", own, "/v1/invitations", one(1), "k1", 200},
		{"two more", own, "/v1/invitations/bulk", "[" + one(2) + "," + one(3) + "]", "", 200},
		{"half of all is taken", own, "/v1/invitations", one(4), "", 429},
		{"a repetition", own, "/v1/invitations", one(1), "k1", 200},
		{"too many at once", all, "/v1/invitations/bulk", "[" + one(5) + "," + one(6) + "," + one(7) + "," + one(8) + "]", "", 429},
		{"as many as may", all, "/v1/invitations/bulk", "[" + one(5) + "," + one(6) + "," + one(7) + "]", "k2", 200},
		{"no place is left", all, "/v1/invitations", one(8), "", 429},
		{"a repetition of many", all, "/v1/invitations/bulk", "[" + one(5) + "," + one(6) + "," + one(7) + "]", "k2", 200},
	} {
		var header []string
		if step.key != "" {
			header = []string{"Idempotency-Key", step.key}
		}
		s.token = step.token
		if r := s.post(step.path, step.body, header...); r.status != step.status || step.status == 429 && (r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "wait already")) {
			t.Errorf("%s: %d %s", step.name, r.status, r.body)
		}
	}
	if s.waiting() != 6 {
		t.Errorf("%d wait", s.waiting())
	}
}

// TestImportsAreBounded in size, and leave nothing on the disk.
func TestImportsAreBounded(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := newStage(t, func(c *api.Config) { c.MaxImport = 1 << 20; c.ReadTimeout = 2 * time.Second })
	if r := s.do("POST", "/v1/imports", csv, "email\n"+strings.Repeat("somebody@example.com\n", 100_000)); r.status != 413 {
		t.Errorf("too large: %d %s", r.status, r.body)
	}
	if r := s.do("POST", "/v1/imports", csv, "email\n"+strings.Repeat("somebody@example.com\n", 40_000)); r.status != 200 {
		t.Errorf("large: %d %s", r.status, r.body)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}
}
