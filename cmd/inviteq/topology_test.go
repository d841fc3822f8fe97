package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// scene is Redis as production runs it, and what happens to it.
type scene struct {
	url    string
	env    []string
	strike func() // in the middle of deliveries
	heal   func() // some seconds later; nil: nobody does
	lossy  bool   // What was accepted may be lost, since Redis said yes to what it then forgot.

	durability redisconn.Durability // What a producer waits for.
}

// scenes are the topologies. Those that are marked run in short form with all
// other tests; all of them in long form by `make topology`.
var scenes = []struct {
	name  string
	short bool
	make  func(t *testing.T) scene
}{
	{"one server, killed and started again", false, func(t *testing.T) scene {
		s := redistest.StartTCP(t, "--appendonly", "yes", "--appendfsync", "always")
		return scene{url: "redis://" + s.Addr, strike: s.Kill, heal: func() { restart(t, s) }}
	}},
	{"sentinels, the master is killed", true, func(t *testing.T) scene {
		s := redistest.StartSentinels(t, 2, "--appendonly", "yes")
		// What only the master had when it was killed is lost otherwise.
		return scene{url: s.URL(), strike: func() { s.Current(t).Kill() }, durability: redisconn.Replica}
	}},
	{"sentinels, the master hangs", false, func(t *testing.T) scene {
		s := redistest.StartSentinels(t, 2, "--appendonly", "yes")
		master := s.Servers[0]
		return scene{
			url: s.URL(), strike: func() { tell(t, master, syscall.SIGSTOP) },
			heal: func() { tell(t, master, syscall.SIGCONT) }, lossy: true,
		}
	}},
	{"Cluster, a node is away and comes back", false, func(t *testing.T) scene {
		c := redistest.StartCluster(t, 0, "--appendonly", "yes", "--appendfsync", "always")
		node := ownerOf(t, c)
		return scene{url: c.URL(), strike: node.Kill, heal: func() { restart(t, node) }}
	}},
	{"Cluster, a replica takes over", true, func(t *testing.T) scene {
		c := redistest.StartCluster(t, 1, "--appendonly", "yes")
		node := ownerOf(t, c)
		return scene{url: c.URL(), strike: node.Kill, lossy: true} // No replica is left to wait for.
	}},
	{"TLS with client certificates, connections are reset", false, func(t *testing.T) scene {
		certs := redistest.NewCertificates(t)
		s := redistest.StartTLS(t, certs)
		p := redistest.StartProxy(t, s.Addr)
		return scene{
			url: "rediss://" + p.Addr, strike: p.Reset,
			env: []string{"REDIS_CA_FILE=" + certs.CA, "REDIS_CERT_FILE=" + certs.ClientCert, "REDIS_KEY_FILE=" + certs.ClientKey},
		}
	}},
	{"managed: the name moves to a replica", false, func(t *testing.T) scene {
		master := redistest.StartTCP(t)
		host, port, _ := net.SplitHostPort(master.Addr)
		replica := redistest.StartTCP(t, "--replicaof", host+" "+port)
		p := redistest.StartProxy(t, master.Addr)
		return scene{url: "redis://" + p.Addr, strike: func() {
			// As managed services do: the old one takes no writes any more, the replica is promoted, the name moves, and the
			// old one goes.
			must(t, master.Client(t).ConfigSet(t.Context(), "min-replicas-to-write", "9").Err())
			redistest.Await(t, "the replica has caught up", func(ctx context.Context) bool {
				return offset(ctx, t, master) == offset(ctx, t, replica)
			})
			must(t, replica.Client(t).Do(t.Context(), "replicaof", "no", "one").Err())
			p.Move(replica.Addr)
			host, port, _ := net.SplitHostPort(replica.Addr)
			must(t, master.Client(t).Do(t.Context(), "replicaof", host, port).Err())
		}, heal: p.Reset}
	}},
	{"100 ms away", false, func(t *testing.T) scene {
		s := redistest.StartTCP(t)
		p := redistest.StartProxy(t, s.Addr)
		return scene{url: "redis://" + p.Addr, strike: func() { p.Slow(50*time.Millisecond, 0) }}
	}},
	{"64 kB a second", false, func(t *testing.T) scene {
		s := redistest.StartTCP(t)
		p := redistest.StartProxy(t, s.Addr)
		return scene{url: "redis://" + p.Addr, strike: func() { p.Slow(0, 64<<10) }, heal: func() { p.Slow(0, 0) }}
	}},
	{"a black hole", false, func(t *testing.T) scene {
		s := redistest.StartTCP(t)
		p := redistest.StartProxy(t, s.Addr)
		return scene{url: "redis://" + p.Addr, strike: func() { p.Deafen(true) }, heal: func() { p.Deafen(false); p.Reset() }}
	}},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func restart(t *testing.T, s *redistest.Server) { t.Helper(); must(t, s.Restart()) }

func tell(t *testing.T, s *redistest.Server, sig syscall.Signal) {
	t.Helper()
	must(t, syscall.Kill(s.Pid(), sig))
}

func offset(ctx context.Context, t *testing.T, s *redistest.Server) int64 {
	t.Helper()
	id, err := redisconn.Identify(ctx, s.Client(t), "")
	must(t, err)
	return id.Offset
}

// ownerOf is the node that has the ledger of the default instance.
func ownerOf(t *testing.T, c *redistest.Cluster) *redistest.Server {
	t.Helper()
	for _, master := range c.Masters {
		slot, err := master.Client(t).ClusterKeySlot(t.Context(), "{default}").Result()
		must(t, err)
		nodes, err := master.Client(t).ClusterNodes(t.Context()).Result()
		must(t, err)
		for line := range strings.Lines(nodes) {
			if !strings.Contains(line, "myself") {
				continue
			}
			f := strings.Fields(line)
			from, to, _ := strings.Cut(f[len(f)-1], "-")
			low, _ := strconv.ParseInt(from, 10, 64)
			high, _ := strconv.ParseInt(to, 10, 64)
			if low <= slot && slot <= high {
				return master
			}
		}
	}
	t.Fatal("no node has the slot")
	return nil
}

// figures are what a scene came to.
type figures struct {
	name                       string
	twice, lost, stuck, invite int
	next                       time.Duration // from the strike, or from the healing, to the first call after the longest silence; below 0: it came before the healing
	lines                      int           // in the workers' logs, per minute of trouble
	cpu                        time.Duration // of both workers, per minute of trouble
	refused                    int           // invites that a producer was refused, and gave again
}

// TestTopologies delivers through each topology, with the shipped binary, while
// Redis is struck.
func TestTopologies(t *testing.T) {
	long := os.Getenv("INVITEQ_TOPOLOGY") != ""
	var all []figures
	for _, s := range scenes {
		if !s.short && !long {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes half a minute")
			}
			if !long {
				t.Parallel()
			}
			if f, ok := playScene(t, s.make(t), long); ok {
				f.name = s.name
				all = append(all, f)
			}
		})
	}
	if !long {
		return
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "topology\tinvites\ttwice\tlost\tstuck\tnext delivery\tlog lines a minute\tCPU a minute\tgiven again\t")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%d\t%s\t%d\t\n", f.name, f.invite, f.twice, f.lost, f.stuck,
			f.next.Round(100*time.Millisecond), f.lines, f.cpu.Round(10*time.Millisecond), f.refused)
	}
	w.Flush()
	t.Logf("\n%s", table.String())
}

