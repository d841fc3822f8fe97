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
	"slices"
	"strings"
	"testing"
	"time"
)

// stage is docker-compose.yml as containers, of a project of their own, on ports that are
// free.
type stage struct {
	*testing.T
	files []string // and profiles: arguments before the command
}

// newStage has the services of a profile on ports that are free. change are lines of a
// file that is laid over docker-compose.yml.
func newStage(t *testing.T, profile string, ports map[string]string, change string) *stage {
	t.Helper()
	how := os.Getenv("INVITEQ_COMPOSE")
	if how != "1" && how != "built" {
		t.Skip("needs a Docker engine: make compose-test")
	}
	override := filepath.Join(t.TempDir(), "override.yml")
	text := "services:\n" + change
	for name, port := range ports {
		text += fmt.Sprintf("  %s:\n    ports: !override [\"127.0.0.1:0:%s\"]\n", name, port)
	}
	if err := os.WriteFile(override, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, files: []string{"--project-name", "inviteq-test-" + profile, "--profile", profile, "-f", "docker-compose.yml", "-f", override}}
	if how != "built" { // Otherwise the image is there: that of a release, or an earlier run's.
		s.compose("", "build")
	}
	t.Cleanup(func() { s.compose("", "down", "--volumes", "--timeout", "10") })
	s.up()
	return s
}

// up starts what does not run, and waits until all is well.
func (s *stage) up() {
	s.Helper()
	eventuallyWithin(s.T, 3*time.Minute, "all services are well", func() error { // It gives up on one that is not well yet.
		return s.try("", "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300")
	})
}

// compose runs docker compose, and returns what it has written.
func (s *stage) compose(stdin string, args ...string) string {
	s.Helper()
	out, err := s.run(stdin, args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// try is compose for what may fail.
func (s *stage) try(stdin string, args ...string) error {
	_, err := s.run(stdin, args...)
	return err
}

func (s *stage) run(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), 25*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "docker-compose", append(slices.Clone(s.files), args...)...)
	if _, err := exec.LookPath("docker-compose"); err != nil {
		c = exec.CommandContext(ctx, "docker", append([]string{"compose"}, c.Args[1:]...)...)
	}
	c.Dir, c.Stdin = root, strings.NewReader(stdin)
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("docker compose %q: %w\n%s%s", args, err, out.String(), log.String())
	}
	return out.String(), nil
}

// TestContainers builds the image, starts the playground, does what people do with it, and
// kills and restarts every container.
func TestContainers(t *testing.T) {
	s := newStage(t, "sim", map[string]string{"redis": "6379", "clerksim": "9090", "worker-sim": "8080", "api-sim": "8081"}, "")
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
		s.up()
		inviteq("", "invite", "after-"+service+"@example.com", "--wait")
		ask("/v1/invitations", `{"email_address":"over-http-after-`+service+`@example.com"}`)
		s.compose("", "restart", "--timeout", "30", service)
		s.up()
	}
	if got := inviteq("", "status", "team"); !strings.Contains(got, "30 invites") {
		t.Errorf("after all that: %s", got)
	}
}

// TestContainersFailOver kills the master of the profile ha, and then all containers: what
// was accepted after the failover is still there.
func TestContainersFailOver(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "sk_test_clerksim")
	s := newStage(t, "ha", map[string]string{"api-ha": "8081"}, `  clerksim: {profiles: !override [ha], ports: !override ["127.0.0.1:0:9090"]}
  worker-ha: {environment: {CLERK_API_URL: "http://clerksim:9090/v1"}, ports: !override ["127.0.0.1:0:8080"]}
`)
	invite := func(who string) {
		t.Helper()
		eventuallyWithin(t, 2*time.Minute, who+" is invited", func() error {
			return s.try("", "exec", "-T", "worker-ha", "/inviteq", "invite", who+"@example.com", "--id", who, "--wait")
		})
	}
	master := func() (who string) {
		t.Helper()
		eventuallyWithin(t, 2*time.Minute, "the Sentinels agree with Redis on who is the master", func() error {
			said := strings.Fields(s.compose("", "exec", "-T", "sentinel-1", "redis-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", "inviteq"))
			if len(said) != 2 {
				return fmt.Errorf("they say %q", said)
			}
			who = said[0]
			if role := s.compose("", "exec", "-T", who, "redis-cli", "role"); !strings.HasPrefix(role, "master") || !strings.Contains(role, "6379") {
				return fmt.Errorf("%s says of itself: %s", who, role) // A master without its replica accepts nothing.
			}
			return nil
		})
		return who
	}
	if got := master(); got != "redis-1" {
		t.Fatalf("the master is %s", got)
	}
	invite("before")
	s.compose("", "kill", "redis-1")
	eventuallyWithin(t, 2*time.Minute, "a failover", func() error {
		return s.try("", "exec", "-T", "redis-2", "sh", "-c", "redis-cli role | grep -q master")
	})
	s.compose("", "kill")
	s.up()
	invite("after-the-failover") // The old master has come back, as a replica.
	if got := master(); got != "redis-2" {
		t.Fatalf("after everything was killed the master is %s", got)
	}
	s.compose("", "kill", "redis-1")
	s.up()
	s.compose("", "kill")
	s.up()
	invite("at-last")
	for _, who := range []string{"before", "after-the-failover", "at-last"} {
		if got := s.compose("", "exec", "-T", "worker-ha", "/inviteq", "status", who); !strings.Contains(got, "pending") {
			t.Errorf("%s: %s", who, got)
		}
	}
}
