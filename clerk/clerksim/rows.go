package clerksim

import "iter"

// blockSize is how many rows share one count per status.
const blockSize = 512

// rows are all invitations in the order (created_at, id), with counts per
// status for the whole and for every block of rows, so that a page deep inside
// hundreds of thousands of rows is found without visiting them all.
type rows struct {
	list   []*invitation
	blocks [][len(statuses)]int32
	total  [len(statuses)]int
}

// add puts inv in its place, which is the end or, among those made in the same
// millisecond, just before it.
func (r *rows) add(inv *invitation) {
	inv.pos = len(r.list)
	r.list = append(r.list, inv)
	if inv.pos%blockSize == 0 {
		r.blocks = append(r.blocks, [len(statuses)]int32{})
	}
	r.count(inv, +1)
	for i := inv.pos; i > 0 && before(inv, r.list[i-1]); i-- {
		r.swap(i-1, i)
	}
}

func before(a, b *invitation) bool {
	if a.created != b.created {
		return a.created < b.created
	}
	return a.id < b.id
}

func (r *rows) swap(i, j int) {
	a, b := r.list[i], r.list[j]
	r.count(a, -1)
	r.count(b, -1)
	a.pos, b.pos = j, i
	r.list[i], r.list[j] = b, a
	r.count(a, +1)
	r.count(b, +1)
}

func (r *rows) count(inv *invitation, n int) {
	r.total[inv.status] += n
	r.blocks[inv.pos/blockSize][inv.status] += int32(n)
}

// change gives inv another status at a moment of Clerk's clock, which is changed
// by this machine's (Unix milliseconds both).
func (r *rows) change(inv *invitation, status uint8, updated, changed int64) {
	r.count(inv, -1)
	inv.statusBefore, inv.updatedBefore = inv.status, inv.updated
	inv.status, inv.updated, inv.changed = status, updated, changed
	r.count(inv, +1)
}

// matching is how many rows have one of the statuses.
func (r *rows) matching(want statusSet) int {
	n := 0
	for status, count := range r.total {
		if want.has(uint8(status)) {
			n += count
		}
	}
	return n
}

// page yields the rows with one of the statuses after skipping offset of them,
// oldest first or, with newest, newest first.
func (r *rows) page(want statusSet, newest bool, offset int) iter.Seq[*invitation] {
	return func(yield func(*invitation) bool) {
		for i := range r.blocks {
			if newest {
				i = len(r.blocks) - 1 - i
			}
			n := 0
			for status, count := range r.blocks[i] {
				if want.has(uint8(status)) {
					n += int(count)
				}
			}
			if n <= offset {
				offset -= n
				continue
			}
			block := r.list[i*blockSize : min((i+1)*blockSize, len(r.list))]
			for j := range block {
				if newest {
					j = len(block) - 1 - j
				}
				switch inv := block[j]; {
				case !want.has(inv.status):
				case offset > 0:
					offset--
				case !yield(inv):
					return
				}
			}
		}
	}
}
