package lists

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzCSVReader compares with the standard library's reader: what that accepts, ours
// reads in the same way.
func FuzzCSVReader(f *testing.F) {
	for _, s := range []string{"a,b\nc,d\n", "\"a\"\"b\",\"c\nd\"\r\ne,\n", "a\r\n\r\n\"\",x", " a , b \n", "\"a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if strings.Contains(strings.ReplaceAll(in, "\r\n", ""), "\r") {
			return // To us a lone CR is a line end.
		}
		if !utf8.ValidString(in) {
			return // What is compared below are texts, which reads other bytes as Windows-1252.
		}
		theirs := csv.NewReader(strings.NewReader(in))
		theirs.FieldsPerRecord = -1
		ours := newCSVReader(bufio.NewReader(strings.NewReader(in)), ',')
		for {
			want, err := theirs.Read()
			if err != nil && !errors.Is(err, io.EOF) {
				return // It is stricter.
			}
			got, ourErr := ours.next()
			for ourErr == nil && len(got.cells) == 1 && len(got.cells[0]) == 0 && got.last == got.line && err == nil && !(len(want) == 1 && want[0] == "" && line(theirs) == got.line) {
				got, ourErr = ours.next() // It skips empty lines.
			}
			if errors.Is(err, io.EOF) {
				for ourErr == nil && isBlank(got.cells) {
					got, ourErr = ours.next()
				}
				if !errors.Is(ourErr, io.EOF) {
					t.Fatalf("got %q, %v behind the end", texts(got.cells), ourErr)
				}
				return
			}
			if ourErr != nil {
				t.Fatalf("got %v, want %q", ourErr, want)
			}
			cells := texts(got.cells)
			if strings.Join(cells, "\x00") != strings.Join(want, "\x00") || line(theirs) != got.line {
				t.Fatalf("got %q in line %d, want %q in line %d", cells, got.line, want, line(theirs))
			}
		}
	})
}

func line(r *csv.Reader) int {
	n, _ := r.FieldPos(0)
	return n
}
