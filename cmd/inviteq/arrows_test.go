package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ours is the path of this module.
const ours = "github.com/inviteq/inviteq"

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Name       string
	Imports    []string // of its own files, without tests
	Deps       []string // everything below it
}

// within reports whether the import path is pkg or lies below it.
func within(path, pkg string) bool {
	return path == pkg || strings.HasPrefix(path, pkg+"/")
}

// packages lists every package of this module, keyed by its path in it.
func packages(t *testing.T) map[string]goPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Imports,Deps", ours+"/...")
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]goPackage{}
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(p.ImportPath, ours+"/")] = p
	}
	return found
}

// arrow says which packages of ours may be imported by pkg and what lies below
// it. "/..." includes what lies below an imported package.
type arrow struct {
	pkg     string
	imports []string
}

// testKit is for other people's tests: it stands above both sides, as cmd does.
const testKit = "enqueue/enqueuetest"

// arrows are those of the design; the first entry that a package lies within
// counts. Programs (package main) wire, and may import anything.
var arrows = []arrow{
	{"tasks/redisconn", []string{"tasks"}},
	{"tasks/seal", nil},
	{"tasks/ledger", []string{"tasks", "tasks/redisconn", "tasks/seal", "tasks/ledger/..."}},
	{"tasks/access", []string{"tasks"}},
	{"tasks/show", nil},
	{"tasks", nil},
	{"clerk/clerksim", []string{"clerk/clerksim/..."}},
	{"clerk", []string{"clerk/..."}},
	{"worker", []string{"tasks", "tasks/access", "tasks/ledger", "tasks/redisconn", "tasks/show", "clerk", "worker/..."}},
	{testKit, []string{"tasks", "tasks/ledger", "clerk", "clerk/clerksim", "worker", "worker/reconcile", "enqueue"}},
	{"enqueue", []string{"tasks", "tasks/access", "tasks/ledger", "tasks/redisconn", "tasks/seal", "enqueue/..."}},
	{"cmd", []string{"cmd/...", "tasks/...", "clerk/...", "worker/...", "enqueue/..."}},
}

func TestImportArrows(t *testing.T) {
	for path, p := range packages(t) {
		if p.Name == "main" {
			continue
		}
		i := slices.IndexFunc(arrows, func(a arrow) bool { return within(path, a.pkg) })
		if i < 0 {
			t.Errorf("%s has no place in the arrows", path)
			continue
		}
		for _, imported := range p.Imports {
			imported, isOurs := strings.CutPrefix(imported, ours+"/")
			if !isOurs {
				continue
			}
			if !slices.ContainsFunc(arrows[i].imports, func(allowed string) bool {
				below, tree := strings.CutSuffix(allowed, "/...")
				return imported == below || tree && within(imported, below)
			}) {
				t.Errorf("%s imports %s; it may import %q", path, imported, arrows[i].imports)
			}
		}
	}
}

// TestShippedCodeDoesNotSimulate keeps the simulated Clerk, and the embedded
// Redis of demo and tests, out of the packages that deliver.
func TestShippedCodeDoesNotSimulate(t *testing.T) {
	for path, p := range packages(t) {
		if p.Name == "main" || within(path, "cmd") || within(path, "clerk/clerksim") || within(path, testKit) {
			continue
		}
		for _, below := range p.Deps {
			if below == ours+"/clerk/clerksim" || strings.HasPrefix(below, "github.com/alicebob/miniredis") {
				t.Errorf("%s pulls in %s", path, below)
			}
		}
	}
}

// TestNoTestFrameworkInPrograms keeps the test kit, and what it brings along, where
// tests are.
func TestNoTestFrameworkInPrograms(t *testing.T) {
	forTests := []string{testKit, "tasks/ledger/redistest", "enqueue/outbox/postgrestest", "clerk/clerksim/javascript", "cmd/bench", "cmd/mutants"}
	for path, p := range packages(t) {
		if slices.ContainsFunc(forTests, func(allowed string) bool { return within(path, allowed) }) {
			continue
		}
		for _, below := range p.Deps {
			if within(below, "testing") || within(below, ours+"/"+testKit) || within(below, "github.com/stretchr/testify") {
				t.Errorf("%s pulls in %s", path, below)
			}
		}
	}
}

// TestProducersPullInLittle checks the whole tree below enqueue: it is built
// into other people's services.
func TestProducersPullInLittle(t *testing.T) {
	all := packages(t)
	for _, path := range []string{"enqueue", "enqueue/outbox"} {
		p, ok := all[path]
		if !ok {
			t.Fatalf("no package %s among %q", path, slices.Sorted(maps.Keys(all)))
		}
		pullsInLittle(t, path, p)
	}
}

func pullsInLittle(t *testing.T, path string, p goPackage) {
	t.Helper()
	foreign := []string{
		"github.com/alecthomas/kong",
		"github.com/alicebob/miniredis",
		"github.com/chromedp",
		"github.com/clerk",
		"github.com/getkin/kin-openapi",
		"github.com/hibiken/asynqmon",
		"github.com/jackc",
		"github.com/prometheus",
		"github.com/rs/zerolog",
		"github.com/schollz/progressbar",
		"github.com/sony/gobreaker",
		"github.com/xuri",
		"go.opentelemetry.io/otel/sdk",
		"testing",
	}
	for _, below := range p.Deps {
		if local, isOurs := strings.CutPrefix(below, ours+"/"); isOurs {
			if !within(local, "tasks") && !within(local, "enqueue") {
				t.Errorf("%s pulls in %s", path, local)
			}
		}
		for _, module := range foreign {
			if within(below, module) {
				t.Errorf("%s pulls in %s", path, below)
			}
		}
	}
}

// TestLogging keeps the rule that libraries return errors and programs log.
func TestLogging(t *testing.T) {
	for path, p := range packages(t) {
		mayLog := p.Name == "main" || within(path, "cmd") || within(path, "worker")
		if !mayLog && slices.Contains(p.Imports, "github.com/rs/zerolog") {
			t.Errorf("%s logs", path)
		}
		// The package log stays allowed: net/http wants its Logger, if only to
		// be silenced. That nobody prints with it is a linter's business.
		if slices.Contains(p.Imports, "log/slog") {
			t.Errorf("%s logs past zerolog", path)
		}
	}
}

// TestTopLevel keeps the shape of the repository: new things go inside.
func TestTopLevel(t *testing.T) {
	const top = "../.."
	allowed := []string{
		"cmd", "worker", "tasks", "clerk", "enqueue", "deployments",
		"go.mod", "go.sum", "docker-compose.yml", "Makefile", "README.md", "LICENSE", "CHANGELOG.md",
	}
	for _, name := range topLevel(t, top) {
		if !strings.HasPrefix(name, ".") && !slices.Contains(allowed, name) {
			t.Errorf("%s lies at the top level; it belongs in one of %q", name, allowed[:6])
		}
	}
}

// topLevel lists what is committed at the top, or what lies there where there is
// no git (a source archive).
func topLevel(t *testing.T, top string) []string {
	t.Helper()
	names := map[string]bool{}
	tracked, err := exec.CommandContext(t.Context(), "git", "-C", top, "ls-files", "-z").Output()
	if err == nil && len(tracked) > 0 {
		for path := range strings.SplitSeq(strings.TrimRight(string(tracked), "\x00"), "\x00") {
			first, _, _ := strings.Cut(filepath.ToSlash(path), "/")
			names[first] = true
		}
		return slices.Sorted(maps.Keys(names))
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "bin" { // build output
			names[entry.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
