package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// agentTo is an agent that speaks with `inviteq mcp`. Everything that it hears is kept.
type agentTo struct {
	t       *testing.T
	session *mcp.ClientSession
	heard   *bytes.Buffer
	logged  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (w *world) agent(t *testing.T, args ...string) *agentTo {
	t.Helper()
	fromAgent, toServer := io.Pipe()
	fromServer, toAgent := io.Pipe()
	a := &agentTo{t: t, heard: new(bytes.Buffer), logged: new(lockedBuffer)}
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), append([]string{"mcp"}, args...), w.env, fromAgent, toAgent, a.logged)
	}()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	var err error
	a.session, err = client.Connect(t.Context(), &mcp.IOTransport{Reader: fromServer, Writer: toServer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.session.Close() // it hangs up
		if code := <-done; code != exitDone {
			t.Errorf("exit code %d: %s", code, a.logged)
		}
	})
	return a
}

// call calls a tool and returns what it answers, and whether that is an error.
func (a *agentTo) call(tool string, args map[string]any) (map[string]any, string) {
	a.t.Helper()
	r, err := a.session.CallTool(context.Background(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		a.t.Fatalf("%s: %v", tool, err)
	}
	var text strings.Builder
	for _, c := range r.Content {
		if c, ok := c.(*mcp.TextContent); ok {
			text.WriteString(c.Text)
		}
	}
	a.heard.WriteString(text.String() + "\n")
	if r.IsError {
		return nil, text.String()
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(text.String()), &out); err != nil {
		a.t.Fatalf("%s: %v in %s", tool, err, text.String())
	}
	return out, ""
}

// An agent that repeats every call five times invites once; nobody is invited before the
// hold ends, many need an operator, and no address is heard or logged.
func TestAgentInvitesInTwoSteps(t *testing.T) {
	w := newWorld(t).withClerk(clerksim.Config{})
	w.sim.AddUser("canary.user@example.com")
	a := w.agent(t, "--write", "--approve-above", "2", "--allow-domain", "example.com", "--name", "helper")
	five := func(tool string, args map[string]any) (out map[string]any) {
		t.Helper()
		for range 5 {
			var failed string
			if out, failed = a.call(tool, args); failed != "" {
				t.Fatalf("%s: %s", tool, failed)
			}
		}
		return out
	}

	two := map[string]any{"email_addresses": []string{"canary.a@example.com", "Canary.User@example.com", "CANARY.A@example.com", "canary.b@elsewhere.com", "nobody"}}
	plan := five("invite_preview", two)
	if plan["people"] != 2.0 || plan["duplicates"] != 1.0 || plan["needs_approval"] != false || len(plan["refused"].([]any)) != 2 {
		t.Fatalf("the preview says %v", plan)
	}
	if f := plan["forecast"].(map[string]any); f["to_send"] != 1.0 || f["users"] != 1.0 {
		t.Errorf("the forecast is %v", f)
	}
	if _, failed := a.call("revoke_apply", map[string]any{"plan": plan["plan"]}); !strings.Contains(failed, "no such plan to revoke") {
		t.Errorf("a plan to invite was applied as one to revoke: %q", failed)
	}
	applied := five("invite_apply", map[string]any{"plan": plan["plan"]})
	if applied["applied_before"] != true {
		t.Errorf("the fifth time: %v", applied)
	}
	imports := objects(t, w.ok("imports", "--json"))
	if len(imports) != 1 || imports[0]["total"] != 2.0 || imports[0]["state"] != "held" || imports[0]["owner"] != "helper" {
		t.Fatalf("imports are %v", imports)
	}

	many := map[string]any{"email_addresses": []string{"canary.1@example.com", "canary.2@example.com", "canary.3@example.com"}}
	plan = five("invite_preview", many)
	if _, failed := a.call("invite_apply", map[string]any{"plan": plan["plan"]}); !strings.Contains(failed, "inviteq mcp approve") {
		t.Errorf("three were invited without an operator: %q", failed)
	}
	wants(t, w.ok("mcp", "plans"), plan["plan"].(string), "waiting", "helper")
	wants(t, w.ok("mcp", "approve", plan["plan"].(string)), "approved", "3 people")
	applied = five("invite_apply", map[string]any{"plan": plan["plan"]})
	if _, failed := w.run("mcp", "reject", plan["plan"].(string)), ""; failed != "" {
		t.Error(failed)
	}

	// Back again, before the hold ends: a plan about three needs an operator, too.
	plan = five("revoke_preview", map[string]any{"import_id": applied["import_id"]})
	if plan["people"] != 3.0 || plan["cancels"] != 3.0 || plan["needs_approval"] != true {
		t.Fatalf("the preview says %v", plan)
	}
	wants(t, w.ok("mcp", "reject", plan["plan"].(string)), "rejected")
	if _, failed := a.call("revoke_apply", map[string]any{"plan": plan["plan"]}); !strings.Contains(failed, "rejected") {
		t.Errorf("what was rejected was done: %q", failed)
	}
	w.ok("mcp", "approve", plan["plan"].(string))
	five("revoke_apply", map[string]any{"plan": plan["plan"]})
	plan = five("revoke_preview", map[string]any{"targets": []string{"canary.a@example.com", "nobody@example.com"}})
	if plan["people"] != 1.0 || len(plan["refused"].([]any)) != 1 {
		t.Fatalf("the preview says %v", plan)
	}
	five("revoke_apply", map[string]any{"plan": plan["plan"]})
	counts := five("status", nil)["counts"].(map[string]any)
	if counts["canceled"] != 4.0 || counts["queued"] != 1.0 {
		t.Errorf("in the end: %v", counts)
	}
	if n := len(w.sim.MailLog()); n != 0 {
		t.Errorf("%d mails", n)
	}

	five("explain", map[string]any{"target": "canary.user@example.com"})
	five("explain", nil)
	five("imports", nil)
	five("quota", nil)
	for what, text := range map[string]string{"heard": a.heard.String(), "logged": a.logged.String()} {
		if strings.Contains(strings.ToLower(text), "canary") {
			t.Errorf("an address was %s:\n%s", what, text)
		}
	}
	wants(t, a.logged.String(), `"tool":"invite_apply"`, `"by":"helper"`)
}

// A plan that is split into two is still about as many people: what an agent has applied in
// the last day counts, whichever process it did it in; what an operator has approved does not.
func TestAgentSplitsAPlan(t *testing.T) {
	w := newWorld(t)
	flags := []string{"--write", "--name", "helper"}
	people := func(name string, n int) map[string]any {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("%s%d@example.com", name, i)
		}
		return map[string]any{"email_addresses": list}
	}
	apply := func(a *agentTo, list map[string]any) (plan, failed string) {
		t.Helper()
		preview, failed := a.call("invite_preview", list)
		if failed != "" {
			t.Fatal(failed)
		}
		plan = preview["plan"].(string)
		applied, failed := a.call("invite_apply", map[string]any{"plan": plan})
		if needs := preview["needs_approval"] == true; needs != (failed != "") || !needs && applied["people"] != preview["people"] {
			t.Errorf("the preview says %v, and then %v %s", preview, applied, failed)
		}
		return plan, failed
	}
	a := w.agent(t, flags...)
	if _, failed := apply(a, people("a", 11)); failed != "" {
		t.Fatal(failed)
	}
	// Made before the first was applied, a preview promises nothing.
	early, _ := w.agent(t, "--write", "--name", "other").call("invite_preview", people("other", 20))
	if early["needs_approval"] != false {
		t.Errorf("another agent may not invite twenty: %v", early)
	}
	plan, failed := apply(w.agent(t, flags...), people("b", 10))
	wants(t, failed, "10 people", "11 in the last day", "more than 20", "inviteq mcp approve "+plan)
	wants(t, w.ok("mcp", "plans"), plan, "waiting")
	w.ok("mcp", "approve", plan)
	if _, failed := apply(a, people("b", 10)); failed != "" {
		t.Errorf("after the approval: %s", failed)
	}
	if _, failed := apply(a, people("c", 9)); failed != "" {
		t.Errorf("the nine that are left: %s", failed)
	}
	if _, failed := apply(a, people("a", 11)); failed != "" {
		t.Errorf("the same again: %s", failed)
	}
	if _, failed := apply(a, people("d", 1)); failed == "" {
		t.Error("the 21st was invited without an operator")
	}
	if imports := objects(t, w.ok("imports", "--json")); len(imports) != 3 {
		t.Errorf("imports are %v", imports)
	}
}

