package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// binary is the real program, in processes of its own.
type binary struct {
	t    *testing.T
	path string
	env  []string
}

// buildFolder is where the program is built, once; TestMain removes it.
var buildFolder string

var buildOnce = sync.OnceValues(func() (string, error) {
	var err error
	if buildFolder, err = os.MkdirTemp("", "inviteq-test-"); err != nil {
		return "", err
	}
	path := filepath.Join(buildFolder, "inviteq")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})

func buildBinary(t *testing.T) *binary {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return &binary{t: t, path: path, env: []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}}
}

// run runs it to its end, which must be good.
func (b *binary) run(args ...string) string {
	b.t.Helper()
	command := exec.CommandContext(b.t.Context(), b.path, args...)
	command.Env = b.env
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		b.t.Fatalf("inviteq %q: %v\n%s%s", args, err, out, errs.String())
	}
	return string(out)
}

// process is one that runs beside the test.
type process struct {
	*exec.Cmd
	log *safeBuffer
}

func (b *binary) start(args ...string) *process {
	b.t.Helper()
	p := &process{exec.Command(b.path, args...), &safeBuffer{}}
	p.Env, p.Stdout, p.Stderr = b.env, p.log, p.log
	if err := p.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if b.t.Failed() {
			text := p.log.String()
			b.t.Logf("inviteq %q printed, in the end:\n%s", args, text[max(0, len(text)-4000):])
		}
	})
	return p
}

// end sends a signal and waits until the process has gone.
func (p *process) end(signal os.Signal) {
	_ = p.Process.Signal(signal) // it may have gone already
	_ = p.Wait()
}

// TestKilledWorkerDeliversOnce imports 1,000 people through the real binary,
// kills the worker with -9 in the middle of its calls, lets Clerk lose answers
// after it has sent the mails, and starts the worker again. In the end each has
// exactly one invitation and one mail.
func TestKilledWorkerDeliversOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	b := buildBinary(t)
	redis := redistest.Start(t, "--appendonly", "yes")
	b.env = append(b.env, "REDIS_URL="+redis.URL(), "CLERK_SECRET_KEY="+clerksim.DefaultSecretKey, "INVITEQ_ADMIN_ADDR=127.0.0.1:0",
		"INVITEQ_LIMIT_SINGLE=100/2s", "INVITEQ_LIMIT_BULK=25/2s", "INVITEQ_LIMIT_OTHER=1000/1s", "INVITEQ_REQUEST_TIMEOUT=1s")
	sim := b.start("clerksim", "--addr", "127.0.0.1:0", "--limits", "single=100/2s,bulk=25/2s,other=1000/1s", "--latency", "100ms/300ms",
		"--fault", "bulk_create/drop-after:4%", "--fault", "create/drop-after:1%")
	eventually(t, "the simulated Clerk listens", func() bool { return strings.Contains(sim.log.String(), "/v1") })
	_, rest, _ := strings.Cut(sim.log.String(), "at http://")
	addr, _, _ := strings.Cut(rest, "/v1")
	b.env = append(b.env, "CLERK_API_URL=http://"+addr+"/v1")

	var list strings.Builder
	list.WriteString("email_address,public_metadata.row\n")
	for n := range 1000 {
		fmt.Fprintf(&list, "person.%d@example.com,%d\n", n, n)
	}
	path := file(t, "list.csv", list.String())
	b.run("import", path, "--import-id", "imp_1")

	worker := b.start("worker")
	states := func() (states struct{ Pending, Sending, Queued, Unknown int }) {
		var imp struct {
			States *struct{ Pending, Sending, Queued, Unknown int }
		}
		imp.States = &states
		if err := json.Unmarshal([]byte(b.run("status", "imp_1", "--json")), &imp); err != nil {
			t.Fatal(err)
		}
		return states
	}
	eventually(t, "a third is delivered, and calls are in flight", func() bool { s := states(); return s.Pending > 300 && s.Sending > 0 })
	worker.end(syscall.SIGKILL)
	left := states()
	if left.Queued == 0 || left.Sending == 0 {
		t.Errorf("the worker was not killed in the middle: %+v", left)
	}
	t.Logf("killed: %+v", left)

	worker = b.start("worker")
	got := objects(t, b.run("import", path, "--import-id", "imp_1", "--wait", "--json"))[0]
	if got["known"] != 1000.0 || got["open"] != 0.0 || got["states"].(map[string]any)["pending"] != 1000.0 {
		t.Errorf("got %v", got)
	}
	worker.end(syscall.SIGTERM)
	wants(t, worker.log.String(), "draining", "worker has left")

	count := map[string]int{}
	for offset := 0; offset < 1500; offset += 500 {
		for _, address := range invitations(t, addr, offset) {
			count[address]++
		}
	}
	for n := range 1000 {
		if address := fmt.Sprintf("person.%d@example.com", n); count[address] != 1 {
			t.Errorf("%s has %d invitations", address, count[address])
		}
	}
	sim.end(syscall.SIGTERM)
	wants(t, sim.log.String(), " 1000 e-mails", "at most 1 for one address")
}

// TestSignals drains a worker that has a call in flight: the first signal lets
// it finish, a second one ends it there and then.
func TestSignals(t *testing.T) {
	b := buildBinary(t)
	redis := redistest.Start(t)
	b.env = append(b.env, "REDIS_URL="+redis.URL(), "CLERK_SECRET_KEY="+clerksim.DefaultSecretKey, "INVITEQ_ADMIN_ADDR=127.0.0.1:0")
	sim := b.start("clerksim", "--addr", "127.0.0.1:0", "--latency", "0", "--fault", "create/slow-after=2s:x1", "--fault", "create/slow-after=9s")
	eventually(t, "the simulated Clerk listens", func() bool { return strings.Contains(sim.log.String(), "/v1") })
	_, rest, _ := strings.Cut(sim.log.String(), "at http://")
	addr, _, _ := strings.Cut(rest, "/v1")
	b.env = append(b.env, "CLERK_API_URL=http://"+addr+"/v1")
	sending := func(id string) {
		t.Helper()
		eventually(t, "a call is in flight", func() bool {
			return strings.Contains(b.run("status", id, "--json"), `"sending"`)
		})
	}

	b.run("invite", "ada@example.com", "--id", "one")
	worker := b.start("worker")
	sending("one")
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err != nil {
		t.Errorf("the worker did not leave in peace: %v", err)
	}
	if got := b.run("status", "one", "--json"); !strings.Contains(got, `"pending"`) {
		t.Errorf("the call in flight was not settled: %s", got)
	}

	b.run("invite", "grace@example.com", "--id", "two")
	worker = b.start("worker")
	sending("two")
	if err := worker.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it drains", func() bool { return strings.Contains(worker.log.String(), "draining") })
	began := time.Now()
	worker.end(syscall.SIGINT)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s to leave after the second signal", took)
	}
	if got := b.run("status", "two", "--json"); !strings.Contains(got, `"sending"`) {
		t.Errorf("got %s, want a claim that somebody else will look after", got)
	}
}

// invitations asks Clerk itself.
func invitations(t *testing.T, addr string, offset int) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/v1/invitations?limit=500&offset=%d", addr, offset), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+clerksim.DefaultSecretKey)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var list []struct {
		EmailAddress string `json:"email_address"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	addresses := make([]string, len(list))
	for i, one := range list {
		addresses[i] = one.EmailAddress
	}
	return addresses
}
