package clerk

import (
	"context"
	"hash/maphash"
	"iter"
	"time"
)

// Lister reads pages of invitations. *Client is one.
type Lister interface {
	List(ctx context.Context, o ListOptions) (Page, error)
}

// Scan lists all invitations, in every status, although the list changes while it
// is read. Set Lister, range over All or Recent once, and ask Report. A Scan is
// used once, by one goroutine.
//
// Clerk pages by offset, so a row that vanishes shifts all later ones to the left,
// and plain paging steps over one; and rows that were created in the same
// millisecond (a bulk) may come in another order with every read. What holds is
// the sort key: created_at never changes. So the scan follows keys, not offsets.
// It keeps the key of the furthest row that it has read, reads the next page with
// some overlap, and takes it only if its first row is strictly before that key;
// otherwise it steps back until this is so. Then every row before the page's first
// has a key that was passed already, and every row of the page is seen, ties
// included, whatever moved: no row that exists throughout a pass can be missed,
// unless more rows share one millisecond than fit into a page, which is noticed
// and reported.
type Scan struct {
	Lister Lister

	// Statuses are those that it reads. Defaults to all.
	Statuses []Status
	// PageSize is how many rows one read asks for, 3 to MaxPage. Defaults to MaxPage.
	PageSize int
	// Overlap is how many rows of a page are read again with the next, less than
	// PageSize. A smaller one makes more steps back, not more mistakes. Defaults to
	// 20, two bulks, or half of PageSize if that is less.
	Overlap int
	// Before is called before every read, to wait for quota and breaker; its error
	// is treated like one of the read. Defaults to nothing.
	Before func(ctx context.Context) error

	report Report
}

// Report says what a scan has done so far. It may be asked for at any time, also
// between two rows, to show progress.
type Report struct {
	Passes int // passes that reached the end
	Reads  int // reads made, failed ones included
	Rows   int // different invitations in the last pass so far

	// TotalBefore and TotalAfter are Clerk's own count (total_count) at the first
	// and the last read of the last pass.
	TotalBefore, TotalAfter int64
	// StepBacks is how often a page did not connect to what was read before.
	StepBacks int
	// Agreed: the last two passes saw the same invitations (apart from newer ones),
	// and Clerk's count does not contradict. Only then does the absence of an
	// invitation mean something, and even then it deserves a second look.
	Agreed bool
	// Doubt is why Agreed is false, as a stable snake_case word: unfinished,
	// changed, count, ties, unsorted. "" if Agreed.
	Doubt string
}

// The doubts.
const (
	doubtUnfinished = "unfinished" // a read failed, or the caller left
	doubtChanged    = "changed"    // every pass saw another list
	doubtCount      = "count"      // Clerk counts other than it lists
	doubtTies       = "ties"       // more rows share one millisecond than fit into a page
	doubtUnsorted   = "unsorted"   // a page was not in the order that was asked for
)

const (
	defaultOverlap = 20
	maxPasses      = 4 // in the hope that two of them agree
	maxFailures    = 5 // reads that fail in a row, though the caller goes on
)

// Report returns what was done so far.
func (s *Scan) Report() Report { return s.report }

// All yields every invitation at least once, oldest first; one that has changed
// (status, updated_at, expires_at) by the time that a later pass reads it, or that
// appears only then, is yielded when it is read. It passes over the list until two
// passes agree, at most four times; see Report.
//
// A failed read is yielded as an error. A caller that breaks off has an unfinished
// scan; one that goes on has the same page read again. After five failures in a
// row, and when ctx has ended, the scan is over.
//
// It remembers 16 bytes of hash and 8 bytes of state an invitation, and never more
// than a page of invitations: 200,000 take about 10 MB, and 834 reads for two passes.
func (s *Scan) All(ctx context.Context) iter.Seq2[Invitation, error] {
	return func(yield func(Invitation, error) bool) {
		s.report = Report{Doubt: doubtUnfinished}
		if e := s.setDefaults(); e != nil {
			yield(Invitation{}, e)
			return
		}
		memory := newMemory()
		var last passResult
		for n := range maxPasses {
			memory.begin()
			s.report.Rows = 0
			w := &walk{scan: s, order: "+created_at", before: time.Time.Before, fail: func(err error) bool { return yield(Invitation{}, err) }}
			done := w.run(ctx, func(inv Invitation) bool {
				fresh := memory.note(inv)
				s.report.Rows = memory.rows
				return !fresh || yield(inv, nil)
			})
			if !done {
				s.report.Doubt = doubtUnfinished
				return
			}
			if n == 0 {
				// What is newer than the first pass cannot be in it.
				memory.cutoff = w.furthest
			}
			s.report.Passes++
			result := memory.result()
			s.report.Doubt = w.doubt
			switch {
			case w.doubt != "":
			case n == 0 || result != last:
				s.report.Doubt = doubtChanged
			case s.report.TotalBefore == s.report.TotalAfter && s.report.TotalAfter != int64(memory.rows):
				s.report.Doubt = doubtCount
			default:
				s.report.Agreed = true
				return
			}
			last = result
		}
	}
}

