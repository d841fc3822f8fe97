package clerksim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// client is a bare HTTP client of a Sim.
type client struct {
	t    testing.TB
	http *http.Client
	base string
	key  string
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// inBubble runs f in virtual time with a Sim on an in-process network.
func inBubble(t *testing.T, cfg clerksim.Config, f func(t *testing.T, sim *clerksim.Sim, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim, err := clerksim.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		f(t, sim, pipeClient(t, sim))
	})
}

func pipeClient(t testing.TB, sim *clerksim.Sim) *client {
	return &client{t: t, http: noRedirects(sim.Transport()), base: clerksim.PipeURL, key: clerksim.DefaultSecretKey}
}

// overTCP runs f in real time with a Sim on a loopback socket.
func overTCP(t *testing.T, cfg clerksim.Config, f func(t *testing.T, sim *clerksim.Sim, c *client)) {
	t.Helper()
	server := clerksim.Start(t, cfg)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	f(t, server.Sim, &client{t: t, http: noRedirects(transport), base: server.URL, key: server.SecretKey})
}

func noRedirects(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// try sends a request and returns the answer or the error of the connection.
func (c *client) try(method, path, body string) (reply, error) {
	c.t.Helper()
	header := http.Header{}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	return c.roundTrip(method, path, body, header)
}

// send sends a request with headers that stand instead of the usual ones.
func (c *client) send(method, path, body string, header http.Header) reply {
	c.t.Helper()
	r, err := c.roundTrip(method, path, body, header)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (c *client) roundTrip(method, path, body string, header http.Header) (reply, error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("User-Agent", "clerksim-test/1")
	maps.Copy(req.Header, header)
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, got}, err
}

func (c *client) do(method, path, body string) reply {
	c.t.Helper()
	r, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (c *client) create(body string) reply {
	c.t.Helper()
	return c.do("POST", "/invitations", body)
}

// invite creates one invitation and fails the test if that is refused.
func (c *client) invite(address string) invitationJSON {
	c.t.Helper()
	r := c.create(`{"email_address":` + quote(address) + `}`)
	if r.status != 200 {
		c.t.Fatalf("create: %d %s", r.status, r.body)
	}
	return decode[invitationJSON](c.t, r.body)
}

// bulk sends a bulk create with only addresses.
func (c *client) bulk(addresses ...string) reply {
	c.t.Helper()
	return c.do("POST", "/invitations/bulk", bulkBody(addresses...))
}

func (c *client) list(query string) []invitationJSON {
	c.t.Helper()
	r := c.do("GET", "/invitations?"+query, "")
	if r.status != 200 {
		c.t.Fatalf("list %s: %d %s", query, r.status, r.body)
	}
	return decode[[]invitationJSON](c.t, r.body)
}

type invitationJSON struct {
	Object         string          `json:"object"`
	ID             string          `json:"id"`
	EmailAddress   string          `json:"email_address"`
	PublicMetadata json.RawMessage `json:"public_metadata"`
	Revoked        *bool           `json:"revoked"`
	Status         string          `json:"status"`
	URL            *string         `json:"url"`
	ExpiresAt      int64           `json:"expires_at"`
	CreatedAt      int64           `json:"created_at"`
	UpdatedAt      int64           `json:"updated_at"`
}

type errorJSON struct {
	Errors []struct {
		Message     string         `json:"message"`
		LongMessage string         `json:"long_message"`
		Code        string         `json:"code"`
		Meta        map[string]any `json:"meta"`
	} `json:"errors"`
	TraceID string `json:"clerk_trace_id"`
}

// code is the code of the first error of an answer, or what is odd about it.
func (r reply) code(t *testing.T) string {
	t.Helper()
	if !json.Valid(r.body) {
		return "not JSON"
	}
	e := decode[errorJSON](t, r.body)
	if len(e.Errors) == 0 {
		return "no error"
	}
	if len(e.TraceID) != 32 || e.TraceID != r.header.Get("Clerk-Trace-Id") {
		t.Errorf("trace id %q, header %q", e.TraceID, r.header.Get("Clerk-Trace-Id"))
	}
	if e.Errors[0].Message == "" || e.Errors[0].LongMessage == "" {
		t.Errorf("an error without message: %s", r.body)
	}
	return e.Errors[0].Code
}

func decode[T any](t testing.TB, body []byte) (v T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func bulkBody(addresses ...string) string {
	var items []string
	for _, a := range addresses {
		items = append(items, `{"email_address":`+quote(a)+`}`)
	}
	return "[" + strings.Join(items, ",") + "]"
}

func emailOf(list []invitationJSON) (out []string) {
	for _, inv := range list {
		out = append(out, inv.EmailAddress)
	}
	return out
}

func query(address string) string { return "query=" + url.QueryEscape(address) }

// later moves the virtual clock.
func later(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in a bubble, this is how time passes
