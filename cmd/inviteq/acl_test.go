package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// aclServer runs with the users of deployments/redis.acl, and an administrator who
// comes by the socket.
func aclServer(t *testing.T, args ...string) (s *redistest.Server, admin *redis.Client) {
	t.Helper()
	shipped, err := os.ReadFile("../../deployments/redis.acl")
	must(t, err)
	path := filepath.Join(t.TempDir(), "users.acl")
	text := string(shipped) + "user admin on >admin ~* &* +@all\n"
	must(t, os.WriteFile(path, []byte(text), 0o600))
	s = redistest.StartTCP(t, append(args, "--aclfile", path)...)
	o := s.Options().Simple()
	o.Username, o.Password = "admin", "admin"
	admin = redis.NewClient(o)
	t.Cleanup(func() { _ = admin.Close() })
	return s, admin
}

// TestLeastPrivilege lets the shipped binary do all that it does, as the users of
// deployments/redis.acl: Redis refuses nothing.
func TestLeastPrivilege(t *testing.T) {
	b := buildBinary(t)
	server, admin := aclServer(t)
	as := func(user string) *binary {
		return &binary{t: t, path: b.path, env: append(slices.Clone(b.env), fmt.Sprintf("REDIS_URL=redis://%s:%s-password@%s/0", user, user, server.Addr))}
	}
	clerk := newWorld(t).withClerk(clerksim.Config{})
	worker, producer, dashboard := as("worker"), as("producer"), as("dashboard")
	for _, v := range clerk.env {
		if strings.HasPrefix(v, "CLERK_") {
			worker.env = append(worker.env, v)
		}
	}
	worker.env = append(worker.env, "INVITEQ_ADMIN_ADDR=127.0.0.1:0", "INVITEQ_LIMIT_SINGLE=none", "INVITEQ_LIMIT_BULK=none")

	producer.run("invite", "ada@example.com", "--id", "one")
	producer.run("invite", "grace@example.com")
	producer.run("revoke", "one")
	producer.run("revoke", "nobody@example.com")
	producer.run("import", file(t, "l.csv", "email_address\na@example.com\nb@example.com\n"), "--import-id", "imp")
	running := worker.start("worker")
	eventually(t, "all is delivered", func() bool { return len(clerk.sim.Invitations()) == 3 })
	eventually(t, "the list is done", func() bool { return strings.Contains(producer.run("status", "imp", "--json"), `"open":0`) })
	for _, args := range [][]string{
		{"status"}, {"status", "one"}, {"status", "imp"}, {"status", "grace@example.com"},
		{"list"}, {"list", "--import-id", "imp"}, {"imports"}, {"events"}, {"quota"},
	} {
		dashboard.run(args...)
		producer.run(args...)
	}
	producer.run("renew", "--state", "pending")
	producer.run("pause", "--import-id", "imp")
	producer.run("resume", "--import-id", "imp")
	producer.run("revoke", "--import-id", "imp", "--wait")
	worker.run("pause")
	worker.run("resume")
	worker.run("retry", "--state", "failed")
	eraser := as("eraser")
	eraser.run("export", "a@example.com")
	eraser.run("forget", "a@example.com", "--yes")
	eraser.run("audit", "log")
	running.end(syscall.SIGTERM)
	wants(t, running.log.String(), "worker has left")
	key := "INVITEQ_ENCRYPTION_KEY=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("0123456789abcdef"), 2))
	eraser.env, producer.env = append(eraser.env, key), append(producer.env, key)
	wants(t, eraser.run("rekey"), "encrypted in")
	producer.run("invite", "kay@example.com")
	producer.run("status", "kay@example.com")

	denials, err := admin.Do(t.Context(), "acl", "log").Slice()
	must(t, err)
	for _, d := range denials {
		t.Errorf("Redis refused %v", d)
	}

	// Those who only look can change nothing.
	o := server.Options().Simple()
	o.Username, o.Password = "dashboard", "dashboard-password"
	looks := redis.NewClient(o)
	t.Cleanup(func() { _ = looks.Close() })
	if err := looks.HSet(t.Context(), "inviteq:{default}:paused", "import", 1).Err(); redisconn.KindOf(err) != redisconn.NoRight {
		t.Errorf("the dashboard's user may write: %v", err)
	}
}

