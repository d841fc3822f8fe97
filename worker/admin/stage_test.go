package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/worker"
	"github.com/inviteq/inviteq/worker/webhook"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

const testToken = "a-token-for-tests-0123456789"

// stage is a worker between a real Redis and a simulated Clerk, with its pages.
type stage struct {
	t       testing.TB
	sim     *clerksim.Sim
	redis   *redis.Client
	ledger  *ledger.Ledger
	queues  tasks.Queues
	worker  *worker.Worker
	metrics *Metrics
	server  *httptest.Server
}

// logOf is the test's own log. A fuzz target must not write to it.
func logOf(t testing.TB) zerolog.Logger {
	if _, ok := t.(*testing.F); ok {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.NewTestWriter(t))
}

// newStage starts a worker that runs until the test ends.
func newStage(t testing.TB, change ...func(*Config)) *stage {
	t.Helper()
	return newStageWith(t, nil, change...)
}

// newStageWith starts one that posts events.
func newStageWith(t testing.TB, hook *webhook.Sender, change ...func(*Config)) *stage {
	t.Helper()
	sim, err := clerksim.New(clerksim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	rdb, instance := redistest.Shared(t), redistest.Instance()
	s := &stage{t: t, sim: sim, redis: rdb, queues: tasks.QueuesOf(instance), metrics: NewMetrics(instance, "test")}
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		t.Fatal(err)
	}
	client, err := clerk.New(clerk.Config{
		SecretKey: key, BaseURL: "http://127.0.0.1/v1", DialContext: sim.DialContext,
		Observe: s.metrics.Call, Breaker: clerk.Breaker{OnChange: s.metrics.Breaker},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.worker, err = worker.New(t.Context(), worker.Config{
		Redis:  redistest.OptionsOf(rdb),
		Ledger: ledger.Config{Instance: instance, Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve},
		Clerk:  client, Log: logOf(t).Level(zerolog.WarnLevel), Webhook: hook,
		Observe: worker.Observer{Delivered: s.metrics.Delivered, Swept: s.metrics.Swept, Reconciled: s.metrics.Reconciled},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.ledger = s.worker.Ledger()
	cfg := Config{
		Ledger: s.ledger, Probes: s.worker.Handler(), Health: s.worker.Problems, Clerk: client, Metrics: s.metrics,
		Version: "test", Log: logOf(t),
	}
	for _, f := range change {
		f(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.worker.Run(ctx) }()
	s.server = httptest.NewServer(h)
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	return s
}

func withToken(c *Config) { c.Access.Token = testToken }

// get reads a page, with the token.
func (s *stage) get(path string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.server.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	return s.do(r)
}

func (s *stage) do(r *http.Request) (*http.Response, string) {
	s.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(body)
}

// page reads a page that must be there.
func (s *stage) page(path string) string {
	s.t.Helper()
	res, body := s.get(path)
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: got %s: %s", path, res.Status, body)
	}
	return body
}

func email(t testing.TB, address string) tasks.Email {
	t.Helper()
	e, err := tasks.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// admit puts invites into the ledger and tasks into the queues, as a producer does.
func (s *stage) admit(importID string, addresses ...string) []string {
	s.t.Helper()
	c := asynq.NewClientFromRedisClient(s.redis)
	var ids []string
	for part := range slices.Chunk(addresses, tasks.ChunkSize) {
		var invites []tasks.Invite
		for _, a := range part {
			i := tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: email(s.t, a), ImportID: importID}
			if importID != "" {
				i.Lane = tasks.Import
			}
			invites, ids = append(invites, i), append(ids, i.ID)
		}
		_, chunk, err := s.ledger.Admit(s.t.Context(), time.Now(), invites)
		if err != nil {
			s.t.Fatal(err)
		}
		if importID != "" {
			if _, err = c.Enqueue(asynq.NewTask(tasks.TypeBulkCreate, chunk.Encode()), tasks.Options(s.queues.Import, chunk.TaskID())...); err != nil {
				s.t.Fatal(err)
			}
			continue
		}
		for _, i := range invites {
			task := asynq.NewTask(tasks.TypeCreate, tasks.Create{ID: i.ID}.Encode())
			if _, err := c.Enqueue(task, tasks.Options(s.queues.Interactive, i.ID)...); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return ids
}

// await waits until so many invites are in the state.
func (s *stage) await(state tasks.State, n int64) {
	s.t.Helper()
	eventually(s.t, func() error {
		o, err := s.ledger.Overview(s.t.Context(), time.Now())
		if err == nil && o.States[state] < n {
			err = fmt.Errorf("%d invites are %s, want %d: %v", o.States[state], state, n, o.States)
		}
		return err
	})
}

// eventually waits until there is no error any more.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func people(from, to int) (all []string) {
	for n := from; n < to; n++ {
		all = append(all, fmt.Sprintf("person%d@example.com", n))
	}
	return all
}
