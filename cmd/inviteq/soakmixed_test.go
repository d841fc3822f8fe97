package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// mixedWith is the version beside which this one is run.
const mixedWith = "508090b"

// mixedFor is how long both versions are at work, as in a rolling deploy.
const mixedFor = 60 * time.Second

// earlier builds the program of an earlier version from the history. Where that is
// missing, as in a shallow clone, the test is skipped, and fails if it was asked for
// by its name.
func earlier(t *testing.T) *binary {
	t.Helper()
	dir := t.TempDir()
	archive, err := exec.CommandContext(t.Context(), "git", "-C", root, "archive", mixedWith).Output()
	if err != nil {
		if os.Getenv("INVITEQ_MIXED") == "1" {
			t.Fatalf("the history has no %s: git fetch --unshallow", mixedWith)
		}
		t.Skipf("the history has no %s (a shallow clone?), so no earlier version was run beside this one", mixedWith)
	}
	unpack := exec.CommandContext(t.Context(), "tar", "x", "-C", dir)
	unpack.Stdin = bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	path := filepath.Join(dir, "inviteq")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/inviteq")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build of %s: %v\n%s", mixedWith, err, out)
	}
	return &binary{t: t, path: path}
}

// TestSoakMixedVersions is a rolling deploy: two workers of an earlier version and two
// of this one on one Redis, killed now and then, with a Clerk that loses answers;
// producers of both versions invite, import and revoke. Nobody is mailed twice,
// nothing is lost, what was revoked is not pending in the end, no worker stumbles over
// what the other has written, and what only this version knows is still there.
func TestSoakMixedVersions(t *testing.T) {
	if os.Getenv("INVITEQ_SOAK") != "1" && os.Getenv("INVITEQ_MIXED") != "1" {
		t.Skip("takes three minutes: make mixed")
	}
	before, after := earlier(t), buildBinary(t)
	server := redistest.Start(t, "--appendonly", "yes")
	weather := &storm{}
	weather.rages.Store(true)
	now := newContender(t, "this version", weather, soakLimits)
	after.env = append(after.env, "REDIS_URL="+server.URL(), "CLERK_SECRET_KEY="+clerksim.DefaultSecretKey, "CLERK_API_URL="+now.url,
		"INVITEQ_ADMIN_ADDR=off", "INVITEQ_LIMIT_SINGLE=100/10s", "INVITEQ_LIMIT_BULK=25/10s", "INVITEQ_LIMIT_OTHER=1000/1s", "INVITEQ_REQUEST_TIMEOUT=1s")
	before.env = after.env
	now.env, now.command = after.env, []string{after.path, "worker"}
	old := &contender{t: t, name: mixedWith, sim: now.sim, url: now.url, env: after.env, command: []string{before.path, "worker"}}
	t.Cleanup(old.stop)
	now.startAll()
	old.startAll()
	conn := dialScene(t, scene{url: server.URL()})

	deploy := &rollout{t: t, old: before, now: after, conn: conn, revoked: map[string]bool{}}
	began, nextKill := time.Now(), time.Now().Add(2*time.Second)
	for time.Since(began) < mixedFor {
		deploy.step()
		if time.Now().After(nextKill) {
			nextKill = time.Now().Add(2*time.Second + rand.N(time.Second))
			[]*contender{old, now}[rand.N(2)].kill(rand.N(soakWorkers))
			old.mend()
			now.mend()
		}
	}
	weather.rages.Store(false)
	old.stop() // The deploy is done.
	released := 0
	eventuallyWithin(t, soakQuiet, "every invite has its outcome, and every revoke is done", func() bool {
		now.mend()
		released += after.releaseCrashed(t, conn.ledger)
		o, err := conn.ledger.Overview(t.Context(), time.Now())
		return err == nil && o.Revoking == 0 && settledAll(t, conn.ledger)
	})
	deploy.laterVersion(server)
	now.stop()

	revoked := deploy.judge(now.sim, server)
	t.Logf("%d invites, %d of them revoked; %d kills of %s, %d of this version; %d answers lost; released by hand: %d; %s delivered %d times, this version %d times",
		len(deploy.asked), revoked, old.kills, old.name, now.kills, now.unseen.Load(), released, old.name, deliveries(old), deliveries(now))
	if old.kills < 5 || now.kills < 5 || revoked < 20 || deliveries(old) < 10 || deliveries(now) < 10 {
		t.Error("the two versions were not at work together")
	}
	for _, c := range []*contender{old, now} {
		for line := range strings.Lines(c.log.String()) {
			for _, bad := range []string{`"level":"error"`, `"level":"fatal"`, "panic", "cannot be read", "user_script"} {
				if strings.Contains(line, bad) {
					t.Errorf("a worker of %s stumbles: %s", c.name, line)
				}
			}
		}
	}
	inspector := asynq.NewInspector(asynq.RedisClientOpt{Network: "unix", Addr: server.Socket})
	defer inspector.Close()
	for _, queue := range tasks.QueuesOf("").Names() {
		if info, err := inspector.GetQueueInfo(queue); err == nil && info.Archived > 0 {
			t.Errorf("%d tasks in %s could not be read", info.Archived, queue)
		}
	}
}

func deliveries(c *contender) int { return strings.Count(c.log.String(), `"outcome":"delivered"`) }