// Without --write an agent can only look, and what its tools are annotated with is true.
func TestAgentOnlyLooks(t *testing.T) {
	w := newWorld(t)
	list, err := w.agent(t).session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
		if !tool.Annotations.ReadOnlyHint {
			t.Errorf("%s may write", tool.Name)
		}
	}
	if got := strings.Join(names, " "); got != "explain imports quota status" {
		t.Errorf("got %s", got)
	}
	list, err = w.agent(t, "--write").session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		writes := strings.Contains(tool.Name, "_")
		destroys := tool.Annotations.DestructiveHint == nil || *tool.Annotations.DestructiveHint
		if tool.Annotations.ReadOnlyHint == writes || writes && destroys != (tool.Name == "revoke_apply") || writes && !tool.Annotations.IdempotentHint {
			t.Errorf("%s: %+v", tool.Name, *tool.Annotations)
		}
	}
	wants(t, w.run("mcp", "--approve-above=-1", "--metadata", "x").stderr, "--approve-above", "--metadata")
	wants(t, w.run("mcp", "approve", "plan_x").stderr, "no such plan")
}

// Over HTTP a token says who asks and what is allowed; a viewer only looks, and one of
// scope own is refused.
func TestAgentOverHTTP(t *testing.T) {
	w := newWorld(t)
	served := w.start("api", "--api-addr", "127.0.0.1:0", "--api-agents")
	base := served.apiAddr(t)
	tools := func(bearer string) (names []string, err error) {
		client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
		session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
			Endpoint: base + "/mcp", DisableStandaloneSSE: true, MaxRetries: -1,
			HTTPClient: &http.Client{Transport: bearerTransport(bearer)},
		}, nil)
		if err != nil {
			return nil, err
		}
		defer session.Close()
		list, err := session.ListTools(t.Context(), nil)
		if err != nil {
			return nil, err
		}
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		if len(names) > 4 {
			a := &agentTo{t: t, session: session, heard: new(bytes.Buffer), logged: new(lockedBuffer)}
			plan, _ := a.call("invite_preview", map[string]any{"email_addresses": []string{"canary@example.com"}})
			if applied, failed := a.call("invite_apply", map[string]any{"plan": plan["plan"]}); failed != "" || applied["people"] != 1.0 {
				t.Errorf("applied: %v %s", applied, failed)
			}
		}
		return names, nil
	}
	for _, test := range []struct {
		token []string
		want  int
	}{
		{[]string{"looks", "--role", "viewer", "--scope", "instance"}, 4},
		{[]string{"acts", "--scope", "instance"}, 8},
		{[]string{"own"}, 0},
	} {
		bearer := strings.TrimSpace(w.ok(append([]string{"api", "token", "create"}, test.token...)...))
		names, err := tools(bearer)
		if len(names) != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%v: tools %q, %v", test.token, names, err)
		}
	}
	if _, err := tools("sk_test_inqnobody"); err == nil {
		t.Error("a stranger was served")
	}
	wants(t, w.ok("audit", "log"), "acts", "invite", "agent")
	if code := served.stop(); code != exitDone {
		t.Errorf("the API left with exit code %d", code)
	}
	if strings.Contains(served.log.String(), "canary") {
		t.Errorf("the log names somebody:\n%s", served.log)
	}
	if imports := objects(t, w.ok("imports", "--json")); len(imports) != 1 || imports[0]["owner"] != "acts" {
		t.Errorf("imports are %v", imports)
	}
}

type bearerTransport string

func (b bearerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}