// playScene runs two workers and a producer. An invite that a producer was refused
// is given again under its id, as a producer would.
func playScene(t *testing.T, s scene, long bool) (figures, bool) {
	b := buildBinary(t)
	clerk := newWorld(t).withClerk(clerksim.Config{
		Limits:  clerksim.Limits{Single: clerksim.Limit{N: 100, Window: time.Second}, Bulk: clerksim.Limit{N: 25, Window: time.Second}},
		Latency: clerksim.Latency{Median: 50 * time.Millisecond, P999: 200 * time.Millisecond},
	})
	b.env = append(b.env, "REDIS_URL="+s.url, "INVITEQ_ADMIN_ADDR=off", "INVITEQ_LIMIT_SINGLE=100/1s", "INVITEQ_LIMIT_BULK=25/1s", "INVITEQ_REQUEST_TIMEOUT=2s")
	b.env = append(b.env, s.env...)
	for _, v := range clerk.env {
		if strings.HasPrefix(v, "CLERK_") {
			b.env = append(b.env, v)
		}
	}
	count, quiet := 600, 3*time.Second
	if long {
		count, quiet = 3000, 10*time.Second
	}
	f := figures{invite: count}
	rows := []string{"email_address"}
	for n := range count - 100 {
		rows = append(rows, fmt.Sprintf("t%d@example.com", n))
	}
	b.run("import", file(t, "list.csv", strings.Join(rows, "\n")+"\n"), "--import-id", "imp")
	workers := []*process{b.start("worker"), b.start("worker")}
	delivered := func() int { return len(clerk.sim.Invitations()) }
	redistest.Await(t, "deliveries are under way", func(context.Context) bool { return delivered() > count/10 })

	// A hundred people click meanwhile.
	var clicks sync.WaitGroup
	client := dialScene(t, s)
	clicks.Go(func() {
		for n := range 100 {
			email, _ := tasks.ParseEmail(fmt.Sprintf("c%d@example.com", n))
			for again := 0; ; again++ {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				_, err := client.client.Invite(ctx, tasks.Invite{ID: fmt.Sprintf("click-%d", n), EmailAddress: email})
				cancel()
				if err == nil {
					break
				}
				if again == 0 {
					f.refused++
				}
				pause(t.Context(), 200*time.Millisecond)
				if t.Context().Err() != nil {
					return
				}
			}
			pause(t.Context(), 50*time.Millisecond)
		}
	})

	lines, cpu, struck := linesOf(workers), cpuOf(t, workers), time.Now()
	s.strike()
	began := struck
	if s.heal != nil {
		pause(t.Context(), quiet)
		s.heal()
		began = time.Now()
	}
	redistest.Await(t, "deliveries go on", func(context.Context) bool {
		at, ok := resumed(clerk.sim.Calls(), struck)
		f.next = at.Sub(began)
		return ok || delivered() == count
	})
	trouble := time.Since(struck)
	f.lines = int(float64(linesOf(workers)-lines) / trouble.Minutes())
	f.cpu = time.Duration(float64(cpuOf(t, workers)-cpu) / trouble.Minutes())
	clicks.Wait()

	eventuallyWithin(t, 4*time.Minute, "every invite is delivered", func() bool { return openScene(t, client.ledger) == 0 })
	for _, w := range workers {
		w.end(syscall.SIGTERM)
	}
	known := map[string]bool{}
	for _, i := range clerk.sim.Invitations() {
		if known[i.EmailAddress] {
			f.twice++
		}
		known[i.EmailAddress] = true
	}
	f.lost = count - len(known)
	f.stuck = openScene(t, client.ledger)
	must(t, redistest.CheckSteps(t.Context(), client.rdb))
	if f.twice > 0 || f.lost > 0 && !s.lossy {
		t.Errorf("%d invited twice, %d never", f.twice, f.lost)
	}
	t.Logf("%+v", f)
	return f, true
}

