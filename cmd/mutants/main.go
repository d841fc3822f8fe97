// Mutants plants deliberate bugs, one at a time, in a copy of this module, and
// runs the tests that must catch them. It shows that the simulation's oracle, and
// the tests beside it, can fail.
//
//	go run ./cmd/mutants [-seeds 40] [-only regexp]
//
// A mutant whose place in the code has gone is an error, not a pass.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	seeds := flag.Int("seeds", 60, "simulated worlds that a mutant may survive at most; six times as many if it needs one of a kind")
	only := flag.String("only", "", "only the mutants whose name this regular expression matches")
	flag.Parse()
	which, err := regexp.Compile(*only)
	if err == nil {
		err = run(ctx, *seeds, which)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, seeds int, only *regexp.Regexp) error {
	dir, err := os.MkdirTemp("", "inviteq-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyModule(ctx, dir); err != nil {
		return err
	}
	var survived []error
	fmt.Printf("%-72s  %-10s %s\n", "deliberate bug", "caught", "by")
	for _, m := range mutants {
		if !only.MatchString(m.name) {
			continue
		}
		start := time.Now()
		by, err := try(ctx, dir, m, seeds)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			survived = append(survived, fmt.Errorf("%s: %w", m.name, err))
			by = err.Error()
		}
		fmt.Printf("%-72s  %-10t %s (%s)\n", m.name, err == nil, by, time.Since(start).Round(time.Second))
	}
	return errors.Join(survived...)
}

// copyModule copies what the tests need, without history and caches.
func copyModule(ctx context.Context, to string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	from := strings.TrimSpace(string(out))
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && slices.Contains([]string{".git", ".cache", "bin"}, rel):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}

// try plants one bug, runs its tests, and takes it out again.
func try(ctx context.Context, dir string, m mutant, seeds int) (by string, err error) {
	path := filepath.Join(dir, m.file)
	sound, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(sound), m.old); n != 1 {
		return "", fmt.Errorf("its place stands %d times in %s: bring the mutant up to date", n, m.file)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(sound), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, sound, 0o600)) }()

	binary := filepath.Join(dir, "mutant.test")
	pkg := cmp.Or(m.dir, "./worker")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-o", binary, pkg)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	if m.test != "" {
		out, failed := test(ctx, filepath.Join(dir, pkg), binary, m.test)
		if !failed || !strings.Contains(out, "--- FAIL: "+m.test) {
			return "", errors.New("it survived " + m.test + tail(out, failed))
		}
		return m.test, nil
	}
	if m.kind != "" { // most worlds are of another kind, and cost nothing
		seeds *= 6
	}
	for from, n := 0, 5; from < seeds; from, n = from+n, 2*n {
		out, failed := test(ctx, filepath.Join(dir, pkg), binary, "TestSimulation$",
			"INVITEQ_SIM_FROM="+strconv.Itoa(from), "INVITEQ_SIM_SEEDS="+strconv.Itoa(n), "INVITEQ_SIM_KIND="+m.kind+",-long")
		if !failed {
			continue
		}
		caught := failedSeeds(out)
		if len(caught) == 0 {
			return "", errors.New("the simulation broke" + tail(out, failed))
		}
		return fmt.Sprintf("simulation, %d of %d seeds, first %d", len(caught), from+n, slices.Min(caught)), nil
	}
	return "", fmt.Errorf("it survived the simulated worlds up to seed %d", seeds)
}

func test(ctx context.Context, dir, binary, name string, env ...string) (out string, failed bool) {
	c := exec.CommandContext(ctx, binary, "-test.run", "^"+name, "-test.timeout", "15m")
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	b, err := c.CombinedOutput()
	return string(b), err != nil
}

var failure = regexp.MustCompile(`--- FAIL: TestSimulation/(\d+)`)

func failedSeeds(out string) (seeds []int) {
	for _, m := range failure.FindAllStringSubmatch(out, -1) {
		if n, err := strconv.Atoi(m[1]); err == nil {
			seeds = append(seeds, n)
		}
	}
	return seeds
}

// tail is the end of a test's output, if there is something to explain.
func tail(out string, failed bool) string {
	if !failed {
		return ""
	}
	return ":\n" + out[max(0, len(out)-2000):]
}
