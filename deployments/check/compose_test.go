package check

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose loads docker-compose.yml as `docker compose --profile …` would: it is
// checked against the Compose schema, interpolated and normalised.
func compose(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	return composeWith(t, nil, profiles...)
}

func composeWith(t *testing.T, env []string, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithProfiles(profiles), cli.WithResolvedPaths(true), cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeProfiles(t *testing.T) {
	// Without a profile nothing can mail anybody.
	for _, test := range []struct {
		profiles, want []string
	}{
		{nil, []string{"redis"}},
		{[]string{"sim"}, []string{"api-sim", "clerksim", "redis", "worker-sim"}},
		{[]string{"clerksim"}, []string{"clerksim", "redis"}},
		{[]string{"live"}, []string{"api", "redis", "worker"}},
		{[]string{"ha"}, []string{"api-ha", "redis", "redis-1", "redis-2", "sentinel-1", "sentinel-2", "sentinel-3", "worker-ha"}},
	} {
		got := compose(t, test.profiles...).ServiceNames()
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("profiles %q start %q, want %q", test.profiles, got, test.want)
		}
	}
}

func TestComposeServices(t *testing.T) {
	project := compose(t, "sim", "live", "ha")
	grace := time.Duration(*kubernetes(t).deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	for name, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q, want loopback only", name, port.Published, port.HostIP)
			}
		}
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s mounts %s: %v", name, volume.Source, err)
			}
		}
		if !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") {
			t.Errorf("%s may write to its root or keeps capabilities", name)
		}
		if strings.HasSuffix(service.Image, ":latest") || !strings.Contains(service.Image, ":") {
			t.Errorf("%s has the image %s, whose tag moves", name, service.Image)
		}
		if service.Build == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
			t.Errorf("%s is built from a Dockerfile that is not there: %v", name, err)
		}
		// What the image asks is for a worker.
		if own := service.HealthCheck != nil; own == strings.HasPrefix(name, "worker") {
			t.Errorf("%s is asked in a way of its own: %t", name, own)
		}
		if !slices.ContainsFunc(service.Tmpfs, func(mount string) bool { return strings.HasPrefix(mount, "/tmp:") }) {
			t.Errorf("%s has no place for a list that it is given", name)
		}
		if strings.HasPrefix(name, "worker") && (service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) != grace) {
			t.Errorf("%s has a stop_grace_period of %v, Kubernetes one of %s", name, service.StopGracePeriod, grace)
		}
	}

	// AOF rewrites copy what changes meanwhile: half as much again.
	for name, service := range project.Services {
		if strings.HasPrefix(name, "redis") && service.MemLimit != project.Services["redis"].MemLimit {
			t.Errorf("%s may use %d bytes, redis %d", name, service.MemLimit, project.Services["redis"].MemLimit)
		}
	}
	limit := regexp.MustCompile(`(?m)^maxmemory (\d+)mb$`).FindSubmatch(read(t, "deployments/redis.conf"))
	var megabytes int64
	if _, err := fmt.Sscan(string(limit[1]), &megabytes); err != nil {
		t.Fatal(err)
	}
	if memory := int64(project.Services["redis"].MemLimit) >> 20; memory < megabytes*3/2 {
		t.Errorf("redis may use %d MB; maxmemory %d MB needs half as much again", memory, megabytes)
	}
}

// TestComposeTakesTheKey from the environment or from a file. A secret that comes from the
// environment is none: docker compose does not put it into a container with a read-only root.
func TestComposeTakesTheKey(t *testing.T) {
	for profile, name := range map[string]string{"live": "worker", "ha": "worker-ha"} {
		for _, from := range []string{"CLERK_SECRET_KEY", "CLERK_SECRET_KEY_FILE"} {
			path := filepath.Join(t.TempDir(), "clerk.key")
			project := composeWith(t, []string{from + "=" + path}, profile)
			worker, secret := project.Services[name], project.Secrets["clerk_secret_key"]
			got := map[string]string{}
			for _, name := range []string{"CLERK_SECRET_KEY", "CLERK_SECRET_KEY_FILE"} {
				if value := worker.Environment[name]; value != nil {
					got[name] = *value
				}
			}
			want, file := map[string]string{"CLERK_SECRET_KEY": path, "CLERK_SECRET_KEY_FILE": ""}, "/dev/null"
			if from == "CLERK_SECRET_KEY_FILE" {
				want, file = map[string]string{"CLERK_SECRET_KEY": "", "CLERK_SECRET_KEY_FILE": "/run/secrets/clerk_secret_key"}, path
			}
			if !maps.Equal(got, want) || len(worker.Secrets) != 1 || worker.Secrets[0].Source != "clerk_secret_key" || secret.File != file || secret.Environment != "" {
				t.Errorf("%s of %s: the worker has %v, and the secret is %+v", from, profile, got, secret)
			}
		}
	}
}

