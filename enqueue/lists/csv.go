package lists

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// record is a row of a table as it stands in the list. Its cells are good until
// the next one is read.
type record struct {
	line, last int // The lines on which it begins and ends, from 1.
	cells      [][]byte
}

// csvReader takes CSV apart as RFC 4180 has it, and is lenient where that leaves
// one answer: spaces around quotation marks, and line ends of every kind. After a
// row with a quotation mark out of place it goes on with the next line. (The
// standard library's reader refuses the spaces, and does not know the line of a
// row that never ends.)
type csvReader struct {
	in    *bufio.Reader
	comma byte
	line  int // of the next byte
	used  int // bytes of this record
	buf   []byte
	ends  []int
	cells [][]byte
}

func newCSVReader(in *bufio.Reader, comma byte) *csvReader {
	return &csvReader{in: in, comma: comma, line: 1}
}

var (
	errRowLen    = errors.New("is longer than 1 MiB; is a quotation mark or a line end missing?")
	errMisplaced = errors.New("quotation mark out of place")
)

// read returns the next byte; a line end of any kind is '\n'.
func (r *csvReader) read() (byte, error) {
	c, err := r.in.ReadByte()
	if err != nil {
		return 0, err
	}
	if r.used++; r.used > MaxRowLen {
		return 0, errRowLen
	}
	if c == '\r' {
		if next, err := r.in.Peek(1); err == nil && next[0] == '\n' {
			_, _ = r.in.Discard(1)
			r.used++
		}
		c = '\n'
	}
	if c == '\n' {
		r.line++
	}
	return c, nil
}

// next returns the next record; io.EOF after the last. A *RowError is about one
// record.
func (r *csvReader) next() (record, error) {
	rec := record{line: r.line}
	r.used, r.buf, r.ends = 0, r.buf[:0], r.ends[:0]
	for {
		end, err := r.cell()
		switch {
		case errors.Is(err, io.EOF) && r.used == 0:
			return rec, io.EOF
		case errors.Is(err, io.EOF):
			end = '\n'
			r.line++ // As if the last line had an end.
		case errors.Is(err, errMisplaced):
			return r.misplaced(rec)
		case err != nil:
			return rec, fmt.Errorf("%v: %w", Place{Row: rec.line}, err)
		}
		r.ends = append(r.ends, len(r.buf))
		if end != r.comma {
			break
		}
	}
	rec.last = r.line - 1
	r.cells = r.cells[:0]
	from := 0
	for _, to := range r.ends {
		r.cells = append(r.cells, r.buf[from:to])
		from = to
	}
	rec.cells = r.cells
	return rec, nil
}

// misplaced skips the rest of the line and says which lines are affected.
func (r *csvReader) misplaced(rec record) (record, error) {
	last := r.line
	for {
		c, err := r.read()
		if err != nil && !errors.Is(err, io.EOF) {
			return rec, fmt.Errorf("%v: %w", Place{Row: rec.line}, err)
		}
		if err != nil || c == '\n' {
			break
		}
	}
	const doubled = "a cell that holds quotation marks stands in quotation marks, with each mark inside it doubled"
	at := Place{Row: rec.line}
	if last > rec.line {
		return rec, rowErr(at, fmt.Sprintf("has a quotation mark out of place, so that lines %d to %d were taken for one row; %s", rec.line, last, doubled))
	}
	return rec, rowErr(at, "has a quotation mark out of place; "+doubled)
}

// cell appends one cell to the buffer and returns what ends it, the comma or a
// line end. io.EOF is the end of the last cell.
func (r *csvReader) cell() (byte, error) {
	start := len(r.buf)
	c, err := r.read()
	for err == nil && c == ' ' || err == nil && c == '\t' && r.comma != '\t' {
		r.buf = append(r.buf, c)
		c, err = r.read()
	}
	if err == nil && c == '"' {
		r.buf = r.buf[:start]
		return r.quoted()
	}
	for {
		switch {
		case err != nil:
			return 0, err
		case c == r.comma || c == '\n':
			return c, nil
		case c == '"':
			return 0, errMisplaced
		}
		r.buf = append(r.buf, c)
		c, err = r.read()
	}
}

// quoted is a cell behind its first quotation mark.
func (r *csvReader) quoted() (byte, error) {
	for {
		c, err := r.read()
		if errors.Is(err, io.EOF) {
			if n := len(r.buf); n > 0 && r.buf[n-1] == '\n' {
				r.line-- // There is nothing on the line after the last.
			}
			return 0, errMisplaced
		}
		if err != nil {
			return 0, err
		}
		if c != '"' {
			r.buf = append(r.buf, c)
			continue
		}
		c, err = r.read()
		if err == nil && c == '"' {
			r.buf = append(r.buf, c)
			continue
		}
		for err == nil && c == ' ' || err == nil && c == '\t' && r.comma != '\t' {
			c, err = r.read()
		}
		switch {
		case err != nil:
			return 0, err
		case c == r.comma || c == '\n':
			return c, nil
		}
		return 0, errMisplaced
	}
}
