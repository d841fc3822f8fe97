package show

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %q, want %q", n, got, want)
		}
	}
	if got := Count(1, "row") + ", " + Count(0, "row") + ", " + Count(1200, "row"); got != "1 row, 0 rows, 1,200 rows" {
		t.Errorf("got %q", got)
	}
}

func TestTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", time.Millisecond: "under 1s", 42 * time.Second: "42s", 12*time.Minute + 4*time.Second: "12m 4s",
		59*time.Minute + 59*time.Second + 800*time.Millisecond: "1h 0m", 139 * time.Minute: "2h 19m", 76 * time.Hour: "3d 4h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%s) = %q, want %q", d, got, want)
		}
	}
	now := time.Now()
	got := strings.Join([]string{In(now, now.Add(-time.Minute)), In(now, now.Add(90*time.Second)), Ago(now, now.Add(-90*time.Second)), Ago(now, now), Ago(now, time.Time{})}, ", ")
	if got != "now, in 1m 30s, 1m 30s ago, just now, never" {
		t.Errorf("got %q", got)
	}
}

// TestOutcomes: no cell of the file is a formula, and a full disk is told.
func TestOutcomes(t *testing.T) {
	var to strings.Builder
	out := NewOutcomes(&to)
	for i, cell := range []string{"=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=1", "1", ""} {
		if err := out.Write(Outcome{Row: i + 1, Address: cell, Outcome: "queued", UpdatedAt: time.UnixMilli(int64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `row,email_address,outcome,reason,id,invitation_id,updated_at
1,'=1,queued,,,,1970-01-01T00:00:00.000Z
2,'+1,queued,,,,1970-01-01T00:00:00.001Z
3,'-1,queued,,,,1970-01-01T00:00:00.002Z
4,'@SUM(A1),queued,,,,1970-01-01T00:00:00.003Z
5,'	=1,queued,,,,1970-01-01T00:00:00.004Z
6,"'` + "\r" + `=1",queued,,,,1970-01-01T00:00:00.005Z
7,a=1,queued,,,,1970-01-01T00:00:00.006Z
8,1,queued,,,,1970-01-01T00:00:00.007Z
9,,queued,,,,1970-01-01T00:00:00.008Z
`
	if to.String() != want {
		t.Errorf("got\n%q, want\n%q", to.String(), want)
	}
	full := NewOutcomes(fullDisk{})
	for range 1000 {
		_ = full.Write(Outcome{Address: "ada@example.com"}) // Flush tells
	}
	if err := full.Flush(); err == nil {
		t.Error("a full disk is not told")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }
