package lists

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/inviteq/inviteq/tasks"
)

// place is where the names of the columns are.
type place struct {
	header
	line    int
	above   int  // rows above them that are not blank
	unnamed bool // There are none: the row at line is the first person's.
	comma   byte
}

const (
	headLen  = 64 << 10 // The names of the columns are looked for in so much.
	headRows = 20       // ... and in so many rows.
)

var sepLine = regexp.MustCompile(`(?i)^"?sep=(.)"?[\r\n]*$`)

// findCSV finds the names of the columns, and by them what separates cells.
func findCSV(in *bufio.Reader, m *matcher) (place, error) {
	head, err := in.Peek(headLen)
	whole := errors.Is(err, io.EOF)
	if err != nil && !whole {
		return place{}, err
	}
	if end := bytes.LastIndexAny(head, "\r\n"); !whole && end < 0 {
		return place{}, errors.New("the first row is longer than 64 KiB; it must name the columns, such as email_address")
	} else if !whole {
		head = head[:end+1]
	}
	commas, skip := []byte(",;\t|"), 0
	first, _, _ := bytes.Cut(head, []byte("\n"))
	if s := sepLine.FindSubmatch(first); s != nil {
		if bytes.ContainsAny(s[1], "\"\r\n") || s[1][0] > '~' {
			return place{}, errors.New("the separator in the first line (sep=) is not usable")
		}
		commas, skip = s[1], 1
	}
	var best place
	var fault error
	for _, comma := range commas {
		found, err := findNames(newCSVReader(bufio.NewReader(bytes.NewReader(head)), comma), m, skip)
		found.comma = comma
		switch {
		case err != nil:
			fault = errors.Join(fault, err)
		case found.line > 0 && (best.line == 0 || found.line < best.line || found.line == best.line && len(found.columns) > len(best.columns)):
			best = found
		}
	}
	if best.line > 0 {
		return best, nil
	}
	return place{}, noNames(head, commas, skip, fault)
}

// findNames looks for the row that names the columns among the first ones.
func findNames(from records, m *matcher, skip int) (place, error) {
	var p place
	for range headRows {
		rec, err := from.next()
		if isAboutRow(err) {
			p.above++
			continue
		}
		if err != nil {
			return p, nil //nolint:nilerr // The end, or whatever the reading of the rows meets again.
		}
		if holdsPerson(rec.cells) {
			if at := unnamedAddress(rec.cells); at >= 0 && p.above == 0 && rec.line > skip && len(m.rules) == 0 {
				p.columns, p.address = make([]column, len(rec.cells)), true
				p.columns[at] = column{name: emailField, set: fields[emailField]}
				p.line, p.unnamed = rec.line, true
			}
			return p, nil
		}
		if isBlank(rec.cells) || rec.line <= skip {
			continue
		}
		if len(rec.cells) == 1 && bytes.ContainsAny(trimmed(rec.cells[0]), ",;\t|") {
			p.above++ // Something else separates its cells.
			continue
		}
		h, err := m.resolve(texts(rec.cells))
		switch {
		case err != nil:
			return place{above: p.above}, &namesError{Place{Row: rec.line}, err}
		case h.address:
			if missing := m.unused(texts(rec.cells)); missing != "" {
				return p, &namesError{Place{Row: rec.line}, errors.New(missing)}
			}
			p.header, p.line = h, rec.line
			return p, nil
		}
		p.above++
	}
	return p, nil
}

// namesError says what is wrong with the names of the columns.
type namesError struct {
	Place
	err error
}

func (e *namesError) Error() string { return e.Place.String() + ": " + e.err.Error() }

// texts are the names in a row. What is not UTF-8 is read as Windows-1252, in which
// spreadsheets of Western Europe write by default; for what is in the rows below, see
// notText.
func texts(cells [][]byte) []string {
	out := make([]string, len(cells))
	for n, c := range cells {
		if !utf8.Valid(c) {
			c, _ = charmap.Windows1252.NewDecoder().Bytes(c) // it has a letter, or U+FFFD, for every byte
		}
		out[n] = string(c)
	}
	return out
}

