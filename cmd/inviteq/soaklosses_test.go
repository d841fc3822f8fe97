package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

const (
	lossesStrikes = 5                // or INVITEQ_SOAK_STRIKES
	lossesEvery   = 12 * time.Second // a strike, about
	lossesWorker  = 3 * time.Second  // a worker is killed, about
	lossesPace    = 40 * time.Millisecond
)

// disaster is a way in which Redis may forget, and what the promise says about it.
type disaster struct {
	name  string
	begin func(t *testing.T) (url string, strike func(t *testing.T) gap)
	keeps bool // Nothing that was accepted may be lost.

	durability redisconn.Durability // What a producer waits for.
}

// stormy is how long a producer invites, and Redis is struck.
func stormy(t *testing.T) time.Duration {
	t.Helper()
	strikes := lossesStrikes
	if n := os.Getenv("INVITEQ_SOAK_STRIKES"); n != "" {
		var err error
		strikes, err = strconv.Atoi(n)
		must(t, err)
	}
	return time.Duration(strikes) * (lossesEvery + 3*time.Second)
}

// gap is a time whose writes Redis may have forgotten.
type gap struct{ from, to time.Time }

func (g gap) String() string {
	return g.from.Format("15:04:05.000") + " to " + g.to.Format("15:04:05.000")
}

var disasters = []disaster{
	{name: "appendfsync always: kill -9, torn last command", keeps: true, begin: onDisk("always", (*aof).tear)},
	{name: "appendfsync everysec: kill -9, power cut", begin: onDisk("everysec", (*aof).powerCut)},
	{name: "appendfsync everysec: damaged tail, redis-check-aof --fix", begin: onDisk("everysec", (*aof).damage)},
	{name: "failover to a replica that lags 1 s", begin: onReplicas},
	{name: "the same, INVITEQ_DURABILITY=replica", keeps: true, durability: redisconn.Replica, begin: onReplicas},
}

// TestSoakLosses counts, for each way in which Redis may forget, what had been
// accepted and is lost, and who is invited twice, also once the producer has asked
// again for everything. A loss that no strike explains is a failure.
func TestSoakLosses(t *testing.T) {
	if os.Getenv("INVITEQ_SOAK") != "1" {
		t.Skip("takes ten minutes: make soak")
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "Redis\taccepted\tstrikes\tworkers killed\taccepted but lost\tof them mailed\tinvited twice\tparked or in doubt\tnever mailed in the end\t")
	for _, d := range disasters {
		t.Run(d.name, func(t *testing.T) {
			c := d.count(t)
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", d.name, c.accepted, c.strikes, c.kills, c.lost, c.mailed, c.twice, c.doubt, c.never)
		})
	}
	w.Flush()
	t.Logf("\n%s", table.String())
}

// counted is a line of the table.
type counted struct{ accepted, strikes, kills, lost, mailed, twice, doubt, never int }

// asking is an invite that a producer gives, and when Redis said yes.
type asking struct {
	invite   tasks.Invite
	accepted time.Time
}

