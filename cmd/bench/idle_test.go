package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

const (
	idleTime   = 10 * time.Second
	idleLone   = 60 // lone invites
	idleStarts = 7
)

// BenchmarkIdle measures the real binary when there is little to do: how long it
// takes to start, what it costs while nobody invites anybody, and how soon a lone
// invite reaches Clerk.
func BenchmarkIdle(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("reads /proc")
	}
	binary := filepath.Join(b.TempDir(), "inviteq")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, "../../cmd/inviteq").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	for b.Loop() {
		var mu sync.Mutex
		arrived := map[string]time.Time{}
		a := newArena(b, 20*time.Millisecond, func(c clerksim.Call) {
			mu.Lock()
			defer mu.Unlock()
			for _, address := range c.Addresses {
				arrived[address] = c.Arrived
			}
		})
		var starts []time.Duration
		var p *program
		for range idleStarts {
			if p != nil {
				p.end()
			}
			var took time.Duration
			p, took = start(a, binary)
			starts = append(starts, took)
		}
		slices.Sort(starts)

		awaitNothing(b, 3*time.Second) // what belongs to the start, such as the full pass, is over
		before := p.cpu()
		began := time.Now()
		awaitNothing(b, idleTime)
		share := (p.cpu() - before).Seconds() / time.Since(began).Seconds()
		resident := p.resident()

		waits := loneInvites(a, arrived, &mu)
		p.end()

		p95 := waits[len(waits)*95/100]
		median := starts[idleStarts/2]
		row := func(what, ours string) report.Row {
			return report.Row{Part: "idle (real binary)", What: what, Ours: ours}
		}
		if err := report.Add(
			row(fmt.Sprintf("enqueue → POST at Clerk, p95 of %d", len(waits)), fmt.Sprintf("%d ms", p95.Milliseconds())).
				AtMost(p95.Seconds()*1e3, 300, "%.0f ms"),
			row("enqueue → POST at Clerk, p50", fmt.Sprintf("%d ms", waits[len(waits)/2].Milliseconds())),
			row(fmt.Sprintf("CPU of a worker over %s", idleTime), fmt.Sprintf("%.2f %% of a core", 100*share)).AtMost(100*share, 1.5, "%.1f %%"),
			row("resident", fmt.Sprintf("%.1f MB", resident/1e6)).AtMost(resident/1e6, 40, "%.0f MB"),
			row(fmt.Sprintf("start until /readyz is 200, median of %d", idleStarts), fmt.Sprintf("%d ms", median.Milliseconds())).
				AtMost(median.Seconds()*1e3, 200, "%.0f ms"),
		); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(p95.Milliseconds()), "p95-ms")
		b.ReportMetric(100*share, "%cpu")
		b.ReportMetric(resident/1e6, "MB")
		b.ReportMetric(float64(median.Milliseconds()), "start-ms")
		b.ReportMetric(0, "ns/op")
	}
}

// program is a worker in a process of its own.
type program struct {
	testing.TB
	cmd *exec.Cmd
	log bytes.Buffer
}

// start returns when the worker says that it is ready.
func start(a *arena, binary string) (*program, time.Duration) {
	a.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // it was never used
	p := &program{TB: a, cmd: exec.Command(binary, "worker")}
	p.cmd.Env = []string{
		"REDIS_URL=" + a.redis.URL(), "CLERK_API_URL=" + a.url, "CLERK_SECRET_KEY=" + clerksim.DefaultSecretKey, "INVITEQ_ADMIN_ADDR=" + addr,
		"INVITEQ_LIMIT_SINGLE=none", "INVITEQ_LIMIT_BULK=none", "INVITEQ_LOG_LEVEL=warn",
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		a.Fatal(err)
	}
	a.Cleanup(p.end)
	client := &http.Client{Timeout: time.Second}
	for deadline := began.Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		answer, err := client.Get("http://" + addr + "/readyz")
		if err == nil {
			_ = answer.Body.Close() // only its status counts
			if answer.StatusCode == http.StatusOK {
				return p, time.Since(began)
			}
		}
		if time.Now().After(deadline) {
			p.end()
			a.Fatalf("the worker is not ready: %v\n%s", err, p.log.String())
		}
	}
}

func (p *program) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have gone
	_ = p.cmd.Wait()                          // one that is told to leave while it starts says that it was interrupted
}

// cpu is what the process has used: fields 14 and 15 of /proc/PID/stat, in
// hundredths of a second (proc_pid_stat(5)).
func (p *program) cpu() time.Duration {
	text := p.proc("stat")
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	if len(fields) < 13 {
		p.Fatal("/proc/PID/stat has another format")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		p.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is what it holds of memory, in bytes.
func (p *program) resident() float64 {
	_, rest, ok := strings.Cut(p.proc("status"), "VmRSS:")
	if !ok {
		p.Fatal("/proc/PID/status has no VmRSS")
	}
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.Fatal(err)
	}
	return float64(kb) * 1024
}

func (p *program) proc(file string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		p.Fatal(err)
	}
	return string(b)
}

// loneInvites enqueues people one by one, at random moments, and returns in
// ascending order how long each took from the call to the arrival at Clerk.
func loneInvites(a *arena, arrived map[string]time.Time, mu *sync.Mutex) []time.Duration {
	a.Helper()
	producer, err := enqueue.New(enqueue.Config{Redis: a.redis.Client(a)})
	if err != nil {
		a.Fatal(err)
	}
	var waits []time.Duration
	for n := range idleLone {
		awaitNothing(a, 50*time.Millisecond+rand.N(250*time.Millisecond))
		e := person(a, n)
		began := time.Now()
		if _, err := producer.Invite(a.Context(), tasks.Invite{EmailAddress: e}); err != nil {
			a.Fatal(err)
		}
		for deadline := began.Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
			mu.Lock()
			at, ok := arrived[e.Raw()]
			mu.Unlock()
			if ok {
				waits = append(waits, at.Sub(began))
				break
			}
			if time.Now().After(deadline) {
				a.Fatalf("invite %d has not reached Clerk in 20 s", n)
			}
		}
	}
	slices.Sort(waits)
	return waits
}

func awaitNothing(tb testing.TB, d time.Duration) {
	select {
	case <-time.After(d):
	case <-tb.Context().Done():
	}
}