// holdsPerson reports whether a cell is an address, and so the row no row of names.
func holdsPerson(cells [][]byte) bool {
	return slices.ContainsFunc(cells, func(c []byte) bool {
		_, err := tasks.ParseEmail(string(c))
		return err == nil
	})
}

// firebaseColumns is how many columns the export of Firebase Auth has at least
// (firebase auth:export users.csv): an id, the address, whether it is verified, …
const firebaseColumns = 24

// unnamedAddress returns which cell of the first row is the address in lists that
// name no columns: those that hold nothing else, and the export of Firebase Auth. -1
// if it is another kind of list.
func unnamedAddress(cells [][]byte) int {
	if len(cells) >= firebaseColumns && holdsPerson(cells[1:2]) && !holdsPerson(cells[2:]) && slices.Contains([]string{"true", "false"}, string(trimmed(cells[2]))) {
		return 1
	}
	at := -1
	for n, c := range cells {
		switch {
		case len(trimmed(c)) == 0:
		case at >= 0:
			return -1
		default:
			at = n
		}
	}
	return at
}

// noNames says why no row names a column with the address.
func noNames(head []byte, commas []byte, skip int, fault error) error {
	if fault != nil {
		// Several separators may have led there: the first one says it.
		if joined, ok := fault.(interface{ Unwrap() []error }); ok {
			fault = joined.Unwrap()[0]
		}
		return fault
	}
	for _, comma := range commas {
		if names := firstNames(newCSVReader(bufio.NewReader(bytes.NewReader(head)), comma), skip); len(names) > 1 || comma == commas[len(commas)-1] {
			if len(names) == 0 && len(bytes.TrimSpace(head)) > 0 && skip == 0 {
				return errors.New("the first row, which must name the columns, is not valid CSV: a quotation mark is missing or out of place")
			}
			return notNamed(names)
		}
	}
	return nil
}

func firstNames(from records, skip int) []string {
	for {
		rec, err := from.next()
		if err != nil {
			return nil
		}
		if !isBlank(rec.cells) && rec.line > skip {
			return texts(rec.cells)
		}
	}
}

// notNamed is the error for a first row in which nothing names the address.
func notNamed(names []string) error {
	if len(names) == 0 {
		return errors.New("the file is empty; its first row must name the columns, such as email_address")
	}
	cells := make([][]byte, len(names))
	var shown []string
	for n, name := range names {
		cells[n] = []byte(name)
		if n < 10 {
			shown = append(shown, ignoredName(name, n))
		}
	}
	if len(cells) > 1 && !slices.ContainsFunc(cells, func(c []byte) bool { return len(trimmed(c)) > 0 && !holdsPerson([][]byte{c}) }) {
		return errors.New("the first row holds several addresses; put each on a line of its own")
	}
	if holdsPerson(cells) {
		return errors.New("the first row must name the columns, such as email_address, but it holds an address")
	}
	if len(names) > len(shown) {
		shown = append(shown, fmt.Sprintf("%d more", len(names)-len(shown)))
	}
	text := "no column is known to hold the e-mail address"
	if namesColumns(names) { // Otherwise it may be a person's row, which no error quotes.
		text += "; the first row has " + strings.Join(shown, ", ")
	}
	if odd := unseen(strings.Join(names, "")); odd != "" {
		text += " (and " + odd + ", which cannot be seen)"
	}
	return &ColumnError{text + ". Name one of the columns email_address, or say which it is", emailField + "=NAME"}
}

// unseen lists the code points of what cannot be seen in a text.
func unseen(s string) string {
	var all []string
	for _, r := range s {
		if word := fmt.Sprintf("U+%04X", r); r != ' ' && !unicode.IsPrint(r) && !slices.Contains(all, word) && len(all) < 5 {
			all = append(all, word)
		}
	}
	return strings.Join(all, ", ")
}
