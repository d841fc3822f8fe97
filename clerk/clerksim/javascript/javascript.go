// Package javascript fetches what tests need from npm, and runs scripts that use Clerk's
// official JavaScript SDK, @clerk/backend.
package javascript

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Version is the version of @clerk/backend that is used.
const Version = "3.25.0"

// Run runs an ES module under node, with @clerk/backend at hand and with more
// variables in its environment, and returns what it printed. Without node, npm or
// a registry the test is skipped, unless INVITEQ_TEST_JS=1 demands it.
func Run(t *testing.T, script string, environment ...string) []byte {
	t.Helper()
	dir := Install(t, "@clerk/backend", Version)
	node := exec.CommandContext(t.Context(), "node", "--input-type=module", "-")
	node.Dir, node.Stdin = dir, strings.NewReader(script)
	node.Env = append(append(os.Environ(), "CLERK_TELEMETRY_DISABLED=1"), environment...)
	var errs bytes.Buffer
	node.Stderr = &errs
	out, err := node.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, errs.String())
	}
	return out
}

// Install returns a folder in which a package of npm is installed, under node_modules. It
// stays in the checkout's .cache, which git ignores. Without node, npm or a registry the
// test is skipped, unless INVITEQ_TEST_JS=1 demands it.
func Install(t *testing.T, name, version string) string {
	t.Helper()
	missing := func(why string) {
		t.Helper()
		if os.Getenv("INVITEQ_TEST_JS") == "1" {
			t.Fatal(why)
		}
		t.Skip(why + "; INVITEQ_TEST_JS=1 makes this a failure")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(name + " is not tried: " + tool + " is missing (install Node.js 20 or newer)")
		}
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, ".cache", strings.ReplaceAll(strings.TrimPrefix(name, "@"), "/", "-")+"-"+version)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", name, "package.json")); err == nil {
		return dir
	}
	fresh := fmt.Sprintf("%s.%d", dir, os.Getpid())
	if err := os.MkdirAll(fresh, 0o750); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	if err := os.WriteFile(filepath.Join(fresh, "package.json"), []byte(`{"private":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	//nolint:gosec // the tests of this module name what is installed
	npm := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save",
		"--fetch-retries=1", "--fetch-timeout=30000", name+"@"+version)
	npm.Dir = fresh
	if _, err := npm.CombinedOutput(); err != nil { // what it says names registries
		missing(name + " is not tried: npm cannot install version " + version + " (is a registry reachable?)")
	}
	if err := os.Rename(fresh, dir); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return dir
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
