package check

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stage is docker-compose.yml as containers, of a project of their own, on ports that are
// free.
type stage struct {
	*testing.T
	files []string
}

// compose runs docker compose with the playground, and returns what it has written.
func (s *stage) compose(stdin string, args ...string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), 25*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "docker-compose", append(append([]string{"--project-name", "inviteq-test", "--profile", "sim"}, s.files...), args...)...)
	if _, err := exec.LookPath("docker-compose"); err != nil {
		c = exec.CommandContext(ctx, "docker", append([]string{"compose"}, c.Args[1:]...)...)
	}
	c.Dir, c.Stdin = root, strings.NewReader(stdin)
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	if err := c.Run(); err != nil {
		s.Fatalf("docker compose %q: %v\n%s%s", args, err, out.String(), log.String())
	}
	return out.String()
}

// TestContainers builds the image, starts the playground, does what people do with it, and
// kills and restarts every container.
func TestContainers(t *testing.T) {
	how := os.Getenv("INVITEQ_COMPOSE")
	if how != "1" && how != "built" {
		t.Skip("needs a Docker engine: make compose-test")
	}
	override := filepath.Join(t.TempDir(), "ports.yml")
	var ports strings.Builder
	ports.WriteString("services:\n")
	for name, port := range map[string]string{"redis": "6379", "clerksim": "9090", "worker-sim": "8080", "api-sim": "8081"} {
		fmt.Fprintf(&ports, "  %s:\n    ports: !override [\"127.0.0.1:0:%s\"]\n", name, port)
	}
	if err := os.WriteFile(override, []byte(ports.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, files: []string{"-f", "docker-compose.yml", "-f", override}}
	if how != "built" { // Otherwise the image is there: that of a release, or an earlier run's.
		s.compose("", "build", "worker-sim")
	}
	t.Cleanup(func() { s.compose("", "down", "--volumes", "--timeout", "10") })
	s.compose("", "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300")

	inviteq := func(stdin string, args ...string) string {
		t.Helper()
		return s.compose(stdin, append([]string{"exec", "-T", "worker-sim", "/inviteq"}, args...)...)
	}
	inviteq("", "invite", "ada@example.com", "--wait")
	var list strings.Builder
	list.WriteString("email\n")
	for n := range 30 {
		fmt.Fprintf(&list, "person%d@example.com\n", n)
	}
	if got := inviteq(list.String(), "import", "-", "--import-id", "team", "--wait"); !strings.Contains(got, "30") {
		t.Errorf("a list from standard input: %s", got)
	}

	token := strings.TrimSpace(inviteq("", "api", "token", "create", "test"))
	ask := func(path, body string) {
		t.Helper()
		eventually(t, "the API answers", func() error {
			address := strings.TrimSpace(s.compose("", "port", "api-sim", "8081"))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, strings.NewReader(body))
			if err != nil {
				return err
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			if strings.HasSuffix(path, "imports") {
				r.Header.Set("Content-Type", "text/csv")
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", res.Status, text)
			}
			return nil
		})
	}
	ask("/v1/invitations", `{"email_address":"grace@example.com"}`)
	ask("/v1/imports", "email\nalan@example.com\n")

	for _, service := range []string{"redis", "clerksim", "api-sim", "worker-sim"} {
		s.compose("", "kill", service)
		s.compose("", "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300")
		inviteq("", "invite", "after-"+service+"@example.com", "--wait")
		ask("/v1/invitations", `{"email_address":"over-http-after-`+service+`@example.com"}`)
		s.compose("", "restart", "--timeout", "30", service)
		s.compose("", "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300")
	}
	if got := inviteq("", "status", "team"); !strings.Contains(got, "30 invites") {
		t.Errorf("after all that: %s", got)
	}
}
