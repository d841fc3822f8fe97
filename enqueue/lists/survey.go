package lists

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/inviteq/inviteq/tasks"
)

// Survey is what a list holds.
type Survey struct {
	Good       int // rows to be invited
	Misspelt   int // of those, rows whose domain is one letter away from a large provider's
	Bad        int // rows that cannot be used
	Duplicates int // rows with the address of an earlier one
	Differing  int // of those, rows with other contents

	FirstMisspelt Place // The first row of Misspelt.

	Ignored  []string // Names of columns that are not used, as they may be shown.
	Preamble int      // Rows above the names of the columns.
	Sheets   []string // Other sheets of the workbook that hold addresses, as they may be shown.
	Hidden   int      // Rows with an address that the workbook hides, by a filter, say: they are on the list.
	Comments int      // Rows that begin with # and name nobody.
	Footer   int      // Rows below the list: behind a blank row, with a text in one cell only.
	Named    bool     // Some rows have an id.
	Content  int64    // Bytes of metadata and links in the good rows.
	Unnamed  bool     // No row names the columns: each row is an address, or the list an export of Firebase Auth.
}

// Rows is how many there are, bad ones and duplicates included.
func (s Survey) Rows() int { return s.Good + s.Bad + s.Duplicates }

// Notes are what a person has to know before the list goes, beside its bad rows and
// the columns that are not used: a sentence each, without what is in a row.
func (s Survey) Notes() (notes []string) {
	note := func(n int, format string) {
		rows := "rows"
		if n == 1 {
			rows = "row"
		}
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, n, rows))
		}
	}
	note(s.Preamble, "ignored: %d %s above the names of the columns")
	if s.Unnamed {
		notes = append(notes, "no row names the columns: the first row is taken for a person")
	}
	if len(s.Sheets) > 0 {
		notes = append(notes, "not read, though it holds addresses: "+shownSheets(s.Sheets)+"; bring each sheet as a list of its own")
	}
	note(s.Hidden, "on the list, too: %d %s hidden in the workbook, perhaps by a filter; delete hidden rows that are not meant")
	note(s.Footer, "ignored: %d %s below the list")
	note(s.Comments, "ignored: %d %s beginning with #")
	note(s.Misspelt, "look again: %d %s with a domain like gmial.com, one letter away from a large provider's; the first is "+s.FirstMisspelt.String())
	return notes
}

// Survey reads the whole list. Every row that cannot be used is told as a
// *RowError or a *DuplicateError; an error of tell ends it. An error of its own
// says that the list as a whole cannot be used. No error quotes what is in a row.
func (l *List) Survey(ctx context.Context, tell func(error) error) (Survey, error) {
	var s Survey
	for row, err := range l.rows(ctx, "", &s) {
		_, isBad := errors.AsType[*RowError](err)
		duplicate, isDuplicate := errors.AsType[*DuplicateError](err)
		switch {
		case err == nil:
			s.Good++
			if misspeltDomain(row.Invite.EmailAddress.Key()) {
				if s.Misspelt++; s.Misspelt == 1 {
					s.FirstMisspelt = row.Place
				}
			}
			s.Named = s.Named || l.seen.ids != nil
			s.Content += int64(len(row.Invite.PublicMetadata) + len(row.Invite.RedirectURL))
			continue
		case isBad:
			s.Bad++
		case isDuplicate:
			s.Duplicates++
			if !duplicate.Same {
				s.Differing++
			}
		default:
			return s, err
		}
		if tell != nil {
			if err := tell(err); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// Rows reads the list once more, with the ids that its rows have in an import.
// Beside a *RowError and a *DuplicateError only the place of the row is there.
func (l *List) Rows(ctx context.Context, importID string) iter.Seq2[Row, error] {
	return l.rows(ctx, importID, new(Survey))
}

// Invites are the good rows, with the ids that they have in an import.
func (l *List) Invites(ctx context.Context, importID string) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for row, err := range l.Rows(ctx, importID) {
			if isAboutRow(err) {
				continue
			}
			if !yield(row.Invite, err) || err != nil {
				return
			}
		}
	}
}

func (l *List) rows(ctx context.Context, importID string, said *Survey) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		source, err := l.source(ctx, said)
		if err != nil {
			yield(Row{}, err)
			return
		}
		if l.seen == nil {
			l.seen = newSeen(min(l.most, l.opts.MaxRows))
		}
		for ordinal := 1; ; ordinal++ {
			row, err := source.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && !isAboutRow(err):
				yield(Row{Place: row.Place}, err)
				return
			case ordinal > l.opts.MaxRows:
				yield(Row{Place: row.Place}, fmt.Errorf("the list is %w: it has more than %d rows; split it, or raise the bound", ErrTooLarge, l.opts.MaxRows))
				return
			}
			if err == nil {
				if err = l.seen.judge(row, ordinal); err != nil {
					row = Row{Place: row.Place}
				} else {
					row.ordinal = uint32(ordinal)
					l.identify(importID, &row)
				}
			} else {
				l.seen.skip(ordinal)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// rowSource is a list in one of the formats.
type rowSource interface {
	next() (Row, error) // io.EOF after the last
}

func (l *List) source(ctx context.Context, said *Survey) (rowSource, error) {
	in, err := l.reader(ctx)
	if err != nil {
		return nil, err
	}
	switch l.format {
	case JSON:
		return openValues(in, l.match, &l.opts, said)
	case Workbook:
		return l.openSheet(ctx, in, said)
	case CSV:
	}
	at, err := findCSV(in, l.match)
	if err != nil {
		return nil, err
	}
	t, err := openTable(newCSVReader(in, at.comma), at, &l.opts, said)
	if err != nil {
		return nil, err
	}
	t.isText = true
	return t, nil
}
