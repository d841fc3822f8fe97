package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
)

// TestLines: whatever is left out of a list, admitted beside it, again, or without a
// line, each row is found on the line on which it was admitted.
func TestLines(t *testing.T) {
	l := open(t, Config{})
	dice := rand.New(rand.NewPCG(1, 2))
	want, ids, line := map[string]int{}, []string(nil), 1
	var last []tasks.Invite
	for call := range 60 {
		var chunk []tasks.Invite
		if dice.IntN(4) == 0 {
			chunk = slices.Clone(last[:len(last)/2]) // They are known.
		}
		bare := call%7 == 3
		for n := range 1 + dice.IntN(9) {
			i := invite(t, fmt.Sprintf("p%d.%d@example.com", call, n))
			i.ID, i.ImportID, i.Lane = fmt.Sprintf("row-%d-%d", call, n), "spring", tasks.Import
			if line++; dice.IntN(5) == 0 {
				line += dice.IntN(4) // Also a step back in the position: two on one line.
			}
			if !bare {
				i.Row = line
			}
			want[i.ID], ids = i.Row, append(ids, i.ID)
			chunk = append(chunk, i)
		}
		if _, _, err := l.Admit(t.Context(), start, chunk); err != nil {
			t.Fatal(err)
		}
		last = chunk
		if dice.IntN(3) == 0 {
			admit(t, l, start, invite(t, fmt.Sprintf("click%d@example.com", call)))
		}
	}
	records, err := l.Get(t.Context(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		from := dice.IntN(len(records))
		some := slices.Clone(records[from:min(len(records), from+1+dice.IntN(50))])
		dice.Shuffle(len(some), func(a, b int) { some[a], some[b] = some[b], some[a] })
		lines, err := l.Lines(t.Context(), "spring", some)
		if err != nil {
			t.Fatal(err)
		}
		for n, r := range some {
			if lines[n] != want[r.Invite.ID] {
				t.Fatalf("%s is on line %d, not %d", r.Invite.ID, lines[n], want[r.Invite.ID])
			}
		}
	}
	if lines, err := l.Lines(t.Context(), "autumn", records[:1]); err != nil || lines[0] != 0 {
		t.Errorf("got %v, %v", lines, err)
	}
}

// TestLinesOfAListCostNothing: a list without gaps has one run, however long it is.
func TestLinesOfAListCostNothing(t *testing.T) {
	l := open(t, Config{})
	for from := 0; from < 500; from += tasks.ChunkSize {
		var chunk []tasks.Invite
		for n := range tasks.ChunkSize {
			i := invite(t, fmt.Sprintf("p%d@example.com", from+n))
			i.ImportID, i.Lane, i.Row = "spring", tasks.Import, from+n+2
			chunk = append(chunk, i)
		}
		admit(t, l, start, chunk...)
	}
	runs, err := l.rdb.ZRange(t.Context(), l.keys.of("rows")+"spring", 0, -1).Result()
	if diff := cmp.Diff([]string{"1 0:2"}, runs); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}
