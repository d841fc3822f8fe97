package main

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// systemd hears that a worker is ready, that it lives, and that it stops.
func TestSupervised(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt((100*time.Millisecond).Microseconds(), 10))
	hear := func() string {
		t.Helper()
		b := make([]byte, 1024)
		_ = socket.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	worker := newWorld(t).withClerk(clerksim.Config{}).startWorker()
	heard := []string{hear(), hear(), hear()}
	if !slices.Equal(heard, []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"}) {
		t.Errorf("heard %q", heard)
	}
	stopped := make(chan int, 1)
	go func() { stopped <- worker.stop() }()
	for said := hear(); said != "STOPPING=1"; said = hear() {
		if said != "WATCHDOG=1" {
			t.Errorf("heard %q", said)
		}
	}
	if code := <-stopped; code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestCompletion(t *testing.T) {
	w := &world{t: t}
	for line, want := range map[string]string{
		"ap":                              "api",
		"api to":                          "token",
		"api token create --role ":        "viewer operator admin",
		"import team.csv --lane=i":        "--lane=interactive --lane=import",
		"import --dry":                    "--dry-run",
		"pause --lane import --imp":       "--import-id",
		"import ":                         "",
		"import --report ":                "",
		"completion ":                     "bash zsh fish words",
		"worker --admin-tls-cert":         "--admin-tls-cert-file",
		"api --api-ag":                    "--api-agents",
		"import --lane interactive --hol": "--hold",
	} {
		var words []string
		for l := range strings.Lines(w.ok(append([]string{"completion", "words", "--"}, strings.Split(line, " ")...)...)) {
			word, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			words = append(words, word)
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		wants(t, w.ok("completion", shell), "inviteq completion words --")
	}
}

// The help, the manual page and the configuration come from the one grammar.
func TestHelpCommand(t *testing.T) {
	w := &world{t: t}
	if got, want := w.ok("help", "api", "token", "create"), w.ok("api", "token", "create", "--help"); got != want {
		t.Errorf("help says\n%s\nand --help\n%s", got, want)
	}
	if got, want := w.ok("help"), w.ok("--help"); got != want {
		t.Errorf("help says\n%s\nand --help\n%s", got, want)
	}
	page := w.ok("help", "--man")
	for _, command := range model(t).Children {
		wants(t, page, ".SS "+roff(command.Name))
	}
	wants(t, page, ".TH INVITEQ 1", `\-\-dry\-run`)
}

func TestConfig(t *testing.T) {
	path := file(t, "production.env", "# of the worker\nINVITEQ_CALLS=7\nINVITEQ_RESERVE='20'\nREDIS_URL=redis://:canary@10.0.0.7:6379/3\nCLERK_SECRET_KEY=sk_test_canary\n")
	w := &world{t: t, env: []string{"INVITEQ_RESERVE=30", "INVITEQ_SCREEN=false"}}
	for _, out := range []string{w.ok("--env-file", path, "config"), w.ok("config", "worker", "--env-file="+path, "--json")} {
		if strings.Contains(out, "canary") {
			t.Errorf("a secret was printed:\n%s", out)
		}
	}
	got := map[string][2]string{}
	for _, o := range objects(t, w.ok("--env-file", path, "config", "--json")) {
		got[o["variable"].(string)] = [2]string{o["value"].(string), o["from"].(string)}
	}
	for name, want := range map[string][2]string{
		"INVITEQ_CALLS": {"7", "file"}, "INVITEQ_RESERVE": {"30", "environment"}, "INVITEQ_SCREEN": {"false", "environment"},
		"INVITEQ_MAX_ATTEMPTS": {"12", "default"}, "REDIS_URL": {"10.0.0.7:6379/3", "file"}, "CLERK_SECRET_KEY": {"set", "file"},
		"INVITEQ_ADMIN_TOKEN": {"", ""}, "INVITEQ_ADMIN_ACTIONS": {"false", "default"},
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	for args, want := range map[string]string{
		"config nothing":                                   "there is no command nothing",
		"--env-file " + path + "x config":                  "no such file",
		"--env-file " + file(t, "e", "what\n") + " config": "a line is not NAME=value",
	} {
		r := w.run(strings.Fields(args)...)
		if r.code != exitUsage {
			t.Errorf("%s: exit code %d", args, r.code)
		}
		wants(t, r.stderr, want)
	}
	w.env = append(w.env, "INVITEQ_LANE=fast")
	r := w.run("config", "import")
	if r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
	wants(t, r.stderr, "INVITEQ_LANE must be one of")
}
