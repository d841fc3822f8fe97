package lists

import (
	"bufio"
	"bytes"
	"context"
	"time"
)

// Remap lets a person say what the columns are, and how long the list is to be held,
// when they have seen it (Options.Columns, Options.Hold). A new Survey comes next.
func (l *List) Remap(columns map[string]string, hold time.Duration) {
	l.opts.Columns, l.opts.Hold = columns, hold
	l.match, l.seen = newMatcher(columns), nil
}

// Heading returns the names of the columns, for a person who is to say what they are: those
// of the first rows that may be shown, in the row that has the most of them. A list in
// JSON has none, nor has one whose first row is a person's.
func (l *List) Heading(ctx context.Context) ([]string, error) {
	in, err := l.reader(ctx)
	if err != nil {
		return nil, err
	}
	var from []records
	switch l.format {
	case CSV:
		head, _ := in.Peek(headLen) // Less is fine, too.
		for _, comma := range []byte(",;\t|") {
			from = append(from, newCSVReader(bufio.NewReader(bytes.NewReader(head)), comma))
		}
	case Workbook:
		from = append(from, &sheetReader{in: in})
	case JSON:
	}
	var best []string
	for _, r := range from {
		for range headRows {
			rec, err := r.next()
			if isAboutRow(err) {
				continue
			}
			if err != nil || holdsPerson(rec.cells) {
				break
			}
			var shown []string
			for _, name := range texts(rec.cells) {
				if isShown(name) {
					shown = append(shown, string(trimmed([]byte(name))))
				}
			}
			if len(shown) > len(best) {
				best = shown
			}
		}
	}
	return best, nil
}