func (d disaster) count(t *testing.T) (c counted) {
	b := buildBinary(t)
	url, strike := d.begin(t)
	clerk := newContender(t, "inviteq", &storm{}, soakLimits)
	clerk.env = append(b.env, "REDIS_URL="+url, "CLERK_SECRET_KEY="+clerksim.DefaultSecretKey, "CLERK_API_URL="+clerk.url,
		"INVITEQ_ADMIN_ADDR=off", "INVITEQ_LIMIT_SINGLE=100/10s", "INVITEQ_LIMIT_BULK=25/10s", "INVITEQ_LIMIT_OTHER=1000/1s", "INVITEQ_REQUEST_TIMEOUT=1s")
	clerk.command = []string{b.path, "worker"}
	conn := dialScene(t, scene{url: url, durability: d.durability})
	length := stormy(t)
	clerk.startAll()

	var asks []asking
	var gaps []gap
	var producing sync.WaitGroup
	began := time.Now()
	producing.Go(func() {
		for n := 0; time.Since(began) < length; n++ {
			email, err := tasks.ParseEmail(fmt.Sprintf("loss.%d@example.com", n))
			must(t, err)
			// A third has no fence at Clerk: sent again, the person is mailed again.
			i := tasks.Invite{ID: fmt.Sprintf("loss-%d", n), EmailAddress: email, IgnoreExisting: n%3 == 0}
			for t.Context().Err() == nil {
				if _, err := conn.client.Invite(t.Context(), i); err == nil {
					asks = append(asks, asking{i, time.Now()})
					break
				}
				pause(t.Context(), 50*time.Millisecond)
			}
			pause(t.Context(), lossesPace)
		}
	})
	nextStrike, nextKill := began.Add(lossesEvery), began.Add(lossesWorker)
	for time.Since(began) < length {
		pause(t.Context(), 200*time.Millisecond)
		if now := time.Now(); now.After(nextStrike) {
			nextStrike = now.Add(lossesEvery + rand.N(2*time.Second))
			gaps = append(gaps, strike(t))
		} else if now.After(nextKill) {
			nextKill = now.Add(lossesWorker + rand.N(time.Second))
			clerk.kill(rand.N(soakWorkers))
		}
		clerk.mend()
	}
	producing.Wait()
	c.accepted, c.strikes, c.kills = len(asks), len(gaps), clerk.kills
	d.await(t, conn.ledger, clerk)

	// What Redis has forgotten is what a producer that does not ask again has lost.
	for _, a := range asks {
		if known, err := conn.ledger.Get(t.Context(), a.invite.ID); err != nil {
			t.Fatal(err)
		} else if len(known) > 0 {
			continue
		}
		c.lost++
		c.mailed += min(1, clerk.sim.Mails(a.invite.EmailAddress.Raw()))
		if d.keeps || !slices.ContainsFunc(gaps, func(g gap) bool { return a.accepted.After(g.from) && a.accepted.Before(g.to) }) {
			t.Errorf("%s was accepted at %s and is lost; the strikes explain %v", a.invite.ID, a.accepted.Format("15:04:05.000"), gaps)
		}
	}

	// The producer asks again, for everything, under the same ids.
	for _, a := range asks {
		_, err := conn.client.Invite(t.Context(), a.invite)
		must(t, err)
	}
	d.await(t, conn.ledger, clerk)
	clerk.stop()
	for _, a := range asks {
		known, err := conn.ledger.Get(t.Context(), a.invite.ID)
		must(t, err)
		doubt := known[0].State == tasks.Parked || known[0].State == tasks.Unknown
		switch mails := clerk.sim.Mails(a.invite.EmailAddress.Raw()); {
		case mails > 1:
			c.twice++
			t.Errorf("%s was mailed %d times", a.invite.ID, mails)
		case mails == 0 && !doubt:
			c.never++
			t.Errorf("%s was never mailed, and is %s (%s)", a.invite.ID, known[0].State, known[0].Reason)
		}
		if doubt {
			c.doubt++
			if !a.invite.IgnoreExisting && known[0].Reason != tasks.ReasonWorkersDied {
				t.Errorf("%s has Clerk's own fence, and is %s (%s)", a.invite.ID, known[0].State, known[0].Reason)
			}
		}
	}
	if c.strikes < 4 || c.kills < 8 || !d.keeps && c.lost == 0 {
		t.Errorf("this was no storm: %+v", c)
	}
	t.Logf("%+v", c)
	return c
}

// await waits until nothing is under way. An invite with ignore_existing whose answer
// was lost is not waited for: only a quarter of an hour and a second read settle it.
func (d disaster) await(t *testing.T, l *ledger.Ledger, clerk *contender) {
	t.Helper()
	eventuallyWithin(t, soakQuiet, "nothing is under way", func() bool {
		clerk.mend()
		o, err := l.Overview(t.Context(), time.Now())
		if err != nil || o.States[tasks.Queued]+o.States[tasks.Sending] > 0 {
			return false
		}
		page, err := l.ListState(t.Context(), tasks.Unknown, "", 1000)
		return err == nil && !slices.ContainsFunc(page.Records, func(r ledger.Record) bool { return !r.Invite.IgnoreExisting })
	})
}

