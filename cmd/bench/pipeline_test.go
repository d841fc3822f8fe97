package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	shipped "github.com/inviteq/inviteq/worker"
)

// inFlight is how many calls each of the pipelines may have under way: what the
// worker ships with.
const inFlight = 4

// BenchmarkPipeline measures how fast invites flow when Clerk sets no limit, on a
// real Redis and with Clerk at the other end of real sockets: the worker, the same
// worker without batching, and asynq with one POST a task, all with the same
// number of calls in flight. The clock runs from the start of the worker, with
// all invites waiting, to the last mail.
func BenchmarkPipeline(b *testing.B) {
	for _, c := range []struct {
		latency   time.Duration
		invites   int
		overAsynq float64 // floors
		overBulk1 float64
	}{{5 * time.Millisecond, 3000, 2.5, 3}, {50 * time.Millisecond, 1000, 4, 3}} {
		b.Run(fmt.Sprintf("clerk=%s", c.latency), func(b *testing.B) {
			var full, overLone, overBare, lones, bares []float64
			for b.Loop() {
				mine := throughput(b, c.latency, c.invites, inviteqPipeline(ledger.BulkSize))
				lone := throughput(b, c.latency, c.invites, inviteqPipeline(1))
				bare := throughput(b, c.latency, c.invites, asynqPipeline)
				full, lones, bares = append(full, mine), append(lones, lone), append(bares, bare)
				overLone, overBare = append(overLone, mine/lone), append(overBare, mine/bare)
			}
			b.ReportMetric(median(full), "invites/s")
			b.ReportMetric(median(overLone), "x-unbatched")
			b.ReportMetric(median(overBare), "x-asynq")
			b.ReportMetric(0, "ns/op")
			row := func(what string, ratio, floor float64) report.Row {
				return report.Row{
					Part: "pipeline (real Redis, no limits)", What: fmt.Sprintf("Clerk answers in %s, %s", c.latency, what),
					Ours: fmt.Sprintf("%.0f/s", median(full)), Ratio: fmt.Sprintf("%.1f×", ratio),
					Beside: []report.Reference{
						{Name: "asynq, one POST a task", Value: fmt.Sprintf("%.0f/s", median(bares))},
						{Name: "inviteq without batching", Value: fmt.Sprintf("%.0f/s", median(lones))},
					},
				}.AtLeast(ratio, floor, "%.1f×")
			}
			if err := report.Add(row("to asynq", median(overBare), c.overAsynq), row("to no batching", median(overLone), c.overBulk1)); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// arena is a Redis and a Clerk without limits.
type arena struct {
	testing.TB
	redis *redistest.Server
	sim   *clerksim.Sim
	url   string
}

func newArena(tb testing.TB, latency time.Duration, onCall func(clerksim.Call)) *arena {
	tb.Helper()
	sim, err := clerksim.New(clerksim.Config{
		Limits:  clerksim.Limits{Single: clerksim.Unlimited, Bulk: clerksim.Unlimited, Other: clerksim.Unlimited},
		Latency: clerksim.Latency{Median: latency}, OnCall: onCall,
	})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = sim.Serve(ctx, l) })
	tb.Cleanup(func() { stop(); sim.Close(); served.Wait() })
	return &arena{tb, redistest.Start(tb, "--appendonly", "yes"), sim, "http://" + l.Addr().String() + "/v1"}
}

func person(tb testing.TB, n int) tasks.Email {
	tb.Helper()
	e, err := tasks.ParseEmail(fmt.Sprintf("person%d@example.com", n))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// throughput returns invites a second. A pipeline gets n people into its queue
// and returns what starts, and what ends, their delivery.
func throughput(tb testing.TB, latency time.Duration, n int, pipeline func(*arena, int) (start, stop func())) float64 {
	tb.Helper()
	a := newArena(tb, latency, nil)
	start, stop := pipeline(a, n)
	began := time.Now()
	start()
	for deadline := began.Add(3 * time.Minute); a.sim.Stats().Mails < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("after %s %d of %d are delivered", time.Since(began), a.sim.Stats().Mails, n)
		}
	}
	took := time.Since(began)
	stop()
	if most := a.sim.MaxMails(); most != 1 {
		tb.Errorf("somebody got %d mails", most)
	}
	return float64(n) / took.Seconds()
}

func inviteqPipeline(bulk int) func(*arena, int) (start, stop func()) {
	return func(a *arena, n int) (start, stop func()) {
		rdb := a.redis.Client(a)
		producer, err := enqueue.New(enqueue.Config{Redis: rdb})
		if err != nil {
			a.Fatal(err)
		}
		if _, err := producer.BulkInvite(a.Context(), func(yield func(tasks.Invite, error) bool) {
			for i := range n {
				if !yield(tasks.Invite{EmailAddress: person(a, i)}, nil) {
					return
				}
			}
		}, enqueue.BulkOptions{ImportID: "everybody"}); err != nil {
			a.Fatal(err)
		}
		key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
		if err != nil {
			a.Fatal(err)
		}
		client, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: a.url, AllowHTTP: true})
		if err != nil {
			a.Fatal(err)
		}
		options := a.redis.Options()
		options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		w, err := shipped.New(a.Context(), shipped.Config{
			Redis: options, Ledger: ledger.Config{Bulk: bulk}, Clerk: client, Calls: inFlight, Log: zerolog.Nop(), ReconcileEvery: -1,
		})
		if err != nil {
			a.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var run sync.WaitGroup
		start = func() {
			run.Go(func() {
				if err := w.Run(ctx); err != nil {
					a.Errorf("worker: %v", err)
				}
			})
		}
		return start, func() { cancel(); run.Wait(); client.Close() }
	}
}

// asynqPipeline is a task a person, and a POST a task.
func asynqPipeline(a *arena, n int) (start, stop func()) {
	options := asynq.RedisClientOpt{Network: "unix", Addr: a.redis.Socket}
	producer := asynq.NewClient(options)
	defer producer.Close()
	for i := range n {
		if _, err := producer.EnqueueContext(a.Context(), asynq.NewTask("invite", []byte(person(a, i).Raw()))); err != nil {
			a.Fatal(err)
		}
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}
	mux := asynq.NewServeMux()
	mux.HandleFunc("invite", func(ctx context.Context, t *asynq.Task) error { return post(ctx, client, a.url, string(t.Payload())) })
	server := asynq.NewServer(options, asynq.Config{Concurrency: inFlight, LogLevel: asynq.ErrorLevel})
	start = func() {
		if err := server.Start(mux); err != nil {
			a.Fatal(err)
		}
	}
	return start, server.Shutdown
}

func post(ctx context.Context, client *http.Client, url, address string) error {
	body, err := json.Marshal(map[string]string{"email_address": address})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/invitations", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = http.Header{"Authorization": {"Bearer " + clerksim.DefaultSecretKey}, "Content-Type": {"application/json"}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %w", answer.StatusCode, err)
	}
	return nil
}
