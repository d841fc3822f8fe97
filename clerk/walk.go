package clerk

import (
	"context"
	"time"
)

// walk is one pass over the list in one order. See Scan for why it is safe.
type walk struct {
	scan   *Scan
	order  string                      // order_by
	before func(a, b time.Time) bool   // whether key a comes strictly before key b in that order
	until  time.Time                   // the key to stop behind; zero: at the end of the list
	fail   func(err error) (more bool) // tells of a failed read

	furthest time.Time // the furthest key that was read
	inTie    bool      // within rows of one key that fill more than a page
	longest  int       // rows of the longest page
	cutAt    int       // where the last page ended that may have been cut
	cutAgain int       // how often another such page ended there, too
	doubt    string
}

// run reads the list and visits every row it reads, some of them more than once.
// It reports whether it reached the end.
func (w *walk) run(ctx context.Context, visit func(Invitation) bool) (done bool) {
	s := w.scan
	offset, step := 0, s.Overlap
	for reads := 0; ; reads++ {
		page, ok := w.read(ctx, offset)
		if !ok {
			return false
		}
		if reads == 0 {
			s.report.TotalBefore = page.Total
		}
		s.report.TotalAfter = page.Total
		for _, inv := range page.Data {
			if !visit(inv) {
				return false
			}
		}

		switch {
		case !w.connects(offset, page.Data):
			s.report.StepBacks++
			offset -= min(step, offset)
			step *= 2
		default:
			w.advance(page.Data)
			if w.over(offset, page) {
				return true
			}
			offset, step = w.next(offset, page.Data), s.Overlap
		}

		// What was read several times over and has no end is not a list: the server
		// ignores the offset, or rows go faster than pages come.
		if reads >= 100+8*int(page.Total)/max(w.longest, 1) {
			w.fail(&Error{Op: OpList, Kind: KindUnavailable, Cause: CauseUnsettled})
			return false
		}
	}
}

// connects reports whether nothing can lie unread before the page.
func (w *walk) connects(offset int, rows []Invitation) bool {
	switch {
	case offset == 0:
		return true
	case len(rows) == 0:
		return false
	default:
		// Within a tie that fills more than a page no page can connect.
		return w.before(rows[0].CreatedAt, w.furthest) || w.inTie && rows[0].CreatedAt.Equal(w.furthest)
	}
}

// advance takes the keys of a page into account.
func (w *walk) advance(rows []Invitation) {
	for i, inv := range rows {
		if i > 0 && w.before(inv.CreatedAt, rows[i-1].CreatedAt) {
			w.doubt = doubtUnsorted
		}
		if w.furthest.IsZero() || w.before(w.furthest, inv.CreatedAt) {
			w.furthest, w.inTie = inv.CreatedAt, false
		}
	}
}

// next returns where the page after this one begins: the overlap before its end,
// and at least one row before all that share the key of its last, because more of
// them may follow, and in another order.
func (w *walk) next(offset int, rows []Invitation) int {
	overlapped := offset + max(len(rows)-min(w.scan.Overlap, len(rows)/2), 1)
	tie := len(rows) - 1
	for tie > 0 && rows[tie-1].CreatedAt.Equal(rows[tie].CreatedAt) {
		tie--
	}
	if connected := offset + tie - 1; connected > offset {
		return min(overlapped, connected)
	}
	if len(rows) > 2 { // one row and a tie that fills the rest
		w.inTie, w.doubt = true, doubtTies
	}
	return overlapped
}

// over reports whether the pass has reached its end with this page: one that is
// shorter than was asked for. If Clerk counts more rows and has not sent a longer
// page yet, it may have been cut (a server may have a lower limit of its own);
// then it takes two more that end at the same row.
func (w *walk) over(offset int, page Page) bool {
	if !w.until.IsZero() && !w.furthest.IsZero() && w.before(w.until, w.furthest) {
		return true
	}
	n := len(page.Data)
	end := offset + n
	w.longest = max(w.longest, n)
	switch {
	case n == w.scan.PageSize:
		return false
	case int64(end) >= page.Total, n < w.longest:
		return true
	case end != w.cutAt:
		w.cutAt, w.cutAgain = end, 0
		return false
	default:
		w.cutAgain++
		return w.cutAgain == 2
	}
}

// read reads one page, and again after a failure as long as the caller wants.
func (w *walk) read(ctx context.Context, offset int) (Page, bool) {
	s := w.scan
	for range maxFailures {
		err := ctx.Err()
		if err == nil && s.Before != nil {
			err = s.Before(ctx)
		}
		if err == nil {
			s.report.Reads++
			var page Page
			page, err = s.Lister.List(ctx, ListOptions{Statuses: s.Statuses, OrderBy: w.order, Limit: s.PageSize, Offset: offset})
			if err == nil {
				return page, true
			}
		}
		if !w.fail(err) || ctx.Err() != nil {
			break
		}
	}
	return Page{}, false
}
