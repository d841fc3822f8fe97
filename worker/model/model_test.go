// Package model checks the protocol of package worker with spin: protocol.pml in
// worlds of its own, and with bugs planted.
package model

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// worlds are played without a bug first. All of them must keep every promise.
var worlds = []struct{ name, words string }{
	{"plain", ""},
	{"ignore_existing", "ie"},
	{"ignore_existing, late", "ie late wish"},
	{"mark", "ie mark late"},
	{"mark, twin", "ie mark late others twin"},
	{"late arrival", "late deeds"},
	{"revoke", "late wish second calm"},
	{"revoke by id", "late wish byID second calm"},
	{"dashboard", "late others calm"},
	{"epoch", "epochs late calm"},
	{"epoch, deeds", "epochs late deeds calm"},
	{"epoch, revoke by id", "epochs wish byID calm"},
	{"epoch, ignore_existing", "epochs ie"},
	{"epoch, mark", "epochs ie mark"},
	{"two workers", "two late"},
	{"stalled worker", "two stall late deeds calm"},
	{"changed content", "echo late"},
}

// mutants are the bugs that can be planted, by the number that they have in
// protocol.pml. Those that name a world are planted in it each time; all of them in
// every world is the matrix.
var mutants = []struct {
	number int
	name   string
	world  string
	silent string // why no world catches it
}{
	{1, "an expired claim is queued again", "ignore_existing", ""},
	{2, "a turn settles without comparing the claim", "late arrival", ""},
	{3, "one reading that finds nothing is enough", "", ""},
	{4, "a call without an answer is queued again", "", ""},
	{5, "a refused duplicate is queued again", "", "it goes round in circles, which the model does not tell from waiting"},
	{6, "a refused duplicate is rejected unread", "", ""},
	{7, "whatever is for the address is ours", "", ""},
	{8, "the time of an invitation is not compared", "", ""},
	{9, "the content of an invitation is not compared", "", ""},
	{10, "a lost call is not written down", "", ""},
	{11, "a lost call is taken for past its bound at once", "", ""},
	{12, "nothing is watched", "", ""},
	{13, "who is in doubt is not looked for before the next call", "", ""},
	{14, "a revoke of one in doubt is canceled unread", "", ""},
	{15, "an invite in doubt does not hold its address", "", ""},
	{16, "a wish means invites that came after it", "", ""},
	{17, "a wish means invitations that are younger", "", ""},
	{18, "a wish is forgotten when a call ends", "ignore_existing, late", ""},
	{19, "an invite is rejected for one that is being revoked", "", ""},
	{20, "a mark is not read", "mark, twin", ""},
	{21, "with a mark nothing waits for the bound", "", ""},
	{22, "with ignore_existing a lost call is sent again", "ignore_existing, late", ""},
	{23, "an epoch is not noticed", "", ""},
	{24, "who comes after an epoch is taken for new", "", ""},
	{25, "after an epoch ignore_existing is guessed", "", "it is wrong only where somebody else says the same, and there nobody can tell"},
	{26, "with ignore_existing one look after an epoch is enough", "epoch, ignore_existing", ""},
	{27, "what a forgotten call makes late is not watched for", "epoch, deeds", ""},
	{28, "the watch takes what another invite under way has made", "revoke", ""},
	{29, "an invite is rejected for an invitation that has ended since", "revoke", ""},
	{30, "absence is believed from before the answer", "", ""},
}

// TestModel needs spin and a C compiler: `make model`.
func TestModel(t *testing.T) {
	if os.Getenv("INVITEQ_MODEL") == "" {
		t.Skip("takes a minute, and needs spin and cc: make model")
	}
	dir := t.TempDir()
	pan := build(t, dir, "-O0")
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "world\tmutant\texpected\tgot\tstates\tseconds")
	row := func(world string, number int, mutant, want string) {
		began := time.Now()
		got, states := play(t, dir, pan, wordsOf(t, world), number)
		if got != want {
			t.Errorf("%s, %s: %s, want %s", world, mutant, got, want)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\n", world, mutant, want, got, states, time.Since(began).Seconds())
	}
	for _, one := range worlds {
		row(one.name, 0, "-", "holds")
	}
	for _, m := range mutants {
		if m.world != "" {
			row(m.world, m.number, m.name, "broken")
		}
	}
	_ = w.Flush()
	t.Logf("\n%s", table.String())
}

var update = flag.Bool("update", false, "write the matrix anew")

// TestMatrix plants every bug in every world, and compares the verdicts with those of
// testdata/matrix.txt: `make model MATRIX=1`.
func TestMatrix(t *testing.T) {
	if os.Getenv("INVITEQ_MODEL") != "matrix" {
		t.Skip("takes ten minutes, and needs spin and cc: make model MATRIX=1")
	}
	pan := build(t, t.TempDir(), "-O2")
	verdicts := make([][]string, len(mutants))
	var playing sync.WaitGroup
	places := make(chan struct{}, runtime.NumCPU())
	for n, m := range mutants {
		verdicts[n] = make([]string, len(worlds))
		for k, one := range worlds {
			dir := t.TempDir() // for its trail
			places <- struct{}{}
			playing.Go(func() {
				verdicts[n][k], _ = play(t, dir, pan, one.words, m.number)
				<-places
			})
		}
	}
	playing.Wait()
	var matrix bytes.Buffer
	w := tabwriter.NewWriter(&matrix, 0, 0, 2, ' ', 0)
	for _, one := range worlds {
		fmt.Fprintf(w, "%s\t", one.name)
	}
	fmt.Fprintln(w, "bug")
	for n, m := range mutants {
		for _, got := range verdicts[n] {
			fmt.Fprintf(w, "%s\t", got)
		}
		fmt.Fprintln(w, m.name)
		if caught := slices.Contains(verdicts[n], "broken"); caught == (m.silent != "") {
			t.Errorf("%s: caught %t; it was thought that %s", m.name, caught, cmp.Or(m.silent, "a world catches it"))
		}
	}
	_ = w.Flush()
	const file = "testdata/matrix.txt"
	if *update {
		if err := os.WriteFile(file, matrix.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := matrix.String(); got != string(want) {
		t.Errorf("%s says\n%s\nand the verifier\n%s", file, want, got)
	}
}

func wordsOf(t *testing.T, world string) string {
	t.Helper()
	for _, one := range worlds {
		if one.name == world {
			return one.words
		}
	}
	t.Fatalf("there is no world %s", world)
	return ""
}

// build makes the verifier. To optimise it takes half a minute, which pays for the
// matrix only.
func build(t *testing.T, dir, optimise string) string {
	t.Helper()
	source, err := filepath.Abs("protocol.pml")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"spin", "-a", source},
		{"cc", optimise, "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2500", "-DVECTORSZ=2048", "-o", "pan", "pan.c"},
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

// play runs the verifier to its end in a folder of its own, and returns its verdict.
func play(t *testing.T, dir, pan, words string, mutant int) (verdict, states string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), pan, "-m200000")
	c.Dir = dir
	c.Env = append(os.Environ(), "WORLD="+words, fmt.Sprintf("MUTANT=%d", mutant))
	out, _ := c.CombinedOutput() // It says how it ended.
	found, stored := errorsFound.FindSubmatch(out), statesStored.FindSubmatch(out)
	if found == nil || stored == nil {
		t.Errorf("the verifier says\n%s", out)
		return "nothing", ""
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