// TestUsersSurviveARestart: Redis until 8.4 reads its append-only file with the rights of
// the user default, and leaves out every transaction that this one may not make. What a
// script writes is one.
func TestUsersSurviveARestart(t *testing.T) {
	b := buildBinary(t)
	server, admin := aclServer(t, "--appendonly", "yes", "--appendfsync", "always")
	producer := &binary{t: t, path: b.path, env: append(slices.Clone(b.env), fmt.Sprintf("REDIS_URL=redis://producer:producer-password@%s/0", server.Addr))}
	producer.run("invite", "ada@example.com", "--id", "one")
	server.Kill()
	must(t, server.Restart())
	wants(t, producer.run("status", "one"), "queued")

	// It is a user nevertheless whom nobody can be.
	for _, password := range []string{"", "default", "worker-password"} {
		o := server.Options().Simple()
		o.Username, o.Password = "default", password
		if password == "" {
			o.Username = ""
		}
		nobody := redis.NewClient(o)
		if err := nobody.Get(t.Context(), "inviteq:{default}:meta").Err(); redisconn.KindOf(err) != redisconn.WrongLogin && redisconn.KindOf(err) != redisconn.NoLogin {
			t.Errorf("with the password %q: %v", password, err)
		}
		_ = nobody.Close()
	}

	// Where somebody has taken these rights away, it is said before the next restart.
	for rule, want := range map[string]bool{"-@all": true, "+@all": false, "resetkeys": true} {
		must(t, admin.Do(t.Context(), "acl", "setuser", "default", rule).Err())
		found, err := redisconn.Inspect(t.Context(), workerOf(t, server), "inviteq:{default}:meta")
		must(t, err)
		if _, got := found[tasks.ConditionForgets]; got != want {
			t.Errorf("default %s: found %v", rule, found)
		}
		must(t, admin.Do(t.Context(), "acl", "setuser", "default", "+@all", "~*", "&*").Err())
	}
}

// workerOf connects as the worker's user.
func workerOf(t *testing.T, server *redistest.Server) redis.UniversalClient {
	t.Helper()
	o := server.Options()
	o.Username, o.Password = "worker", "worker-password"
	rdb := redisconn.New(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// TestMissingRightsAreToldAtOnce takes each right of the worker's away.
func TestMissingRightsAreToldAtOnce(t *testing.T) {
	server, admin := aclServer(t)
	l, err := ledger.Open(t.Context(), workerOf(t, server), ledger.Config{})
	must(t, err)
	must(t, l.CheckRights(t.Context()))

	shipped, err := os.ReadFile("../../deployments/redis.acl")
	must(t, err)
	_, line, _ := strings.Cut(string(shipped), "user worker ")
	line, _, _ = strings.Cut(line, "\n")
	change := func(rules ...any) {
		t.Helper()
		must(t, admin.Do(t.Context(), append([]any{"acl", "setuser", "worker"}, rules...)...).Err())
	}
	// What a connection needs, or a Cluster, or a check that is left out where it is forbidden.
	aside := []string{
		"client|setname", "cluster|shards", "cluster|slots", "command", "hello", "ping", "select", "time", "config|get", "info", "wait", "acl|dryrun", "eval", "evalsha",
	}
	asked := 0
	for rule := range strings.FieldsSeq(line) {
		command, ok := strings.CutPrefix(rule, "+")
		if !ok || slices.Contains(aside, command) {
			continue
		}
		change("-" + command)
		err := l.CheckRights(t.Context())
		if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(command, "|", " ")) {
			t.Errorf("without %s: got %v", command, err)
		}
		change("+" + command)
		asked++
	}
	if asked < 40 {
		t.Errorf("only %d rights were taken away", asked)
	}
	change("-xadd", "-hset", "-rpoplpush", "resetchannels")
	err = l.CheckRights(t.Context())
	if err == nil {
		t.Fatal("got no error")
	}
	wants(t, err.Error(), "hset, xadd on inviteq:{default}:*", "hset, rpoplpush on asynq:*", "anything on the channel asynq:cancel", "deployments/redis.acl")
}