// onDisk is a server with an append-only file that is struck while it is down.
func onDisk(fsync string, hurt func(*aof, *testing.T, time.Time) time.Time) func(t *testing.T) (string, func(t *testing.T) gap) {
	return func(t *testing.T) (string, func(t *testing.T) gap) {
		s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", fsync)
		log := watchAOF(t, s)
		return s.URL(), func(t *testing.T) gap {
			s.Kill()
			from := hurt(log, t, time.Now())
			must(t, s.Restart())
			return gap{from, time.Now()} // The producer may have read its last answers after its death.
		}
	}
}

// powerCut cuts the log back by the second that everysec may lose, in the middle of a
// command. It returns from when on writes are lost, as do the two below.
func (a *aof) powerCut(t *testing.T, _ time.Time) time.Time {
	then := a.cut(t, time.Second)
	path, size := a.newest(t)
	must(t, os.Truncate(path, max(0, size-3)))
	return then.Add(-writeLag)
}

// writeLag is for how long Redis may keep what it has answered for in memory while the
// disk is busy with the last flush, before it writes it to the file (aof.c,
// flushAppendOnlyFile: "postponed" for two seconds at most).
const writeLag = 2 * time.Second

// tear leaves half a command at the end, as a crash in mid-write does: `always` has
// answered for none of it.
func (a *aof) tear(t *testing.T, killed time.Time) time.Time {
	path, _ := a.newest(t)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("*3\r\n$4\r\nHSET\r\n$1200\r\n{\"half")
	must(t, cmp.Or(err, f.Close()))
	return killed
}

// damage overwrites the middle of the last 64 kB with something else, as a bad sector
// does. Redis refuses such a file; redis-check-aof cuts it off there, as its manual
// says.
func (a *aof) damage(t *testing.T, killed time.Time) time.Time {
	path, size := a.newest(t)
	at := size - min(size/2, 32<<10)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	tail := make([]byte, size-at)
	_, err = f.ReadAt(tail, at)
	must(t, err)
	at += int64(bytes.Index(tail, []byte("\r\n*")) + 2) // where a command begins
	_, err = f.WriteAt([]byte("\x00\xff no command \x00\xff"), at)
	must(t, cmp.Or(err, f.Close()))
	manifest := filepath.Join(a.dir, "appendonly.aof.manifest")
	if out, err := exec.CommandContext(t.Context(), "redis-check-aof", manifest).CombinedOutput(); err == nil {
		t.Errorf("redis-check-aof finds nothing:\n%s", out)
	}
	fix := exec.CommandContext(t.Context(), "redis-check-aof", "--fix", manifest)
	fix.Stdin = strings.NewReader("y\n")
	if out, err := fix.CombinedOutput(); err != nil {
		t.Fatalf("redis-check-aof --fix: %v\n%s", err, out)
	}
	_, left := a.newest(t)
	return a.when(left, killed).Add(-writeLag)
}

// onReplicas is a master with a replica that lags a second behind when the master
// dies. Clients come by a name that moves. Each failover has a new replica.
func onReplicas(t *testing.T) (string, func(t *testing.T) gap) {
	follow := func(master *redistest.Server) (replica *redistest.Server, link *redistest.Proxy) {
		link = redistest.StartProxy(t, master.Addr)
		host, port, _ := net.SplitHostPort(link.Addr)
		replica = redistest.StartTCP(t, "--replicaof", host+" "+port, "--appendonly", "yes")
		return replica, link
	}
	master := redistest.StartTCP(t, "--appendonly", "yes")
	replica, link := follow(master)
	name := redistest.StartProxy(t, master.Addr)
	return "redis://" + name.Addr, func(t *testing.T) gap {
		ctx := t.Context()
		deadline := time.Now().Add(10 * time.Second)
		for offset(ctx, t, replica) < offset(ctx, t, master) && time.Now().Before(deadline) {
			pause(ctx, 20*time.Millisecond)
		}
		g := gap{from: time.Now().Add(-200 * time.Millisecond)}
		link.Deafen(true)
		pause(ctx, time.Second)
		master.Kill()
		pause(ctx, 200*time.Millisecond) // The producer may read its last answers after its death.
		must(t, replica.Client(t).Do(ctx, "replicaof", "no", "one").Err())
		g.to = time.Now()
		name.Move(replica.Addr)
		name.Reset()
		master = replica
		replica, link = follow(master)
		return g
	}
}
