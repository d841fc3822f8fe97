package clerksim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRows adds invitations with many ties, out of order at times, changes
// their statuses, and compares order, counts and pages with plain loops.
func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var rows rows
	var all []*invitation
	created := int64(0)
	for i := range 3000 {
		switch r.IntN(40) {
		case 0:
			created += int64(r.IntN(5))
		case 1:
			created -= int64(r.IntN(3)) // a clock that was set back
		}
		inv := &invitation{id: fmt.Sprintf("%08x", r.Uint32()), created: created}
		rows.add(inv)
		all = append(all, inv)
		rows.change(all[r.IntN(len(all))], uint8(r.IntN(len(statuses))), int64(i), int64(i))
	}
	slices.SortFunc(all, func(a, b *invitation) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	if !slices.Equal(rows.list, all) {
		t.Fatal("the rows are not in order")
	}
	for i, inv := range rows.list {
		if inv.pos != i {
			t.Fatalf("row %d says that it is at %d", i, inv.pos)
		}
	}
	for want := range statusSet(1 << len(statuses)) {
		var matching []*invitation
		for _, inv := range all {
			if want.has(inv.status) {
				matching = append(matching, inv)
			}
		}
		if got := rows.matching(want); got != len(matching) {
			t.Errorf("%04b: %d match, want %d", want, got, len(matching))
		}
		for _, newest := range []bool{false, true} {
			for _, offset := range []int{0, 1, 511, 512, 513, 1024, len(matching) - 1, len(matching), len(matching) + 1} {
				rest := slices.Clone(matching)
				if newest {
					slices.Reverse(rest)
				}
				rest = rest[min(max(0, offset), len(rest)):]
				if got := slices.Collect(rows.page(want, newest, max(0, offset))); !slices.Equal(got, rest) {
					t.Errorf("%04b, newest %v, offset %d: got %d rows, want %d", want, newest, offset, len(got), len(rest))
				}
			}
		}
	}
}
