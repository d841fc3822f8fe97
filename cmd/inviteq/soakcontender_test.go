package main

import (
	"context"
	"math/rand/v2"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// storm decides whether Clerk is well.
type storm struct{ rages atomic.Bool }

// fault strikes about one request in twelve.
func (s *storm) fault(r clerksim.Request) clerksim.Fault {
	if !s.rages.Load() {
		return clerksim.Fault{}
	}
	kinds := []clerksim.FaultKind{
		clerksim.DropBefore, clerksim.DropBefore, clerksim.DropAfter, clerksim.DropAfter, clerksim.DropAfter,
		clerksim.Truncate, clerksim.ErrorBefore, clerksim.ErrorAfter, clerksim.GatewayAfter, clerksim.Overload,
	}
	if r.Op != clerksim.OpCreate && r.Op != clerksim.OpBulkCreate {
		kinds = []clerksim.FaultKind{clerksim.DropBefore, clerksim.Truncate, clerksim.ErrorBefore}
	}
	if rand.N(12) > 0 {
		return clerksim.Fault{}
	}
	return clerksim.Fault{Kind: kinds[rand.N(len(kinds))], Reset: rand.N(2) == 0}
}

// contender is one kind of worker: its processes, and a simulated Clerk of its own.
type contender struct {
	t       *testing.T
	name    string
	url     string
	sim     *clerksim.Sim
	command []string
	env     []string

	workers [soakWorkers]*exec.Cmd
	gone    [soakWorkers]chan struct{}
	log     safeBuffer
	ended   bool

	kills              int
	faults, unseen     atomic.Int64 // requests that met a fault; those that took effect and were not answered 200
	once, twice, never int
	open               int // tasks that are left
	took               time.Duration
}

func newContender(t *testing.T, name string, s *storm, limits string) *contender {
	t.Helper()
	c := &contender{t: t, name: name}
	parsed, err := clerksim.ParseLimits(limits)
	if err != nil {
		t.Fatal(err)
	}
	c.sim, err = clerksim.New(clerksim.Config{
		Limits: parsed, Latency: clerksim.Latency{Median: 100 * time.Millisecond, P999: 300 * time.Millisecond}, Fault: s.fault,
		OnCall: func(call clerksim.Call) {
			if call.Fault.Kind != "" {
				c.faults.Add(1)
				if call.Created > 0 {
					c.unseen.Add(1)
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = c.sim.Serve(ctx, listener) })
	t.Cleanup(func() {
		c.stop()
		stop()
		c.sim.Close()
		served.Wait()
		if t.Failed() {
			text := c.log.String()
			t.Logf("%s printed, in the end:\n%s", name, text[max(0, len(text)-6000):])
		}
	})
	c.url = "http://" + listener.Addr().String() + "/v1"
	return c
}

func (c *contender) startAll() {
	for i := range c.workers {
		c.start(i)
	}
}

func (c *contender) start(i int) {
	cmd := exec.Command(c.command[0], c.command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &c.log, &c.log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	c.workers[i], c.gone[i] = cmd, gone
}

// kill ends a worker with -9, in the middle of whatever it does.
func (c *contender) kill(i int) {
	select {
	case <-c.gone[i]: // It had left already: Redis was away when it started.
		return
	default:
	}
	_ = c.workers[i].Process.Kill()
	<-c.gone[i]
	c.kills++
}

// mend starts again whatever has ended, as an orchestrator does.
func (c *contender) mend() {
	for i := range c.workers {
		select {
		case <-c.gone[i]:
			c.start(i)
		default:
		}
	}
}

func (c *contender) stop() {
	if c.ended {
		return
	}
	c.ended = true
	for i, w := range c.workers {
		if w != nil {
			_ = w.Process.Kill()
			<-c.gone[i]
		}
	}
}

// count asks Clerk's own history what everybody got.
func (c *contender) count() {
	for n := range soakInvites {
		switch c.sim.Mails(soakAddress(n)) {
		case 0:
			c.never++
		case 1:
			c.once++
		default:
			c.twice++
		}
	}
}

// trickle is a service whose users click "invite" now and then. It asks again
// until its request is accepted.
type trickle struct {
	t      *testing.T
	client *enqueue.Client
}

func newTrickle(t *testing.T, s *redistest.Server) *trickle {
	t.Helper()
	client, err := enqueue.New(enqueue.Config{Redis: s.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	return &trickle{t, client}
}

func (p *trickle) run(ctx context.Context, within time.Duration) {
	for n := range soakAlone {
		e, err := tasks.ParseEmail(soakAddress(n))
		if err != nil {
			p.t.Error(err)
			return
		}
		for ctx.Err() == nil {
			if _, err := p.client.Invite(ctx, tasks.Invite{ID: soakID(n), EmailAddress: e}); err == nil {
				break
			}
			pause(ctx, 100*time.Millisecond)
		}
		pause(ctx, within/soakAlone)
	}
}

// enqueue gives a rival its tasks, one a person, all in one group.
func (c *contender) enqueue(s *redistest.Server) {
	client := asynq.NewClient(asynq.RedisClientOpt{Network: "unix", Addr: s.Socket})
	defer client.Close()
	for n := range soakInvites {
		task := asynq.NewTask("invite", []byte(soakAddress(n)))
		if _, err := client.Enqueue(task, asynq.Queue(rivalQueue(c.name)), asynq.Group("invitations")); err != nil {
			c.t.Fatal(err)
		}
	}
}

// waiting is how many tasks have not come to an end that a retry would not change.
func (c *contender) waiting(t *testing.T, s *redistest.Server) int {
	t.Helper()
	inspector := asynq.NewInspector(asynq.RedisClientOpt{Network: "unix", Addr: s.Socket})
	defer inspector.Close()
	info, err := inspector.GetQueueInfo(rivalQueue(c.name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Pending + info.Active + info.Scheduled + info.Retry + info.Aggregating
}
