package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// The soak. Everything is scaled so that Clerk's hour takes ten seconds.
const (
	soakInvites = 2000
	soakAlone   = 200              // of them, interactive
	soakStorm   = 70 * time.Second // kills and faults, at least
	soakQuiet   = 4 * time.Minute  // within which everything must end
	soakLimits  = "single=100/10s,bulk=25/10s,other=1000/1s"
)

// TestSoak lets real processes die: two inviteq workers, killed with -9 every
// second or two, a redis-server with AOF, killed with -9 and sometimes robbed of
// its last second of writes as by a power cut, connections to Redis cut, and a
// Clerk that drops connections, loses answers after it has sent the mails, and
// answers 5xx and 429. In the end everybody is invited once.
//
// Beside it, with the same kills and faults, two workers as asynq makes easy to
// write: see TestSoakRival.
func TestSoak(t *testing.T) {
	if os.Getenv("INVITEQ_SOAK") != "1" {
		t.Skip("takes five minutes: make soak")
	}
	b := buildBinary(t)
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "everysec")
	power := watchAOF(t, server)
	storm := &storm{}
	storm.rages.Store(true)

	ours := newContender(t, "inviteq", storm, soakLimits)
	ours.env = append(b.env, "REDIS_URL="+server.URL(), "CLERK_SECRET_KEY="+clerksim.DefaultSecretKey, "CLERK_API_URL="+ours.url,
		"INVITEQ_ADMIN_ADDR=off", "INVITEQ_LIMIT_SINGLE=100/10s", "INVITEQ_LIMIT_BULK=25/10s", "INVITEQ_LIMIT_OTHER=1000/1s", "INVITEQ_REQUEST_TIMEOUT=1s")
	ours.command = []string{b.path, "worker"}
	b.env = ours.env
	rivals := []*contender{
		newContender(t, "asynq groups", storm, soakLimits),
		newContender(t, "asynq groups, ignore_existing", storm, soakLimits),
	}
	for _, r := range rivals {
		r.env = append(os.Environ(), rivalEnv+"="+r.name, "REDIS_SOCKET="+server.Socket, "CLERK_API_URL="+r.url)
		r.command = []string{os.Args[0], "-test.run=^TestSoakRival$"}
		r.enqueue(server)
	}
	path := file(t, "soak.csv", soakList())
	b.run("import", path, "--import-id", "soak")
	all := append([]*contender{ours}, rivals...)
	for _, c := range all {
		c.startAll()
	}

	began := time.Now()
	rdb := server.Client(t)
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{})
	if err != nil {
		t.Fatal(err)
	}
	alone := newTrickle(t, server)
	var trickle sync.WaitGroup
	trickle.Go(func() { alone.run(t.Context(), soakStorm*3/4) })

	redisKills, powerCuts, redisCuts := 0, 0, 0
	nextRedis, nextCut := time.Now().Add(8*time.Second), time.Now().Add(3*time.Second)
	for time.Since(began) < soakStorm {
		pause(t.Context(), time.Second+rand.N(time.Second))
		victim := rand.N(soakWorkers)
		for _, c := range all {
			c.kill(victim)
			c.mend()
		}
		if now := time.Now(); now.After(nextRedis) {
			nextRedis = now.Add(10*time.Second + rand.N(5*time.Second))
			redisKills++
			server.Kill()
			if redisKills%2 == 0 {
				powerCuts++
				power.cut(t, time.Second)
			}
			pause(t.Context(), rand.N(time.Second))
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		} else if now.After(nextCut) {
			nextCut = now.Add(5 * time.Second)
			redisCuts++
			_ = rdb.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err() // it may be down
		}
	}
	trickle.Wait()
	storm.rages.Store(false)
	for _, c := range all {
		c.mend()
	}
	stormTook := time.Since(began)

	// A producer whose Redis has lost power asks again, under the same ids. That is
	// its part of the promise, and it shows how many acknowledged requests went.
	forgotten := map[string]bool{}
	for n := range soakAlone {
		forgotten[soakID(n)] = true
	}
	known := knownInvites(t, l)
	for _, r := range known {
		delete(forgotten, r.Invite.ID)
	}
	lost := soakInvites - len(known)
	again := objects(t, b.run("import", path, "--import-id", "soak", "--json"))[0]
	alone.run(t.Context(), 0)
	t.Logf("storm over after %s; %d requests were lost by Redis with its last second and given again (%v of the list)", stormTook, lost, again["admitted"])

	released := 0
	eventuallyWithin(t, soakQuiet, "every invite has its outcome", func() bool {
		for _, c := range all {
			c.mend()
		}
		released += b.releaseCrashed(t, l)
		return settledAll(t, l)
	})
	ours.took = time.Since(began)
	deadline := time.Now().Add(time.Minute)
	for _, r := range rivals {
		for time.Now().Before(deadline) && r.waiting(t, server) > 0 {
			pause(t.Context(), time.Second)
			r.mend()
		}
		r.took, r.open = time.Since(began), r.waiting(t, server)
	}
	for _, c := range all {
		c.stop()
	}
	if err := redistest.CheckSteps(t.Context(), rdb); err != nil {
		t.Error(err)
	}

	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "worker\tinvites\tonce\ttwice+\tnever\ttasks left\tworker kills\tredis kills\tof them power cuts\tredis cut off\tfaults\tcommitted unseen\t429s\tcalls\ttook\t")
	for _, c := range all {
		c.count()
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", c.name, soakInvites, c.once, c.twice, c.never, c.open,
			c.kills, redisKills, powerCuts, redisCuts, c.faults.Load(), c.unseen.Load(), c.sim.Count429(clerksim.Single)+c.sim.Count429(clerksim.Bulk), c.sim.Count(""), c.took.Round(time.Second))
	}
	w.Flush()
	t.Logf("\n%s", table.String())
	t.Logf("parked because three of their workers were killed, and released by hand: %d", released)

	if ours.once != soakInvites {
		t.Errorf("%d delivered once, %d more often, %d never", ours.once, ours.twice, ours.never)
	}
	invitedBefore := 0
	for _, r := range knownInvites(t, l) {
		if forgotten[r.Invite.ID] && r.Reason == "already_invited" {
			// It had been delivered, and Redis lost all that within its last second.
			invitedBefore++
		} else if r.State != tasks.Pending {
			t.Errorf("invite %s is pending at Clerk, and the ledger says %s (%s)", r.Invite.ID, r.State, r.Reason)
		}
	}
	t.Logf("given again, and found to have been delivered before Redis forgot them: %d", invitedBefore)
	if ours.kills < 25 || redisKills < 4 || ours.unseen.Load() < 5 {
		t.Errorf("this was no storm: %d kills, %d of Redis, %d answers lost", ours.kills, redisKills, ours.unseen.Load())
	}
	if !slices.ContainsFunc(rivals, func(r *contender) bool { return r.once < soakInvites || r.open > 0 }) {
		t.Error("all came through unharmed: the comparison compares nothing")
	}
}

