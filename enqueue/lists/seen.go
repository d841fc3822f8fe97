package lists

import (
	"hash/maphash"

	"github.com/inviteq/inviteq/tasks"
)

// seen remembers the rows of a list, to find addresses and ids that come twice: some
// 25 bytes a row, and 16 more if it has an id.
type seen struct {
	seed      maphash.Seed
	addresses index
	ids       index

	inArray  bool     // A row's place is its line and its ordinal.
	lines    []uint32 // by ordinal - 1
	contents []uint32
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

// contentHash covers all that a row asks for but the spelling of the address.
func contentHash(seed maphash.Seed, row Row) uint32 {
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
	return uint32(h.Sum64())
}

// index leads from hashes to the ordinals of rows. With a million rows there is a
// chance of one in thirty million that two addresses are taken for one; the list's
// owner is told which row was left out.
type index struct {
	slots  []uint32 // ordinals, each at the first free slot from its hash on; 0 is free
	hashes []uint64 // by ordinal - 1
	used   int
}

// find returns the ordinal that was put under a hash; 0 if none was.
func (x *index) find(hash uint64) int {
	if len(x.slots) == 0 {
		return 0
	}
	return int(x.slots[x.slot(hash)])
}

// put notes an ordinal under a hash, unless there is one.
func (x *index) put(hash uint64, ordinal int) {
	if 4*x.used >= 3*len(x.slots) {
		old := x.slots
		x.slots = make([]uint32, max(1024, 2*len(old)))
		for _, v := range old {
			if v != 0 {
				x.slots[x.slot(x.hashes[v-1])] = v
			}
		}
	}
	at := x.slot(hash)
	if x.slots[at] != 0 {
		return
	}
	for len(x.hashes) < ordinal {
		x.hashes = append(x.hashes, 0)
	}
	x.slots[at], x.hashes[ordinal-1] = uint32(ordinal), hash
	x.used++
}

func (x *index) slot(hash uint64) int {
	mask := len(x.slots) - 1
	at := int(hash) & mask
	for x.slots[at] != 0 && x.hashes[x.slots[at]-1] != hash {
		at = (at + 1) & mask
	}
	return at
}
