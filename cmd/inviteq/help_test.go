package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files and the generated parts of pages")

// model is the command line as kong knows it.
func model(t testing.TB) *kong.Application {
	t.Helper()
	p := newProgram(nil, strings.NewReader(""), os.Stdout, os.Stderr)
	k, err := p.parser(os.Stdout, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return k.Model
}

func TestHelp(t *testing.T) {
	w := &world{t: t}
	golden(t, "inviteq", w.ok("--help"))
	for _, command := range model(t).Children {
		help := w.ok(command.Name, "--help")
		golden(t, command.Name, help)
		if !strings.Contains(help, "\n    ") || !strings.Contains(help, "Example") || !strings.Contains(help, "inviteq "+command.Name) {
			t.Errorf("the help of %s has no example", command.Name)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "help", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run this test with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s --help (run this test with -update): %s", name, diff)
	}
}

// TestEveryFlagHasAVariable also keeps secrets off the command line.
func TestEveryFlagHasAVariable(t *testing.T) {
	for _, command := range model(t).Children {
		for _, f := range command.Flags {
			if f.Name == "help" {
				continue
			}
			if f.Tag.Get("variable") == "-" { // It has a meaning for one file only.
				continue
			}
			if v := variableOf(f); !strings.HasPrefix(v, "INVITEQ_") && !strings.HasPrefix(v, "REDIS_") && v != "CLERK_API_URL" {
				t.Errorf("%s --%s has the variable %q", command.Name, f.Name, v)
			}
			for _, word := range []string{"key", "secret", "password", "token", "redis"} {
				// What ends in -file is a path.
				if strings.Contains(f.Name, word) && !strings.HasSuffix(f.Name, "-file") {
					t.Errorf("%s --%s: a secret must not come by a flag", command.Name, f.Name)
				}
			}
		}
	}
}

// TestVariables runs a command with each kind of value from the environment,
// and with a flag that wins over it.
func TestVariables(t *testing.T) {
	w := newWorld(t, "INVITEQ_JSON=true", "INVITEQ_LIMIT=1", "INVITEQ_STATE=queued")
	w.ok("invite", "ada@example.com", "grace@example.com")
	if got := objects(t, w.ok("list")); len(got) != 1 {
		t.Errorf("got %d invites, want the one that INVITEQ_LIMIT allows", len(got))
	}
	if got := objects(t, w.ok("list", "--limit", "0")); len(got) != 2 {
		t.Errorf("got %d invites, want 2: a flag wins", len(got))
	}
	if got := objects(t, w.ok("list", "--state", "failed")); len(got) != 0 {
		t.Errorf("got %d failed invites, want none", len(got))
	}
}
