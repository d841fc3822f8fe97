package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/cmd/inviteq/listen"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/worker"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// stage is the API on a socket, between a real Redis and, if asked for, a worker
// with a simulated Clerk.
type stage struct {
	t        testing.TB
	redis    *redis.Client
	ledger   *ledger.Ledger
	sim      *clerksim.Sim
	clerk    *clerk.Client
	handler  http.Handler
	url      string // without /v1
	token    string
	http     *http.Client
	contract *contract
	patience time.Duration // of the server

	mu      sync.Mutex
	entries []api.Entry
	stop    func() // ends the API
}

func newStage(t testing.TB, change ...func(*api.Config)) *stage {
	t.Helper()
	s := &stage{t: t, redis: redistest.Shared(t)}
	instance := redistest.Instance()
	var err error
	if s.ledger, err = ledger.Open(t.Context(), s.redis, ledger.Config{
		Instance: instance, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve, ForecastFor: time.Second,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ledger.Announce(t.Context(), ledger.Now, ledger.Fellow{Name: "a worker"}); err != nil { // Where none is, nothing has an ETA.
		t.Fatal(err)
	}
	client, err := enqueue.New(enqueue.Config{Redis: s.redis, Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.Config{Client: client, Ledger: s.ledger, RateLimit: -1, Audit: func(e api.Entry) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.entries = append(s.entries, e)
	}}
	for _, f := range change {
		f(&cfg)
	}
	s.patience = cfg.ReadTimeout
	a, err := api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.handler = a
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := listen.Serve(ctx, l, listen.Config{
			Name: "api", Handler: a, Full: http.HandlerFunc(api.Busy), Probes: []string{api.HealthPath},
			Drain: a.Drain, Grace: 15 * time.Second, Patience: s.patience, Log: zerolog.Nop(),
		}); err != nil {
			t.Errorf("serve: %v", err)
		}
		a.Close()
	})
	s.stop = func() { cancel(); served.Wait() }
	t.Cleanup(s.stop)
	s.url = "http://" + l.Addr().String()
	s.token = s.newToken("tests")
	s.contract = newContract(t, s.url)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	s.contract.next = transport
	s.http = &http.Client{Transport: s.contract, Timeout: time.Minute}
	return s
}

func (s *stage) tokens() *access.Store {
	return access.NewStore(s.redis, ledger.KeyPrefix(s.ledger.Instance()))
}

func (s *stage) newToken(name string) string {
	s.t.Helper()
	return s.tokenOf(name, access.Admin, access.Instance)
}

func (s *stage) tokenOf(name string, role access.Role, scope access.Scope) string {
	s.t.Helper()
	bearer, _, err := s.tokens().Create(s.t.Context(), time.Now(), name, role, scope)
	if err != nil {
		s.t.Fatal(err)
	}
	return bearer
}

// work adds a worker and a simulated Clerk with these limits lifted.
func (s *stage) work() *stage {
	s.t.Helper()
	var err error
	if s.sim, err = clerksim.New(clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited}}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.sim.Close)
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: "http://127.0.0.1/v1", DialContext: s.sim.DialContext})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	s.clerk = client
	w, err := worker.New(s.t.Context(), worker.Config{
		Redis: redistest.OptionsOf(s.redis), Ledger: ledger.Config{Instance: s.ledger.Instance(), Reserve: ledger.AutoReserve},
		Clerk: client, Log: zerolog.Nop(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("worker: %v", err)
		}
	})
	return s
}

// pending is how many invitations are pending at Clerk.
func (s *stage) pending() int {
	n := 0
	for _, i := range s.sim.Invitations() {
		if i.Status == clerksim.StatusPending {
			n++
		}
	}
	return n
}

// audit returns what the audit log has.
func (s *stage) audit() []api.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]api.Entry(nil), s.entries...)
}

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   string
}

// errorsOf parses an error in Clerk's shape.
func (r reply) errors(t testing.TB) []apiError {
	t.Helper()
	var e struct {
		Errors  []apiError `json:"errors"`
		TraceID string     `json:"clerk_trace_id"`
	}
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || len(e.Errors) == 0 || e.TraceID != r.header.Get("Clerk-Trace-Id") {
		t.Fatalf("status %d: no error in Clerk's shape: %.300s", r.status, r.body)
	}
	return e.Errors
}