// Recent yields the invitations that were created at since or later, each once,
// newest first, in one pass that stops when it has reached older ones. A caller
// that knows its ground may also break off. It sees what is new; it does not see
// what has become of older ones. Errors are as in All. Report's Agreed is true
// when since was reached without a doubt.
func (s *Scan) Recent(ctx context.Context, since time.Time) iter.Seq2[Invitation, error] {
	return func(yield func(Invitation, error) bool) {
		s.report = Report{Doubt: doubtUnfinished}
		if e := s.setDefaults(); e != nil {
			yield(Invitation{}, e)
			return
		}
		memory := newMemory()
		memory.begin()
		w := &walk{scan: s, order: "-created_at", before: time.Time.After, until: since, fail: func(err error) bool { return yield(Invitation{}, err) }}
		done := w.run(ctx, func(inv Invitation) bool {
			if inv.CreatedAt.Before(since) {
				return true
			}
			fresh := memory.note(inv)
			s.report.Rows = memory.rows
			return !fresh || yield(inv, nil)
		})
		if done {
			s.report.Passes, s.report.Doubt, s.report.Agreed = 1, w.doubt, w.doubt == ""
		}
	}
}

func (s *Scan) setDefaults() *Error {
	if s.Statuses == nil {
		s.Statuses = AllStatuses()
	}
	if s.PageSize == 0 {
		s.PageSize = MaxPage
	}
	if s.Overlap == 0 {
		s.Overlap = min(defaultOverlap, s.PageSize/2)
	}
	switch {
	case s.Lister == nil, s.PageSize < 3, s.PageSize > MaxPage:
		return refuse(OpList, "limit")
	case s.Overlap < 1, s.Overlap >= s.PageSize:
		return refuse(OpList, "overlap")
	default:
		return nil
	}
}

type passResult struct {
	rows int
	sum  [2]uint64
}

// memory knows which invitations were seen, without holding them. 128 bits of
// hash leave no room for two ids to be taken for one, which would hide a row.
type memory struct {
	seeds  [2]maphash.Seed
	seen   map[[2]uint64]trace
	pass   uint32
	cutoff time.Time // rows that are newer do not count as known; zero: none is

	rows  int       // different invitations in this pass
	newer int       // those of them beyond the cutoff
	added [2]uint64 // sums of the hashes of the others: a fingerprint of the set
}

// trace is what is remembered of one invitation.
type trace struct {
	state uint32 // hash of what may change
	pass  uint32 // the last that saw it
}

func newMemory() *memory {
	return &memory{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, seen: make(map[[2]uint64]trace)}
}

// begin begins a pass.
func (m *memory) begin() {
	m.pass++
	m.rows, m.newer, m.added = 0, 0, [2]uint64{}
}

// note reports whether the invitation is new, or not as it was when it was last seen.
func (m *memory) note(inv Invitation) (fresh bool) {
	id := [2]uint64{maphash.String(m.seeds[0], inv.ID), maphash.String(m.seeds[1], inv.ID)}
	state := uint32(maphash.Comparable(m.seeds[0], stateOf(inv)))
	old, known := m.seen[id]
	m.seen[id] = trace{state: state, pass: m.pass}
	if !known || old.pass != m.pass {
		m.rows++
		if !m.cutoff.IsZero() && inv.CreatedAt.After(m.cutoff) {
			m.newer++
		} else {
			m.added[0] += id[0]
			m.added[1] += id[1]
		}
	}
	return !known || old.state != state
}

// result is what two passes must agree on.
func (m *memory) result() passResult { return passResult{m.rows - m.newer, m.added} }

type invitationState struct {
	status           Status
	updated, expires int64
}

func stateOf(inv Invitation) invitationState {
	return invitationState{inv.Status, inv.UpdatedAt.UnixMilli(), inv.ExpiresAt.UnixMilli()}
}
