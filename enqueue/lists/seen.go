package lists

import (
	"hash/maphash"
	"math"
	"math/bits"

	"github.com/inviteq/inviteq/tasks"
)

// seen remembers the rows of a list, to find addresses and ids that come twice: some
// 17 bytes a row, and 11 more if it has an id.
type seen struct {
	seed      maphash.Seed
	addresses *index
	ids       *index

	inArray  bool     // A row's place is its line and its ordinal.
	lines    []uint32 // by ordinal - 1
	contents []uint16 // the same
}

// newSeen has room for so many rows.
func newSeen(most int) *seen {
	return &seen{
		seed: maphash.MakeSeed(), addresses: newIndex(most),
		lines: make([]uint32, 0, most), contents: make([]uint16, 0, most),
	}
}

// judge returns the verdict on the row with this ordinal, counted from 1: nil, a
// *DuplicateError, or a *RowError if another person has its id. It may be asked
// again, and then says the same.
func (s *seen) judge(row Row, ordinal int) error {
	s.inArray = row.Item > 0
	if ordinal > len(s.lines) {
		s.lines, s.contents = append(s.lines, uint32(row.Place.Row)), append(s.contents, contentHash(s.seed, row))
	}
	address := maphash.String(s.seed, row.Invite.EmailAddress.Key())
	if first := s.addresses.find(address); first != 0 && first != ordinal {
		return &DuplicateError{Place: row.Place, First: s.place(first), Same: s.contents[first-1] == s.contents[ordinal-1]}
	}
	if name := row.name + row.Invite.ID; name != "" {
		if s.ids == nil {
			s.ids = newIndex(cap(s.lines))
		}
		id := maphash.String(s.seed, name)
		if first := s.ids.find(id); first != 0 && first != ordinal {
			return &RowError{Place: row.Place, Problems: []tasks.Problem{{Field: "id", Reason: "is that of " + s.place(first).String() +
				", too, which is for somebody else; if the column does not name people, leave it out with column ignore=id"}}}
		}
		s.ids.put(id, ordinal)
	}
	s.addresses.put(address, ordinal)
	return nil
}

// skip counts a row that is bad.
func (s *seen) skip(ordinal int) {
	if ordinal > len(s.lines) {
		s.lines, s.contents = append(s.lines, 0), append(s.contents, 0)
	}
}

func (s *seen) place(ordinal int) Place {
	p := Place{Row: int(s.lines[ordinal-1])}
	if s.inArray {
		p.Item = ordinal
	}
	return p
}

// contentHash covers all that a row asks for but the spelling of the address. It only
// decides how a duplicate is told.
func contentHash(seed maphash.Seed, row Row) uint16 {
	var h maphash.Hash
	h.SetSeed(seed)
	i := row.Invite
	_, _ = h.Write(i.PublicMetadata)
	maphash.WriteComparable(&h, struct {
		redirect, template, id, name string
		noNotify, ignore             bool
		days                         int
		lane                         tasks.Lane
		notBefore, deadline          int64
	}{
		i.RedirectURL, i.TemplateSlug, i.ID, row.name, i.NoNotify, i.IgnoreExisting, i.ExpiresInDays,
		i.Lane, i.NotBefore.UnixNano(), i.Deadline.UnixNano(),
	})
	return uint16(h.Sum64())
}

// index leads from hashes to the ordinals of rows. A slot holds an ordinal, and of the
// hash what remains: with a million rows 44 bits, beside those that lead to the slot.
// So there is a chance of one in some millions that two addresses are taken for one;
// the list's owner is told which row was left out. It has a fixed size, since in
// growing it would need twice the memory.
type index struct {
	slots []uint64
	shift int // so many bits are the ordinal's
}

func newIndex(most int) *index {
	return &index{slots: make([]uint64, most+most/3+2), shift: bits.Len(uint(most))}
}

// find returns the ordinal that was put under a hash; 0 if none was.
func (x *index) find(hash uint64) int {
	return int(x.slots[x.slot(hash)] & (1<<x.shift - 1))
}

// put notes an ordinal under a hash, unless there is one.
func (x *index) put(hash uint64, ordinal int) {
	if at := x.slot(hash); x.slots[at] == 0 {
		x.slots[at] = hash>>x.shift<<x.shift | uint64(ordinal)
	}
}

// slot is where a hash is, or would be: the lower half leads to the first place.
func (x *index) slot(hash uint64) int {
	at := int(hash & math.MaxUint32 * uint64(len(x.slots)) >> 32)
	for x.slots[at] != 0 && x.slots[at]>>x.shift != hash>>x.shift {
		if at++; at == len(x.slots) {
			at = 0
		}
	}
	return at
}