const soakWorkers = 2

func soakAddress(n int) string { return fmt.Sprintf("soak.%d@example.com", n) }

func soakID(n int) string { return fmt.Sprintf("soak-%d", n) }

// soakList is the list of those that are not interactive.
func soakList() string {
	var s strings.Builder
	s.WriteString("email_address\n")
	for n := soakAlone; n < soakInvites; n++ {
		s.WriteString(soakAddress(n) + "\n")
	}
	return s.String()
}

// pause is a wait in real time, for real processes.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func eventuallyWithin(t *testing.T, d time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !done(); pause(t.Context(), time.Second) {
		if time.Now().After(deadline) {
			t.Errorf("%s: not within %s", what, d)
			return
		}
	}
}

// knownInvites are the records of everybody, as far as the ledger has them.
func knownInvites(t *testing.T, l *ledger.Ledger) []ledger.Record {
	t.Helper()
	var all []ledger.Record
	for n := range soakInvites {
		e, err := tasks.ParseEmail(soakAddress(n))
		if err != nil {
			t.Fatal(err)
		}
		records, err := l.FindAddress(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, records...)
	}
	return all
}

func settledAll(t *testing.T, l *ledger.Ledger) bool {
	t.Helper()
	o, err := l.Overview(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for state, n := range o.States {
		if n > 0 && (state.Open() || state == tasks.Parked) {
			return false
		}
	}
	return true
}

// releaseCrashed does what a person does about invites that are parked because
// their worker was killed three times under them.
func (b *binary) releaseCrashed(t *testing.T, l *ledger.Ledger) int {
	t.Helper()
	page, err := l.ListState(t.Context(), tasks.Parked, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Records {
		b.run("release", r.Invite.ID)
	}
	return len(page.Records)
}
