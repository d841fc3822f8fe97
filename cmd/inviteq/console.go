package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"github.com/inviteq/inviteq/tasks/show"
)

// console is where a command reads and writes. Results go to out, everything
// else (progress, hints, errors) to err, so that a pipe carries results only.
type console struct {
	in       io.Reader
	out, err io.Writer
	onOut    paint // colours for out
	onErr    paint // colours for err
	errTTY   *os.File
}

func newConsole(env environment, stdin io.Reader, stdout, stderr io.Writer) console {
	colour := env["NO_COLOR"] == "" && env["TERM"] != "dumb"
	return console{
		in: stdin, out: stdout, err: stderr,
		onOut:  paint(colour && terminal(stdout) != nil),
		onErr:  paint(colour && terminal(stderr) != nil),
		errTTY: terminal(stderr),
	}
}

// terminal returns the file behind w if it is a terminal, and nil otherwise.
func terminal(w any) *os.File {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// note tells a person something that is no result.
func (c console) note(format string, args ...any) { fmt.Fprintf(c.err, format+"\n", args...) }

// paint colours text, or leaves it as it is.
type paint bool

func (p paint) with(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) bold(text string) string   { return p.with("1", text) }
func (p paint) dim(text string) string    { return p.with("2", text) }
func (p paint) red(text string) string    { return p.with("31", text) }
func (p paint) green(text string) string  { return p.with("32", text) }
func (p paint) yellow(text string) string { return p.with("33", text) }
func (p paint) blue(text string) string   { return p.with("34", text) }

// cell is one field of a table. The paint is not counted in its width.
type cell struct {
	text  string
	right bool
	paint func(string) string
}

func text(s string) cell                     { return cell{text: s} }
func number(n int64) cell                    { return cell{text: show.Thousands(n), right: true} }
func (c cell) in(f func(string) string) cell { c.paint = f; return c }

// table lines its columns up, two spaces apart. The first row is the header.
type table [][]cell

func (t *table) header(names ...string) {
	row := make([]cell, len(names))
	for i, n := range names {
		row[i] = text(n)
	}
	*t = append(*t, row)
}

func (t *table) row(cells ...cell) { *t = append(*t, cells) }

// print writes the table. Columns of numbers have their heading on the right.
func (t table) print(w io.Writer, p paint) error {
	_, err := io.WriteString(w, strings.Join(t.lines(p), "\n")+"\n")
	return err
}

func (t table) lines(p paint) []string {
	var width []int
	for _, row := range t {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], uniseg.StringWidth(c.text))
		}
	}
	lines := make([]string, 0, len(t))
	for n, row := range t {
		var b strings.Builder
		for i, c := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			right := c.right || n == 0 && len(t) > 1 && i < len(t[1]) && t[1][i].right
			space := strings.Repeat(" ", width[i]-uniseg.StringWidth(c.text))
			shown := c.text
			switch {
			case n == 0:
				shown = p.dim(shown)
			case c.paint != nil:
				shown = c.paint(shown)
			}
			if right {
				b.WriteString(space + shown)
			} else {
				b.WriteString(shown)
				if i < len(row)-1 {
					b.WriteString(space)
				}
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}
