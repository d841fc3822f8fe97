package control_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/clerk/clerksim/control"
)

// desk is a simulated Clerk with its control, and a client of both.
type desk struct {
	t    *testing.T
	sim  *clerksim.Sim
	url  string
	http *http.Client
}

func newDesk(t *testing.T, cfg clerksim.Config) *desk {
	t.Helper()
	sim, err := clerksim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(control.Handler(sim))
	t.Cleanup(func() { server.Close(); sim.Close() })
	return &desk{t, sim, server.URL, server.Client()}
}

func (d *desk) send(method, path, body string, header ...string) (status int, text string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := d.http.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// act performs an action as curl -d does, and expects a status.
func (d *desk) act(want int, action string, params ...string) string {
	d.t.Helper()
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	status, text := d.send("POST", "/control/"+action, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if status != want {
		d.t.Errorf("%s %v: %d %s, want %d", action, params, status, text, want)
	}
	return text
}

func (d *desk) create(address string) (status int, id string) {
	d.t.Helper()
	status, text := d.send("POST", "/v1/invitations", `{"email_address":"`+address+`"}`,
		"Authorization", "Bearer "+clerksim.DefaultSecretKey, "Content-Type", "application/json", "User-Agent", "a test")
	var inv struct{ ID string }
	if err := json.Unmarshal([]byte(text), &inv); err != nil {
		d.t.Fatal(err)
	}
	return status, inv.ID
}

func see[T any](d *desk, path string) (v T) {
	d.t.Helper()
	status, text := d.send("GET", "/control/"+path, "")
	if status != 200 {
		d.t.Fatalf("GET %s: %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		d.t.Fatal(err)
	}
	return v
}

type row struct {
	ID, Caller      string
	Status          any
	Email           string `json:"email_address"`
	InvitationID    string `json:"invitation_id"`
	URL             string
	Foreign, Mailed bool
	UserID          string `json:"user_id"`
	Blocked         bool
	Suppressed      bool
	Op, Fault       string
	Made            []string
	CreatedAt       time.Time `json:"created_at"`
}

func TestInvitationsEnd(t *testing.T) {
	d := newDesk(t, clerksim.Config{})
	ids := map[string]string{}
	for _, name := range []string{"accept", "expire", "revoke", "delete"} {
		_, ids[name] = d.create(name + "@example.com")
	}
	d.act(200, "accept", "invitation", "accept@example.com")
	d.act(200, "expire", "invitation", ids["expire"])
	d.act(200, "revoke", "invitation", "Revoke@example.com")
	d.act(200, "delete", "invitation", ids["delete"])
	d.act(200, "delete", "invitation", ids["revoke"]) // whatever its status
	d.act(409, "accept", "invitation", ids["expire"])
	d.act(404, "accept", "invitation", "delete@example.com")
	d.act(400, "accept")
	want := map[string]string{"accept": "accepted", "expire": "expired", "revoke": "deleted", "delete": "deleted"}
	list := see[[]row](d, "invitations")
	if len(list) != 4 || list[0].ID != ids["delete"] {
		t.Fatalf("invitations, newest first: %+v", list)
	}
	for _, inv := range list {
		if name := strings.TrimSuffix(inv.Email, "@example.com"); inv.Status != want[name] || inv.Foreign || inv.Caller != "a test" || !inv.Mailed {
			t.Errorf("%+v, want %s", inv, want[name])
		}
	}
	if mails := see[[]row](d, "mails?email_address=Accept@example.com"); len(mails) != 1 || mails[0].InvitationID != ids["accept"] || mails[0].URL == "" {
		t.Errorf("mails %+v", mails)
	}
	if calls := see[[]row](d, "calls?limit=1"); len(calls) != 1 || calls[0].Op != "create" || calls[0].Made[0] != ids["delete"] {
		t.Errorf("calls %+v", calls)
	}
	if status, _ := d.create("accept@example.com"); status != 422 {
		t.Errorf("who accepted is no user: %d", status)
	}
}

func TestPeople(t *testing.T) {
	d := newDesk(t, clerksim.Config{})
	d.act(200, "add-user", "email_address", "user@example.com")
	d.act(200, "block", "email_address", "blocked@example.com")
	d.act(200, "suppress", "email_address", "bounced@example.com")
	for address, want := range map[string]int{"user@example.com": 422, "blocked@example.com": 403, "bounced@example.com": 200} {
		if status, _ := d.create(address); status != want {
			t.Errorf("%s: %d, want %d", address, status, want)
		}
	}
	people := see[[]row](d, "people")
	if len(people) != 3 || !people[0].Blocked || !people[1].Suppressed || people[2].UserID == "" {
		t.Errorf("people %+v", people)
	}
	if mails := see[[]row](d, "mails"); len(mails) != 0 {
		t.Errorf("mails %+v", mails)
	}
	d.act(200, "delete-user", "email_address", "user@example.com")
	d.act(404, "delete-user", "email_address", "user@example.com")
	d.act(200, "unblock", "email_address", "blocked@example.com")
	d.act(200, "unsuppress", "email_address", "bounced@example.com")
	d.act(400, "suppress", "email_address", "nobody")
	for _, address := range []string{"user@example.com", "blocked@example.com"} {
		if status, _ := d.create(address); status != 200 {
			t.Errorf("%s: %d", address, status)
		}
	}
}

// TestInvite has another program invite, by a form and with all parameters.
func TestInvite(t *testing.T) {
	d := newDesk(t, clerksim.Config{})
	d.act(200, "invite", "email_address", "a@example.com")
	status, text := d.send("POST", "/control/invite", `{"email_address":"b@example.com","public_metadata":{"role":"guest"},"notify":false}`, "Content-Type", "application/json")
	if status != 200 || !strings.Contains(text, `"guest"`) {
		t.Errorf("%d %s", status, text)
	}
	d.act(400, "invite", "email_address", "nobody")
	d.act(400, "invite")
	for _, inv := range see[[]row](d, "invitations") {
		if !inv.Foreign || inv.Mailed != (inv.Email == "a@example.com") {
			t.Errorf("%+v", inv)
		}
	}
	if got := d.act(200, "spend", "endpoint", "single", "requests", "200"); !strings.Contains(got, `"admitted": 100`) {
		t.Errorf("spent %s", got)
	}
	if status, _ := d.create("c@example.com"); status != 429 {
		t.Errorf("after another program spent it all: %d", status)
	}
	d.act(400, "spend", "endpoint", "none", "requests", "1")
	d.act(400, "spend", "endpoint", "bulk", "requests", "0")
}

func TestFaultsAndClock(t *testing.T) {
	type state struct {
		Now    time.Time
		Offset string `json:"clock_offset"`
		Faults []string
		Mails  int
	}
	rules, err := clerksim.ParseFaults("overload:90m..2h")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, clerksim.Config{Rules: rules})
	d.act(200, "fault", "fault", "create/error-after=503:x1, list/lag=3s")
	d.act(400, "fault", "fault", "explode")
	if got := see[state](d, "state").Faults; len(got) != 3 || got[0] != "create/error-after=503:x1" || got[1] != "list/lag=3s" || !strings.HasPrefix(got[2], "overload:1h29m") {
		t.Errorf("faults %q", got)
	}
	if status, _ := d.create("a@example.com"); status != 503 {
		t.Errorf("struck: %d", status)
	}
	d.act(200, "clear-faults")
	d.act(200, "clock", "offset", "-744h")
	if status, _ := d.create("b@example.com"); status != 200 {
		t.Errorf("no longer struck: %d", status)
	}
	now := see[state](d, "state")
	if now.Offset != "-744h0m0s" || time.Since(now.Now) < 743*time.Hour || len(now.Faults) != 0 || now.Mails != 2 {
		t.Errorf("state %+v", now)
	}
	if inv := see[[]row](d, "invitations?email_address=b@example.com"); len(inv) != 1 || time.Since(inv[0].CreatedAt) < 743*time.Hour {
		t.Errorf("created %+v", inv)
	}
	d.act(400, "clock", "offset", "soon")
	d.act(200, "reset")
	now = see[state](d, "state")
	if now.Offset != "0s" || len(now.Faults) != 1 || now.Mails != 0 || len(see[[]row](d, "invitations")) != 0 || len(see[[]row](d, "calls")) != 0 {
		t.Errorf("after a reset: %+v", now)
	}
}

// TestMistakes are answered with what is wrong.
func TestMistakes(t *testing.T) {
	d := newDesk(t, clerksim.Config{})
	for _, tc := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/control/weather", "", 404, "GET /control/ lists"},
		{"POST", "/control/explode", "", 404, "GET /control/ lists"},
		{"GET", "/control/calls?limit=0", "", 400, "limit"},
		{"GET", "/control/calls?colour=red", "", 400, "colour"},
		{"POST", "/control/reset", `{"all":true}`, 400, "takes no all"},
		{"POST", "/control/accept", `[]`, 400, "JSON object"},
		{"POST", "/control/accept", `{"invitation":"inv_none"}`, 404, "not found"},
		{"GET", "/elsewhere", "", 401, "authorization_header_format_invalid"},
	} {
		if status, text := d.send(tc.method, tc.path, tc.body, "Content-Type", "application/json"); status != tc.status || !strings.Contains(text, tc.says) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, status, text)
		}
	}
	if status, _ := d.send("GET", "/healthz", ""); status != 200 {
		t.Errorf("health: %d", status)
	}
	// Another site's page must not act in the name of who looks at it.
	if status, text := d.send("POST", "/control/reset", "", "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("another site: %d %s", status, text)
	}
}

