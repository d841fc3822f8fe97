package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRowsMakeOneTable takes rows on the way that they take in `make bench`.
func TestRowsMakeOneTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	t.Setenv(FileVariable, path)
	rows := []Row{
		Row{Part: "enqueue", What: "Invite", Ours: "9000/s", Ratio: "0.50×", Beside: []Reference{{"asynq", "18000/s"}}}.AtLeast(0.5, 0.45, "%.2f×"),
		Row{Part: "idle", What: "start", Ours: "300 ms"}.AtMost(300, 200, "%.0f ms"),
		{Part: "enqueue", What: "for information", Ours: "1"},
	}
	for _, r := range rows {
		if err := Add(r); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := Read(f)
	if diff := cmp.Diff(rows, got); err != nil || diff != "" {
		t.Fatalf("(-want +got):\n%s%v", diff, err)
	}
	var b strings.Builder
	missed, err := Print(&b, got)
	if err != nil || missed != 1 {
		t.Errorf("got %d missed, %v; want 1", missed, err)
	}
	want := `enqueue            inviteq  ratio  floor        asynq
  Invite           9000/s   0.50×  ≥ 0.45×  ok  18000/s
  for information  1

idle     inviteq  ratio  floor
  start  300 ms          ≤ 200 ms  MISSED
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNotANumberIsMissed holds that a figure which could not be worked out keeps
// no floor.
func TestNotANumberIsMissed(t *testing.T) {
	zero := 0.0
	if nan := zero / zero; !(Row{}).AtLeast(nan, 1, "%f").Missed || !(Row{}).AtMost(nan, 1, "%f").Missed {
		t.Error("not a number has kept a floor")
	}
}

func TestNothingIsWrittenUnasked(t *testing.T) {
	t.Setenv(FileVariable, "")
	if err := Add(Row{}); err != nil {
		t.Error(err)
	}
}