// resumed is when calls that invite went on after the longest silence since Redis
// was struck; false while there may be a longer one, or it still lasts.
func resumed(calls []clerksim.Call, struck time.Time) (at time.Time, ok bool) {
	last, longest := struck, time.Duration(0)
	for _, c := range calls {
		if c.Arrived.Before(struck) || c.Op != clerksim.OpCreate && c.Op != clerksim.OpBulkCreate {
			continue
		}
		if silence := c.Arrived.Sub(last); silence > longest {
			longest, at = silence, c.Arrived
		}
		last = c.Arrived
	}
	silent := time.Since(last)
	return at, silent < longest && silent < time.Second && time.Since(at) > 3*time.Second
}

func dialScene(t *testing.T, s scene) *connection {
	t.Helper()
	var files redisconn.Files
	for _, v := range s.env {
		switch name, value, _ := strings.Cut(v, "="); name {
		case "REDIS_CA_FILE":
			files.CA = value
		case "REDIS_CERT_FILE":
			files.Cert = value
		case "REDIS_KEY_FILE":
			files.Key = value
		}
	}
	opts, err := redisconn.Parse(s.url, files)
	must(t, err)
	c, err := open(t.Context(), opts, ledger.Config{Limits: ledger.ClerkLimits, Reserve: ledger.AutoReserve, Durability: s.durability})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// openScene is how many invites have no outcome yet; -1 while nobody can tell.
func openScene(t *testing.T, l *ledger.Ledger) (open int) {
	t.Helper()
	o, err := l.Overview(t.Context(), time.Now())
	if err != nil {
		return -1
	}
	for state, n := range o.States {
		if state.Open() {
			open += int(n)
		}
	}
	return open
}

// linesOf counts what workers have logged besides their deliveries.
func linesOf(workers []*process) (n int) {
	for _, w := range workers {
		n += strings.Count(w.log.String(), "\n") - strings.Count(w.log.String(), `"message":"delivery"`)
	}
	return n
}

// cpuOf is the time that processes have worked.
func cpuOf(t *testing.T, workers []*process) (d time.Duration) {
	t.Helper()
	for _, w := range workers {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.Process.Pid))
		if err != nil {
			return 0 // not on Linux
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		d += time.Duration(user+system) * time.Second / 100
	}
	return d
}