// TestPlayground runs the services of the profile "sim" as processes: the same
// commands with the same environment, with loopback ports in place of service
// names. Then it does what the head of docker-compose.yml tells people to try.
func TestPlayground(t *testing.T) {
	project := compose(t, "sim")
	ports := strings.NewReplacer(
		"redis:6379", "127.0.0.1:"+freePort(t),
		"clerksim:9090", "127.0.0.1:"+freePort(t),
		"0.0.0.0:8080", "127.0.0.1:"+freePort(t),
	)
	environment := func(service types.ServiceConfig) []string {
		var list []string
		for name, value := range service.Environment {
			list = append(list, name+"="+ports.Replace(*value))
		}
		return list
	}
	redis, clerk, worker := project.Services["redis"], project.Services["clerksim"], project.Services["worker-sim"]

	// The image's path of the configuration, its folder, and its port.
	args := slices.Clone(redis.Command[1:])
	for i, arg := range args {
		for _, volume := range redis.Volumes {
			switch {
			case arg != volume.Target:
			case volume.Type == types.VolumeTypeBind:
				args[i] = volume.Source
			default:
				args[i] = t.TempDir()
			}
		}
	}
	_, port, _ := strings.Cut(ports.Replace("redis:6379"), ":")
	run(t, os.Environ(), redisServer(t), append(args, "--bind", "127.0.0.1", "--port", port)...)

	args = slices.Clone(clerk.Command)
	args[len(args)-1] = ports.Replace("clerksim" + args[len(args)-1])
	run(t, environment(clerk), program(t), args...)
	eventually(t, "the simulated Clerk's container is healthy", func() error {
		asks := slices.Clone([]string(clerk.HealthCheck.Test[2:]))
		asks[len(asks)-1] = strings.TrimPrefix(args[len(args)-1], ":")
		return exec.CommandContext(t.Context(), program(t), asks...).Run()
	})
	run(t, environment(worker), program(t), worker.Command...)

	url := "http://" + ports.Replace(*worker.Environment["INVITEQ_ADMIN_ADDR"])
	token := *worker.Environment["INVITEQ_ADMIN_TOKEN"]
	answers := func(path, password string, want int) {
		t.Helper()
		eventually(t, path, func() error {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
			if err != nil {
				return err
			}
			if password != "" {
				request.SetBasicAuth("anybody", password)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != want {
				return fmt.Errorf("status %s, want %d", response.Status, want)
			}
			return nil
		})
	}
	answers("/healthz", "", http.StatusOK)
	answers("/readyz", "", http.StatusOK)
	asks := exec.CommandContext(t.Context(), program(t), imageHealth[2:]...)
	asks.Env = environment(worker)
	if output, err := asks.CombinedOutput(); err != nil {
		t.Errorf("the container of a worker is not healthy: %v\n%s", err, output)
	}
	answers("/", "", http.StatusUnauthorized)
	answers("/", token, http.StatusOK)
	answers("/metrics", token, http.StatusOK)

	const prefix = "#   docker compose --profile sim exec worker-sim /inviteq "
	tried := 0
	if !bytes.Contains(read(t, "docker-compose.yml"), []byte("# token as password: "+token)) {
		t.Error("the head of docker-compose.yml names another admin token")
	}
	for line := range bytes.Lines(read(t, "docker-compose.yml")) {
		words, ok := strings.CutPrefix(strings.TrimSpace(string(line)), prefix)
		if !ok {
			continue
		}
		tried++
		command := exec.CommandContext(t.Context(), program(t), strings.Fields(words)...)
		command.Env = environment(worker)
		output, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("inviteq %s: %v\n%s", words, err, output)
		}
		t.Logf("inviteq %s\n%s", words, output)
	}
	if tried == 0 {
		t.Error("the head of docker-compose.yml has nothing to try")
	}
}

// TestVariablesAreKnown keeps the deployed environment true: each variable must
// be one that the program's or the worker's help names.
func TestVariablesAreKnown(t *testing.T) {
	var help []byte
	for _, args := range [][]string{{"--help"}, {"worker", "--help"}} {
		text, err := exec.CommandContext(t.Context(), program(t), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("inviteq %q: %v\n%s", args, err, text)
		}
		help = append(help, text...)
	}
	used := map[string][]string{}
	for name, service := range compose(t, "sim", "live", "ha").Services {
		if service.Build == nil { // It runs another program.
			continue
		}
		for variable := range service.Environment {
			used[variable] = append(used[variable], "docker-compose.yml ("+name+")")
		}
	}
	for _, variable := range kubernetes(t).worker(t).Env {
		used[variable.Name] = append(used[variable.Name], "deployments/k8s")
	}
	for variable, places := range used {
		if !regexp.MustCompile(`\b` + variable + `\b`).Match(help) {
			t.Errorf("%q set %s, which neither inviteq --help nor inviteq worker --help names", places, variable)
		}
	}
}
