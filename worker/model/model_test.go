// Package model checks the protocol of package worker with spin: protocol.pml in
// worlds of its own, and with bugs planted.
package model

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"text/tabwriter"
	"time"
)

// worlds are played without a bug first. All of them must keep every promise.
var worlds = []struct{ name, words string }{
	{"plain", ""},
	{"ignore_existing", "ie"},
	{"mark", "ie mark late"},
	{"late arrival", "late deeds"},
	{"revoke", "late wish second calm"},
	{"revoke by id", "late wish byID second calm"},
	{"dashboard", "late others calm"},
	{"epoch", "epochs late calm"},
	{"epoch, revoke by id", "epochs wish byID calm"},
	{"epoch, ignore_existing", "epochs ie late"},
	{"epoch, mark", "epochs ie mark late"},
	{"two workers", "two late"},
	{"stalled worker", "two stall late deeds calm"},
	{"changed content", "echo late"},
}

// mutants are the bugs, by the number that they have in protocol.pml, each in a
// world in which it must be caught. Those of today are not planted: the code is
// still as they say, and the model keeps its promises only without them.
var mutants = []struct {
	number int
	name   string
	words  string
	today  bool
}{
	{1, "an expired claim is queued again", "ie", false},
	{2, "a turn settles without comparing the claim", "late deeds", false},
	{28, "the watch takes what another invite under way has made", "late wish second calm", false},
	{29, "an invite is rejected for an invitation that has ended since", "wish second calm", true},
	{26, "with ignore_existing one look after an epoch is enough", "epochs ie late", true},
	{27, "what a forgotten call makes late is not watched for", "epochs late deeds calm", true},
}

// TestModel needs spin and a C compiler: `make model`.
func TestModel(t *testing.T) {
	if os.Getenv("INVITEQ_MODEL") == "" {
		t.Skip("takes a minute, and needs spin and cc: make model")
	}
	dir := t.TempDir()
	pan := build(t, dir)
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "world\tmutant\texpected\tgot\tstates\tseconds")
	row := func(name, words string, number int, mutant, want string) {
		began := time.Now()
		got, states := play(t, dir, pan, words, number)
		if got != want {
			t.Errorf("%s, %s: %s, want %s", name, mutant, got, want)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\n", name, mutant, want, got, states, time.Since(began).Seconds())
	}
	for _, one := range worlds {
		row(one.name, one.words, 0, "-", "holds")
	}
	for _, m := range mutants {
		name := m.name
		if m.today {
			name += " (as the code is today)"
		}
		row(m.words, m.words, m.number, name, "broken")
	}
	_ = w.Flush()
	t.Logf("\n%s", table.String())
}

// build makes the verifier. To optimise it would take a minute, and save seconds.
func build(t *testing.T, dir string) string {
	t.Helper()
	source, err := filepath.Abs("protocol.pml")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"spin", "-a", source},
		{"cc", "-O0", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2500", "-DVECTORSZ=2048", "-o", "pan", "pan.c"},
	} {
		c := exec.CommandContext(t.Context(), args[0], args[1:]...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return filepath.Join(dir, "pan")
}

var (
	errorsFound  = regexp.MustCompile(`errors: (\d+)`)
	statesStored = regexp.MustCompile(`(\d+) states, stored`)
	incomplete   = regexp.MustCompile(`MEMLIM|max search depth too small|Search not completed`)
)

// play runs the verifier to its end, and returns its verdict.
func play(t *testing.T, dir, pan, words string, mutant int) (verdict, states string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), pan, "-m200000")
	c.Dir = dir
	c.Env = append(os.Environ(), "WORLD="+words, fmt.Sprintf("MUTANT=%d", mutant))
	out, _ := c.CombinedOutput() // It says how it ended.
	found, stored := errorsFound.FindSubmatch(out), statesStored.FindSubmatch(out)
	if found == nil || stored == nil {
		t.Fatalf("the verifier says\n%s", out)
	}
	switch {
	case string(found[1]) != "0":
		return "broken", string(stored[1])
	case incomplete.Match(out):
		return "unfinished", string(stored[1])
	default:
		return "holds", string(stored[1])
	}
}