type apiError struct {
	Message     string         `json:"message"`
	LongMessage string         `json:"long_message"`
	Code        string         `json:"code"`
	Meta        map[string]any `json:"meta"`
}

// into parses the body of a 200.
func (r reply) into(t testing.TB, v any) {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %.500s", r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatal(err)
	}
}

// invitation is what a client sees.
type invitation struct {
	ID             string          `json:"id"`
	EmailAddress   string          `json:"email_address"`
	PublicMetadata json.RawMessage `json:"public_metadata"`
	Revoked        bool            `json:"revoked"`
	Status         string          `json:"status"`
	ExpiresAt      int64           `json:"expires_at"`
	CreatedAt      int64           `json:"created_at"`
	Inviteq        struct {
		ID        string `json:"id"`
		State     string `json:"state"`
		Reason    string `json:"reason"`
		Lane      string `json:"lane"`
		ImportID  string `json:"import_id"`
		ETA       int64  `json:"eta"`
		Masked    bool   `json:"masked"`
		Revoking  bool   `json:"revoking"`
		RequestID string `json:"request_id"`
	} `json:"inviteq"`
}

func (s *stage) do(method, path, contentType, body string, header ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for n := 0; n+1 < len(header); n += 2 {
		r.Header[http.CanonicalHeaderKey(header[n])] = append(r.Header[http.CanonicalHeaderKey(header[n])], header[n+1])
		if header[n] == "Authorization" {
			r.Header["Authorization"] = []string{header[n+1]}
		}
	}
	res, err := s.http.Do(r)
	if err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

func (s *stage) get(path string) reply { s.t.Helper(); return s.do("GET", path, "", "") }
func (s *stage) post(path, body string, header ...string) reply {
	s.t.Helper()
	return s.do("POST", path, "application/json", body, header...)
}

// wrong is for requests that the document does not allow.
func (s *stage) wrong() func() {
	s.contract.set(true)
	return func() { s.contract.set(false) }
}

// contract holds every exchange against the OpenAPI document.
type contract struct {
	t      testing.TB
	router routers.Router
	next   http.RoundTripper

	mu      sync.Mutex
	wrong   bool // requests may be wrong
	checked map[string]int
}

func (c *contract) set(wrong bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = wrong
}

// document loads and validates openapi.yaml, with its servers at base.
func document(t testing.TB, base string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: base + "/v1"}}
	for _, p := range doc.Paths.Map() {
		if p.Servers != nil {
			p.Servers = openapi3.Servers{{URL: base}}
		}
	}
	return doc
}

var plainBodies = sync.OnceFunc(func() {
	for _, media := range []string{"text/csv", "text/tab-separated-values", "application/x-ndjson", "application/jsonl", "application/yaml"} {
		openapi3filter.RegisterBodyDecoder(media, func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			b, err := io.ReadAll(body)
			return string(b), err
		})
	}
})

func newContract(t testing.TB, base string) *contract {
	t.Helper()
	plainBodies()
	router, err := gorillamux.NewRouter(document(t, base))
	if err != nil {
		t.Fatal(err)
	}
	return &contract{t: t, router: router, checked: map[string]int{}}
}

// RoundTrip implements http.RoundTripper.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	wrong := c.wrong
	c.mu.Unlock()
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		if !wrong {
			c.t.Errorf("%s %s is not in the document: %v", r.Method, r.URL.Path, err)
		}
		return c.next.RoundTrip(r)
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{
		MultiError: true, IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		SkipSettingDefaults: true,
	}}
	if !wrong {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			c.t.Errorf("%s %s: the request is not as documented: %v", r.Method, r.URL.Path, err)
		}
	}
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Options: in.Options}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		c.t.Errorf("%s %s: the answer %d is not as documented: %v\n%.500s", r.Method, r.URL.Path, res.StatusCode, err, body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked[fmt.Sprintf("%s %d", route.Operation.OperationID, res.StatusCode)]++
	return res, nil
}

// eventually waits up to 20 s.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