// TestIndex lists every action with its parameters.
func TestIndex(t *testing.T) {
	d := newDesk(t, clerksim.Config{})
	index := see[map[string][]struct {
		Path, Does string
		Params     map[string]string
	}](d, "")
	if len(index["GET"]) != 5 || len(index["POST"]) < 16 {
		t.Fatalf("index %+v", index)
	}
	for _, e := range index["GET"] {
		if status, text := d.send("GET", e.Path, ""); status != 200 || e.Does == "" {
			t.Errorf("%s: %d %s", e.Path, status, text)
		}
	}
	for _, e := range index["POST"] {
		// Without its parameters each says which is missing; those without any just act.
		want := 400
		if len(e.Params) == 0 {
			want = 200
		}
		if status, text := d.send("POST", e.Path, "{}", "Content-Type", "application/json"); status != want || e.Does == "" {
			t.Errorf("%s: %d %s", e.Path, status, text)
		}
	}
}

// TestPage looks at the page and uses its forms as a browser does.
func TestPage(t *testing.T) {
	d := newDesk(t, clerksim.Config{})
	_, id := d.create("ada+<script>@example.com")
	if id != "" {
		t.Fatal("not an address, and taken")
	}
	_, id = d.create("ada@example.com")
	d.act(200, "suppress", "email_address", "bounced@example.com")
	html := []string{"Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}
	status, page := d.send("GET", "/", "")
	for _, part := range []string{"ada@example.com", `action="/control/accept"`, `value="` + id + `"`, "a test", "bounced@example.com", "suppressed", "ada&#43;&lt;script&gt;@example.com"} {
		if status != 200 || !strings.Contains(page, part) {
			t.Errorf("%d, the page lacks %s", status, part)
		}
	}
	status, page = d.send("POST", "/control/accept", "invitation="+id, html...)
	if status != 200 || !strings.Contains(page, "accept: done") || !strings.Contains(page, "accepted") {
		t.Errorf("after a form: %d %s", status, page)
	}
	status, page = d.send("POST", "/control/accept", "invitation="+id, html...)
	if status != 409 || !strings.Contains(page, "not pending") {
		t.Errorf("after a form that failed: %d", status)
	}
	if status, css := d.send("GET", "/control/style.css", ""); status != 200 || !strings.Contains(css, "table") {
		t.Errorf("style: %d", status)
	}
}

// TestREADMETells runs the page's curl commands in their order, and looks for its
// Go code in the tests.
func TestREADMETells(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, clerksim.Config{})
	ran := 0
	for _, m := range regexp.MustCompile(`(?m)^curl (?:-s|-d (\S+)) http://127.0.0.1:9090(\S+)$`).FindAllStringSubmatch(string(text), -1) {
		ran++
		method, body := "GET", strings.Trim(m[1], "'")
		if m[1] != "" {
			method = "POST"
		}
		if status, got := d.send(method, m[2], body, "Content-Type", "application/x-www-form-urlencoded"); status != 200 {
			t.Errorf("%s: %d %s", m[0], status, got)
		}
	}
	if lines := strings.Count(string(text), "\ncurl "); ran != lines || ran < 5 {
		t.Errorf("%d of %d curl commands were understood", ran, lines)
	}
	example, err := os.ReadFile("../example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(text), "```go\n")
	code, _, _ = strings.Cut(code, "```")
	if indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(code, "\n"), "\n", "\n\t"); code == "" || !strings.Contains(string(example), indented) {
		t.Errorf("no test has this code:\n%s", code)
	}
}
