package lists

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// records is a table row by row: CSV, or the sheet of a workbook.
type records interface {
	next() (record, error) // io.EOF after the last; a *RowError is about one record
}

// table is a table behind the row that names its columns.
type table struct {
	records
	header
	members *object
	opts    *Options
	said    *Survey

	isText bool // A cell that spans lines may have swallowed a row.

	first *record   // The first row, where none names the columns.
	gap   bool      // A blank row stands before the next one.
	foot  []verdict // Rows behind a blank one that may be what stands below the list.
	ready []verdict // They were not: a person's row has come, which stands last.
}

// verdict is a row that next has not returned yet.
type verdict struct {
	Row
	err error
}

// maxFoot is how many rows may stand below a list.
const maxFoot = 50

// openTable reads as far as the names of the columns.
func openTable(from records, at place, o *Options, said *Survey) (*table, error) {
	t := &table{records: from, header: at.header, members: newObject(), opts: o, said: said}
	said.Preamble, said.Ignored, said.Unnamed = at.above, at.ignored, at.unnamed
	for {
		rec, err := from.next()
		if isAboutRow(err) && rec.line < at.line {
			continue // Above the names of the columns.
		}
		if err != nil {
			return nil, err
		}
		if rec.line >= at.line {
			if at.unnamed {
				t.first = &rec
			}
			return t, nil
		}
	}
}

// next returns the next row that is not blank; io.EOF after the last.
func (t *table) next() (Row, error) {
	for {
		if len(t.ready) > 0 {
			v := t.ready[0]
			t.ready = t.ready[1:]
			return v.Row, v.err
		}
		rec, err := t.record()
		at := Place{Row: rec.line}
		switch {
		case errors.Is(err, io.EOF):
			t.said.Footer = len(t.foot)
			return Row{Place: at}, err
		case err != nil && !isAboutRow(err):
			return Row{Place: at}, err
		case err != nil:
			t.ready, t.foot = append(t.foot, verdict{Row{Place: at}, err}), nil
			continue
		case isBlank(rec.cells) || isRule(rec.cells):
			t.gap = true
			continue
		case isComment(rec.cells):
			t.said.Comments++
			continue
		}
		row, err := t.row(at, rec)
		if v := (verdict{row, err}); t.gap && isRemark(rec.cells) && len(t.columns) > 1 && len(t.foot) < maxFoot {
			t.foot = append(t.foot, v)
		} else {
			t.ready, t.foot, t.gap = append(t.foot, v), nil, false
		}
	}
}

func (t *table) record() (record, error) {
	if t.first != nil {
		rec := *t.first
		t.first = nil
		return rec, nil
	}
	return t.records.next()
}

func (t *table) row(at Place, rec record) (Row, error) {
	var d draft
	t.members.reset()
	for n, cell := range rec.cells {
		cell = trimmed(cell)
		if n >= len(t.columns) {
			if len(cell) > 0 {
				only := fmt.Sprintf("there are only %d columns", len(t.columns))
				if len(t.columns) == 1 {
					only = "there is only one column"
				}
				return Row{Place: at}, rowErr(at, fmt.Sprintf("has %d cells, but %s; a cell that holds the separator must stand in quotation marks", len(rec.cells), only))
			}
			continue
		}
		c := &t.columns[n]
		if t.isText && rec.last > rec.line && swallows(cell, c.isUsed()) {
			return Row{Place: at}, rowErr(at, fmt.Sprintf("has a cell that spans lines (%d to %d) and holds an address, perhaps somebody's row: is a quotation mark missing or out of place?",
				rec.line, rec.last))
		}
		if len(cell) == 0 || !c.isUsed() || string(cell) == `\N` {
			continue
		}
		if fault := notText(cell); fault != "" {
			d.refuse(c.name, fault)
		} else if failedFormula.Match(cell) && (c.member != nil || c.name == emailField || nullable(string(cell)) != "") {
			d.refuse(c.name, "is a formula that has failed; repair it, or write the value")
		} else if c.member != nil {
			t.members.add(c.member, string(cell))
		} else if reason := c.set(&d, string(cell)); reason != "" {
			d.refuse(c.name, reason)
		}
	}
	t.members.into(&d)
	return d.row(at, t.opts)
}

// swallows reports whether a cell with line ends looks as if it holds somebody's
// row. In a column that is not used a mere address is no such sign.
func swallows(cell []byte, used bool) bool {
	if bytes.IndexByte(cell, '\n') < 0 || bytes.IndexByte(cell, '@') < 0 {
		return false
	}
	for line := range strings.Lines(string(cell)) {
		if holdsAddress(line) && (used || strings.ContainsAny(line, ",;\t|")) {
			return true
		}
	}
	return false
}

// notText says what is wrong with a cell's bytes.
func notText(cell []byte) string {
	if found := bytes.Contains(cell, []byte{0}); found {
		return "has a NUL (U+0000), which is not text"
	}
	for rest := cell; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			return fmt.Sprintf("is not UTF-8 (byte 0x%02X, as in Windows-1252 or Latin-1): save the file as CSV UTF-8", rest[0])
		}
		rest = rest[size:]
	}
	return ""
}

func isBlank(cells [][]byte) bool {
	return !slices.ContainsFunc(cells, func(c []byte) bool { return len(trimmed(c)) > 0 })
}

// isRule reports a row of dashes, as psql and Markdown draw one under the names.
func isRule(cells [][]byte) bool {
	return !slices.ContainsFunc(cells, func(c []byte) bool { return len(bytes.Trim(c, "-+=: ")) > 0 }) && !isBlank(cells)
}

// isComment reports a row that begins with # and names nobody.
func isComment(cells [][]byte) bool {
	first := trimmed(cells[0])
	return len(first) > 0 && first[0] == '#' && isBlank(cells[1:]) && bytes.IndexByte(first, '@') < 0 && !failedFormula.Match(first)
}

// failedFormula is what spreadsheets show where a formula has failed, such as #REF! and
// #NAME? in each language. #N/A stands for nothing in most columns; see nullable.
var failedFormula = regexp.MustCompile(`^#(N/A|NV|[\p{Lu}/0]+[!?])$`)

// isRemark reports a row with a text in one cell that is nobody's address, as reports
// write them below a list: who made it, and when.
func isRemark(cells [][]byte) bool {
	texts := 0
	for _, c := range cells {
		if c = trimmed(c); len(c) > 0 {
			texts++
		}
		if bytes.IndexByte(c, '@') >= 0 {
			return false
		}
	}
	return texts == 1
}
