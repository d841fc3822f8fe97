package check

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

const dockerfile = "deployments/Dockerfile"

// anyImage answers for every base image, because the linter asks for the
// environment that an image brings along.
type anyImage struct{}

func (anyImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{
		Platform: ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispecs.ImageConfig{Env: []string{"PATH=/usr/local/go/bin:/usr/bin:/bin"}},
	})
	return ref, digest.FromBytes(config), config, err
}

func TestDockerfileHasNoWarnings(t *testing.T) {
	text := read(t, dockerfile)
	source := llb.NewSourceMap(nil, dockerfile, "Dockerfile", text)
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(t.Context(), text, dockerfile2llb.ConvertOpt{
		SourceMap:    source,
		MetaResolver: anyImage{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		t.Errorf("%s: %s", dockerfile, results.Error.Message)
	}
	for _, warning := range results.Warnings {
		t.Errorf("%s: %s: %s", dockerfile, warning.RuleName, warning.Detail)
	}
}

// stages parses the Dockerfile.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(bytes.NewReader(read(t, dockerfile)))
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

// buildContext copies what .dockerignore lets through, as `docker build` would
// send it, and returns the folder.
func buildContext(t *testing.T) string {
	t.Helper()
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	source, target := os.DirFS(root), t.TempDir()
	err = fs.WalkDir(source, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path == ".git" || path == ".cache" {
				return fs.SkipDir
			}
			return nil
		}
		skip, err := ignored.MatchesOrParentMatches(path)
		if err != nil || skip {
			return err
		}
		content, err := fs.ReadFile(source, path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(target, filepath.Dir(path)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(target, path), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// imageHealth is how an engine asks whether a container is healthy. TestPlayground
// runs it.
var imageHealth = []string{"CMD", "/inviteq", "health"}

// TestImage does what an engine would do with the Dockerfile: it runs the build
// step on the build context, lays the files of the last stage into an empty
// folder, and starts the program in there, as the image's user with nothing
// around it. (Becoming that user takes root; other users start it in place.)
func TestImage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the image is for Linux; this is " + runtime.GOOS)
	}
	program(t) // says what is wrong when the program does not build at all
	const version = "v9.9.9-check"
	stages := stages(t)
	src, out, image := buildContext(t), t.TempDir(), t.TempDir()

	built := false
	for _, command := range stages[0].Commands {
		step, ok := command.(*instructions.RunCommand)
		if !ok || !strings.Contains(strings.Join(step.CmdLine, " "), "go build") {
			continue
		}
		built = true
		shell := exec.Command("sh", "-c", strings.ReplaceAll(strings.Join(step.CmdLine, " "), "/out/", out+"/"))
		shell.Dir = src
		shell.Env = append(os.Environ(), "VERSION="+version, "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH)
		if output, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", shell.Args[2], err, output)
		}
	}
	if !built {
		t.Fatal("the first stage builds nothing")
	}

	last := stages[len(stages)-1]
	if last.BaseName != "scratch" {
		t.Errorf("the image is based on %q, want scratch", last.BaseName)
	}
	var user string
	var argv, health []string
	for _, command := range last.Commands {
		switch command := command.(type) {
		case *instructions.UserCommand:
			user = command.User
		case *instructions.EntrypointCommand:
			argv = slices.Concat(command.CmdLine, argv)
		case *instructions.CmdCommand:
			argv = slices.Concat(argv, command.CmdLine)
		case *instructions.HealthCheckCommand:
			health = command.Health.Test
		case *instructions.CopyCommand:
			if command.From != stages[0].Name {
				t.Errorf("COPY --from=%s: no such stage", command.From)
			}
			from := command.SourcePaths[0]
			switch {
			case strings.HasPrefix(from, "/src/"):
				from = filepath.Join(src, strings.TrimPrefix(from, "/src/"))
			case strings.HasPrefix(from, "/out/"):
				from = filepath.Join(out, strings.TrimPrefix(from, "/out/"))
			}
			if info, err := os.Stat(from); err == nil && info.IsDir() {
				placeAll(t, from, filepath.Join(image, command.DestPath))
				continue
			}
			place(t, from, filepath.Join(image, command.DestPath))
		}
	}
	if user != "65532:65532" {
		t.Errorf("the image runs as %q, want 65532:65532", user)
	}
	if want := []string{"/inviteq", "worker"}; !slices.Equal(argv, want) {
		t.Errorf("the image runs %q, want %q", argv, want)
	}

	if !slices.Equal(health, imageHealth) {
		t.Errorf("the image's health is asked by %q, want %q", health, imageHealth)
	}

	binary, err := elf.Open(filepath.Join(image, "inviteq"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("the program is linked dynamically: it does not start from scratch")
		}
	}
	if got := string(inImage(t, image, "version")); !strings.Contains(got, version) {
		t.Errorf("inviteq version = %q, want it to name %s", got, version)
	}
	if got := string(inImage(t, image, "worker", "--help")); !strings.Contains(got, "INVITEQ_ADMIN_ADDR") {
		t.Errorf("inviteq worker --help does not name INVITEQ_ADMIN_ADDR:\n%s", got)
	}
}

// placeAll copies what is in a folder. A folder in it has to be one in which every user
// may write: some versions of runc give the mode that it has in the image to a tmpfs that
// is mounted over it, and whatever mode that was told to have is lost.
func placeAll(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			place(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
			continue
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
			t.Errorf("/%s of the image has the mode %s", e.Name(), info.Mode())
		}
	}
}

// place copies one file into the image. The certificates come from the build
// image, which is not here; any machine has its own.
func place(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if os.IsNotExist(err) && strings.HasPrefix(from, "/etc/ssl/") {
		t.Logf("no %s on this machine", from)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// inImage runs the image's program and returns what it printed.
func inImage(t *testing.T, image string, args ...string) []byte {
	t.Helper()
	command := exec.Command(filepath.Join(image, "inviteq"), args...)
	command.Env = []string{}
	if os.Geteuid() == 0 {
		// A temporary folder is its owner's alone; the image's root is not.
		for dir := image; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		command.Path, command.Args[0], command.Dir = "/inviteq", "/inviteq", "/"
		command.SysProcAttr = &syscall.SysProcAttr{
			Chroot:     image,
			Credential: &syscall.Credential{Uid: 65532, Gid: 65532},
		}
	}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("inviteq %q in the image: %v\n%s", args, err, output)
	}
	return output
}