// rollout is what producers of both versions ask for.
type rollout struct {
	t        *testing.T
	old, now *binary
	conn     *connection
	asked    []tasks.Invite // that were accepted
	revoked  map[string]bool
	steps    int
}

func (r *rollout) invite(n int) tasks.Invite {
	email, err := tasks.ParseEmail(fmt.Sprintf("mixed.%d@example.com", n))
	must(r.t, err)
	i := tasks.Invite{ID: fmt.Sprintf("mixed-%d", n), EmailAddress: email}
	if n%2 == 0 { // What the earlier version does not know.
		i.Owner = "tenant-7"
	}
	return i
}

// step does one thing, by the one version or the other.
func (r *rollout) step() {
	t := r.t
	r.steps++
	program := []*binary{r.old, r.now}[r.steps%2]
	n := len(r.asked)
	switch i := r.invite(n); r.steps % 8 {
	case 0: // a list
		var rows strings.Builder
		rows.WriteString("email_address\n")
		importID := fmt.Sprintf("mixed-list-%d", r.steps)
		program = []*binary{r.old, r.now}[r.steps/8%2]
		for range 20 {
			i := r.invite(len(r.asked))
			fmt.Fprintln(&rows, i.EmailAddress.Raw())
			i.ID, i.Owner = tasks.ImportInviteID(importID, i.EmailAddress), ""
			r.asked = append(r.asked, i)
		}
		program.run("import", file(t, importID+".csv", rows.String()), "--import-id", importID)
	case 1, 2: // the command line, which names no owner
		i.Owner = ""
		program.run("invite", i.EmailAddress.Raw(), "--id", i.ID)
		r.asked = append(r.asked, i)
	case 3, 4: // an address, or an id, that was asked for at some time before
		if n > 50 {
			victim := r.asked[n-1-rand.N(50)]
			what := victim.ID
			if rand.N(2) == 0 {
				what = victim.EmailAddress.Raw()
			}
			program.run("revoke", what)
			r.revoked[victim.ID] = true
		}
	default: // a service
		_, err := r.conn.client.Invite(t.Context(), i)
		must(t, err)
		r.asked = append(r.asked, i)
	}
	pause(t.Context(), 100*time.Millisecond)
}

// laterVersion gives a record a field that no version knows yet, and has this version
// deliver it: the field is still there.
func (r *rollout) laterVersion(server *redistest.Server) {
	t, rdb, key := r.t, server.Client(r.t), "inviteq:{default}:rec"
	must(t, r.conn.ledger.Pause(t.Context(), ledger.Now, tasks.Interactive))
	i := r.invite(len(r.asked))
	_, err := r.conn.client.Invite(t.Context(), i)
	must(t, err)
	r.asked = append(r.asked, i)
	record, err := rdb.HGet(t.Context(), key, i.ID).Result()
	must(t, err)
	line, content, _ := strings.Cut(record, "\n")
	fields := strings.Split(line, "\t")
	for len(fields) < 21 {
		fields = append(fields, "")
	}
	must(t, rdb.HSet(t.Context(), key, i.ID, strings.Join(fields, "\t")+"\tof a later version\n"+content).Err())
	must(t, r.conn.ledger.Resume(t.Context(), tasks.Interactive))
	redistest.Await(t, "a record of a later version is delivered", func(ctx context.Context) bool {
		known, err := r.conn.ledger.Get(ctx, i.ID)
		return err == nil && len(known) == 1 && known[0].State == tasks.Pending
	})
	if record, err = rdb.HGet(t.Context(), key, i.ID).Result(); err != nil || !strings.Contains(record, "\tof a later version\n") {
		t.Errorf("its field is gone: %q, %v", record, err)
	}
}

// judge compares what was asked for with Clerk's own history, and returns how many
// were revoked.
func (r *rollout) judge(sim *clerksim.Sim, server *redistest.Server) (revoked int) {
	t := r.t
	owners, err := server.Client(t).HGetAll(t.Context(), "inviteq:{default}:owner").Result()
	must(t, err)
	for _, i := range r.asked {
		known, err := r.conn.ledger.Get(t.Context(), i.ID)
		must(t, err)
		if len(known) != 1 {
			t.Errorf("%s is lost", i.ID)
			continue
		}
		record, mails := known[0], sim.Mails(i.EmailAddress.Raw())
		if owners[i.ID] != i.Owner {
			t.Errorf("%s belongs to %q, and was asked for by %q", i.ID, owners[i.ID], i.Owner)
		}
		pending := slices.ContainsFunc(sim.ByAddress(i.EmailAddress.Raw()), func(inv clerksim.Invitation) bool { return inv.Status == "pending" })
		switch {
		case mails > 1:
			t.Errorf("%s was mailed %d times", i.ID, mails)
		case r.revoked[i.ID]:
			revoked++
			if pending || record.State != tasks.Canceled && record.State != tasks.Revoked {
				t.Errorf("%s was revoked, and is %s (%s); pending at Clerk: %t", i.ID, record.State, record.Reason, pending)
			}
		case mails != 1 || !pending || record.State != tasks.Pending:
			t.Errorf("%s is %s (%s) after %d mails; pending at Clerk: %t", i.ID, record.State, record.Reason, mails, pending)
		}
	}
	return revoked
}
