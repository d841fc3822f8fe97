package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// block returns the n-th code block that stands after a text on a page.
func block(t *testing.T, page, after string, n int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), after)
	blocks := regexp.MustCompile("(?s)\n```[a-z]*\n(.*?\n)```\n").FindAllStringSubmatch(rest, n+1)
	if !found || len(blocks) <= n {
		t.Fatalf("%s has no code block %d after %q", page, n, after)
	}
	return blocks[n][1]
}

// TestTasksOfTheREADME does what a stranger does, with the README's own blocks and
// nothing else: invite from Go, from a shell and over HTTP, import a list, and ask why
// nothing is sent. (Clerk's SDKs for Go and Node are in the tests of enqueue/api, compose is
// in deployments/check.)
func TestTasksOfTheREADME(t *testing.T) {
	b := buildBinary(t)
	sim := clerksim.Start(t, clerksim.Config{})
	redis := redistest.StartTCP(t)
	folder := t.TempDir()
	if err := os.Symlink(b.path, filepath.Join(folder, "inviteq")); err != nil {
		t.Fatal(err)
	}
	url := "redis://" + redis.Addr + "/0"
	b.env = append(b.env, "PATH="+folder+":"+os.Getenv("PATH"), "REDIS_URL="+url,
		"CLERK_SECRET_KEY="+sim.SecretKey, "CLERK_API_URL="+sim.URL, "INVITEQ_ADMIN_ADDR=off")
	if err := os.WriteFile(filepath.Join(folder, "team.xlsx"), []byte("email,plan\nbob@example.com,pro\ncleo@example.com,pro\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := func(script string, env ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		c.Dir, c.Env = folder, append(b.env, env...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v: %s", script, err, out)
		}
		return string(out)
	}

	// Why is nothing sent? No worker is running.
	shell("inviteq invite early@example.com")
	wants(t, shell(block(t, "README.md", "**Why is nothing sent?**", 0)), "No worker is running")
	b.start("worker")

	from := block(t, "README.md", "**From Go.**", 0)
	from = strings.Replace(from, "redis://127.0.0.1:6379/0", url, 1)
	program := "package main\n\nimport (\n\t\"context\"\n\t\"fmt\"\n\n\t\"github.com/inviteq/inviteq/enqueue\"\n\t\"github.com/inviteq/inviteq/tasks\"\n)\n\n" +
		"func main() {\n\tif err := do(context.Background()); err != nil {\n\t\tpanic(err)\n\t}\n}\n\nfunc do(ctx context.Context) error {\n" + from +
		"\tfmt.Println(invite.ID, err)\n\treturn err\n}\n"
	path := file(t, "main.go", program)
	run := exec.CommandContext(t.Context(), "go", "run", path)
	run.Dir = root
	if out, err := run.CombinedOutput(); err != nil || string(out) != "signup-4711 <nil>\n" {
		t.Fatalf("the program of the README: %v\n%s", err, out)
	}

	// Each block invites Ada as signup-4711; here each invites somebody else.
	another := func(block, id, person string) string {
		return strings.NewReplacer("signup-4711", id, "ada@", person+"@").Replace(block)
	}
	wants(t, shell(another(block(t, "README.md", "**From a shell, or a file.**", 0), "signup-4712", "grace")), "grace@example.com")

	api := block(t, "README.md", "**From any language, over HTTP,**", 0)
	lines := strings.SplitN(api, "\n", 3)
	token := regexp.MustCompile(`sk_\S+`).FindString(shell(lines[0]))
	served := b.start("api", "--api-addr", "127.0.0.1:0")
	listens := regexp.MustCompile(`"api":"(127\.0\.0\.1:\d+)"`)
	for deadline := time.Now().Add(20 * time.Second); !listens.MatchString(served.log.String()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the API does not say where it listens")
		}
	}
	addr := listens.FindStringSubmatch(served.log.String())[1]
	wants(t, shell(another(strings.ReplaceAll(lines[2], "127.0.0.1:8081", addr), "signup-4713", "eve"), "TOKEN="+token), `"object":"invitation"`)

	for _, address := range []string{"early@example.com", "bob@example.com", "cleo@example.com"} {
		for deadline := time.Now().Add(20 * time.Second); sim.Mails(address) == 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s got no mail", address)
			}
		}
	}
	if sim.MaxMails() > 1 {
		t.Errorf("somebody got %d mails", sim.MaxMails())
	}
}

// TestFirstInviteOfTheREADME follows the README from the build to the first invite. Only
// the ports and the build are the test's own.
func TestFirstInviteOfTheREADME(t *testing.T) {
	b := buildBinary(t)
	folder := t.TempDir()
	if err := os.Symlink(b.path, filepath.Join(folder, "inviteq")); err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := strings.Cut(addrs[0], ":")
	_, script, built := strings.Cut(block(t, "README.md", "Send a first invite as your services will", 0), "make build && PATH=\"$PWD/bin:$PATH\"\n")
	if !built {
		t.Fatal("the first invite does not begin with the build")
	}
	script = strings.NewReplacer(`--dir "$`, "--port "+port+` --dir "$`, "inviteq clerksim", "inviteq clerksim --addr "+addrs[1], "127.0.0.1:9090", addrs[1]).Replace(script)
	c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill $(jobs -p); wait' EXIT\n"+script)
	c.Dir = root
	c.Env = append(b.env, "PATH="+folder+":"+os.Getenv("PATH"), "REDIS_URL=redis://"+addrs[0], "INVITEQ_ADMIN_ADDR=off")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v: %s", script, err, out)
	}
	wants(t, string(out), "Clerk has the invitation", "at most 1 for one address")
}

// TestIndex: what .github/llms.txt points to is there.
func TestIndex(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, ".github/llms.txt"))
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\((.*?)\)`).FindAllStringSubmatch(string(text), -1)
	if len(links) < 10 {
		t.Errorf("%d links", len(links))
	}
	for _, link := range links {
		if _, err := os.Stat(filepath.Join(root, ".github", link[1])); err != nil {
			t.Error(err)
		}
	}
}
