package enqueue

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/inviteq/inviteq/tasks"
)

// CSV reads comma-, semicolon- or tab-separated text in UTF-8. The first row
// names the columns, in any order, upper or lower case:
//
//	email_address       or email; the only column that must be there
//	public_metadata     a JSON object
//	public_metadata.KEY the member KEY of public_metadata, always a string; an
//	                    empty cell makes no member. For numbers, booleans and
//	                    nested objects use a public_metadata column instead:
//	                    a file has the one or the others.
//	redirect_url, template_slug, id
//	notify, ignore_existing    true or false, yes or no, 1 or 0
//	expires_in_days     1 to 365
//	lane                interactive or import
//	not_before, deadline    RFC 3339, such as 2026-01-31T09:00:00Z
//
// An empty cell means the default. Spaces around a cell are dropped. A byte
// order mark, CRLF line ends, Excel's "sep=;" line and quoted cells with line
// breaks are understood; blank rows are skipped.
func CSV(r io.Reader) Source {
	return func(yield func(Row, error) bool) {
		t, err := openTable(r)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for {
			row, err := t.next()
			if errors.Is(err, io.EOF) {
				return
			}
			_, goesOn := errors.AsType[*RowError](err)
			if !yield(row, err) || err != nil && !goesOn {
				return
			}
		}
	}
}

// table is a CSV file behind its header.
type table struct {
	in      *fence
	csv     *csv.Reader
	columns []column
	row     int           // the line of the row before
	members bytes.Buffer  // public_metadata as put together from its columns
	quote   *json.Encoder // writes into members
}

// openTable reads as far as the header, and checks it.
func openTable(r io.Reader) (*table, error) {
	in := &fence{r: r}
	br := bufio.NewReaderSize(in, 64<<10)
	if head, _ := br.Peek(len(bom)); bytes.Equal(head, bom) {
		_, _ = br.Discard(len(bom))
		in.read = int64(br.Buffered())
	}
	head, err := peekLine(br)
	if err != nil {
		return nil, err
	}
	if json := bytes.TrimSpace(head); len(json) > 0 && (json[0] == '{' || json[0] == '[') {
		return nil, errors.New("the file is JSON and not CSV; its format is jsonl")
	}
	t := &table{in: in, csv: csv.NewReader(br)}
	t.csv.FieldsPerRecord = -1 // next says it better.
	t.csv.ReuseRecord = true
	separator := bytes.Trim(head, "\"\r\n")
	if bytes.HasPrefix(separator, []byte("sep=")) && len(separator) == len("sep=;") {
		t.csv.Comma = rune(separator[len("sep=")])
		if _, err := t.csv.Read(); err != nil {
			return nil, errors.New("the separator in the first line (sep=) is not usable")
		}
	} else {
		t.csv.Comma = separatorOf(head)
	}
	// A tab is white space, too: trimming would swallow empty cells.
	t.csv.TrimLeadingSpace = !unicode.IsSpace(t.csv.Comma)
	header, err := t.csv.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty; its first row must name the columns, such as email_address")
	case t.in.err != nil && !errors.Is(t.in.err, io.EOF):
		return nil, fmt.Errorf("the first row: %w", t.in.err)
	case err != nil:
		return nil, errors.New("the first row, which must name the columns, is not valid CSV")
	}
	t.columns, err = columnsOf(header)
	if err != nil {
		return nil, err
	}
	t.quote = json.NewEncoder(&t.members)
	t.quote.SetEscapeHTML(false)
	return t, nil
}

var errNotUTF8 = errors.New("the file is not UTF-8; save it as CSV (UTF-8)")

// peekLine returns the first line without consuming it, and refuses what is
// not text. It reads no further than it has to.
func peekLine(br *bufio.Reader) ([]byte, error) {
	for want := 4; ; want = br.Buffered() + 1 {
		_, err := br.Peek(want)
		head, _ := br.Peek(br.Buffered())
		if i := bytes.IndexByte(head, '\n'); i >= 0 {
			head, err = head[:i], io.EOF
		}
		if e := notText(head); e != nil {
			return nil, e
		}
		switch {
		case errors.Is(err, io.EOF):
			if !utf8.Valid(head) {
				return nil, errNotUTF8
			}
			if i := bytes.IndexByte(head, '\r'); i >= 0 && i < len(head)-1 {
				return nil, errors.New("the file has line ends of a kind that is not understood (a lone CR); save it as CSV (UTF-8)")
			}
			return head, nil
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, errors.New("the first row is longer than 64 KiB; it must name the columns, such as email_address")
		case err != nil:
			return nil, err
		}
	}
}

// separatorOf returns what the header has most of outside quotation marks.
func separatorOf(header []byte) rune {
	var count [256]int
	quoted := false
	for _, c := range header {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			count[c]++
		}
	}
	best := ','
	for _, c := range ";\t" {
		if count[c] > count[best] {
			best = c
		}
	}
	return best
}

// next returns the next row that is not blank; io.EOF after the last.
func (t *table) next() (Row, error) {
	for {
		t.in.start = t.csv.InputOffset()
		cells, err := t.csv.Read()
		switch e, ok := errors.AsType[*csv.ParseError](err); {
		case t.in.err != nil && !errors.Is(t.in.err, io.EOF):
			return Row{}, fmt.Errorf("the row after row %d: %w", t.row, t.in.err)
		case ok:
			t.row = e.StartLine
			return Row{Number: t.row}, rowErr(t.row, misquoted(e))
		case err != nil:
			return Row{}, err
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if slices.ContainsFunc(cells, func(cell string) bool { return cell != "" }) {
			t.row, _ = t.csv.FieldPos(0)
			return t.parse(cells)
		}
	}
}

func misquoted(e *csv.ParseError) string {
	const doubled = `a cell that holds quotation marks stands in quotation marks, with each mark inside it doubled`
	if e.Line > e.StartLine {
		return fmt.Sprintf("has a quotation mark out of place, so that lines %d to %d were taken for one row; %s", e.StartLine, e.Line, doubled)
	}
	return "has a quotation mark out of place; " + doubled
}

func (t *table) parse(cells []string) (Row, error) {
	if len(cells) != len(t.columns) {
		return Row{Number: t.row}, rowErr(t.row, fmt.Sprintf("has %d cells, but the header has %d", len(cells), len(t.columns)))
	}
	var (
		j        tasks.InviteJSON
		problems []tasks.Problem
	)
	t.members.Reset()
	for i, cell := range cells {
		c, reason := &t.columns[i], ""
		switch {
		case cell == "":
		case !utf8.ValidString(cell) || strings.IndexByte(cell, 0) >= 0:
			reason = "is not UTF-8 text"
		case c.set != nil:
			reason = c.set(&j, cell)
		case c.member != nil:
			t.addMember(c.member, cell)
		default:
			reason = fmt.Sprintf("has a value in column %d, which has no name", i+1)
		}
		if reason != "" {
			problems = append(problems, tasks.Problem{Field: c.name, Reason: reason})
		}
	}
	if t.members.Len() > 0 {
		j.PublicMetadata = append(bytes.Clone(t.members.Bytes()), '}')
	}
	return newRow(t.row, j, problems)
}

// addMember appends `"key":"cell"` to the object.
func (t *table) addMember(key []byte, cell string) {
	separator := byte(',')
	if t.members.Len() == 0 {
		separator = '{'
	}
	t.members.WriteByte(separator)
	t.members.Write(key)
	_ = t.quote.Encode(cell)                // A string, into memory: cannot fail.
	t.members.Truncate(t.members.Len() - 1) // Encode ends with a line end.
}
