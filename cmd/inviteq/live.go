package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/rivo/uniseg"
	"golang.org/x/term"
)

// live is a few lines at the bottom of a terminal that are drawn again and
// again. A nil live draws nothing.
type live struct {
	tty   *os.File
	paint paint
	drawn int
}

// newLive returns nil when stderr is no terminal.
func newLive(c console) *live {
	if c.errTTY == nil {
		return nil
	}
	return &live{tty: c.errTTY, paint: c.onErr}
}

// width is how many columns there are.
func (l *live) width() int {
	if l == nil {
		return 80
	}
	if w, _, err := term.GetSize(int(l.tty.Fd())); err == nil && w > 20 {
		return w
	}
	return 80
}

// draw replaces what was drawn before.
func (l *live) draw(lines ...string) {
	if l == nil {
		return
	}
	width := l.width()
	var b strings.Builder
	l.erase(&b)
	for _, line := range lines {
		b.WriteString(cut(line, width-1) + "\n")
	}
	l.drawn = len(lines)
	fmt.Fprint(l.tty, b.String())
}

// clear takes it off the screen.
func (l *live) clear() { l.draw() }

// progress draws a bar of so many, with words under it.
func (l *live) progress(whole int, words string, parts ...part) {
	if l != nil {
		l.draw(bar(min(l.width()-1, 72), int64(whole), l.paint, parts...), words)
	}
}

func (l *live) erase(b *strings.Builder) {
	if l.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA", l.drawn)
	}
	b.WriteString("\r\x1b[J")
}

// cut shortens a line to so many columns; colours take none.
func cut(line string, width int) string {
	var b strings.Builder
	col, coloured := 0, false
	for len(line) > 0 {
		if strings.HasPrefix(line, "\x1b[") {
			end := strings.IndexByte(line, 'm') + 1
			if end == 0 {
				break
			}
			b.WriteString(line[:end])
			line, coloured = line[end:], true
			continue
		}
		cluster, rest, w, _ := uniseg.FirstGraphemeClusterInString(line, -1)
		if col+w > width {
			break
		}
		b.WriteString(cluster)
		line, col = rest, col+w
	}
	if coloured {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// part is a share of a bar.
type part struct {
	n     int64
	glyph string
	paint func(string) string
}

// bar draws the parts of a whole, the rest as what is still to do. Every part
// that is not empty gets a column at least.
func bar(width int, whole int64, p paint, parts ...part) string {
	var b strings.Builder
	used := 0
	var sum int64
	for _, one := range parts {
		if one.n <= 0 || whole <= 0 {
			continue
		}
		sum += one.n
		end := min(int(sum*int64(width)/whole), width)
		columns := max(end-used, 1)
		columns = min(columns, width-used)
		b.WriteString(one.paint(strings.Repeat(one.glyph, columns)))
		used += columns
	}
	b.WriteString(p.dim(strings.Repeat("░", width-used)))
	return b.String()
}
