// Package report is how the parts of `make bench`, which are programs, tests and
// benchmarks of several packages, put their figures into one table: each adds rows
// to a file, and cmd/bench/table prints them. Figures are judged there only, so
// that a busy machine fails no `go test`.
package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// FileVariable names the environment variable that holds the path of the file.
// Without it nothing is written.
const FileVariable = "INVITEQ_BENCH_REPORT"

// Row is one figure.
type Row struct {
	Part   string      `json:"part"` // "quota", "enqueue" ...: rows of a part stand together
	What   string      `json:"what"`
	Ours   string      `json:"ours"`
	Beside []Reference `json:"beside,omitempty"` // what it is compared with; the same names in a whole part
	Ratio  string      `json:"ratio,omitempty"`  // ours to one of those, and which
	Floor  string      `json:"floor,omitempty"`  // "" if there is none
	Missed bool        `json:"missed,omitempty"`
}

// Reference is a figure that another program, or an optimum, has reached.
type Reference struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// AtLeast fills in a floor, shown by the format, and whether it is kept.
func (r Row) AtLeast(got, floor float64, format string) Row {
	r.Floor, r.Missed = "≥ "+fmt.Sprintf(format, floor), !(got >= floor)
	return r
}

// AtMost fills in a ceiling, shown by the format, and whether it is kept.
func (r Row) AtMost(got, ceiling float64, format string) Row {
	r.Floor, r.Missed = "≤ "+fmt.Sprintf(format, ceiling), !(got <= ceiling)
	return r
}

// Add appends rows to the file, if there is one. Several processes may do so.
func Add(rows ...Row) error {
	path := os.Getenv(FileVariable)
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err == nil {
			_, err = f.Write(append(line, '\n'))
		}
		if err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}

// Read returns the rows of a file.
func Read(from io.Reader) ([]Row, error) {
	var rows []Row
	for lines := bufio.NewScanner(from); ; {
		if !lines.Scan() {
			return rows, lines.Err()
		}
		var r Row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
}

// Print writes the rows as one table, the parts in the order in which they come
// first, and returns how many floors are missed.
func Print(to io.Writer, rows []Row) (missed int, _ error) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	var parts []string
	of := map[string][]Row{}
	for _, r := range rows {
		if of[r.Part] == nil {
			parts = append(parts, r.Part)
		}
		of[r.Part] = append(of[r.Part], r)
	}
	for n, part := range parts {
		if n > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\tinviteq\tratio\tfloor\t", part)
		for _, b := range of[part][0].Beside {
			fmt.Fprintf(w, "\t%s", b.Name)
		}
		fmt.Fprintln(w)
		for _, r := range of[part] {
			verdict := "ok"
			switch {
			case r.Missed:
				verdict = "MISSED"
				missed++
			case r.Floor == "":
				verdict = ""
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s", r.What, r.Ours, r.Ratio, r.Floor, verdict)
			for _, b := range r.Beside {
				fmt.Fprintf(w, "\t%s", b.Value)
			}
			fmt.Fprintln(w)
		}
	}
	_ = w.Flush() // into memory
	for line := range bytes.Lines(b.Bytes()) {
		if _, err := fmt.Fprintf(to, "%s\n", bytes.TrimRight(line, " \n")); err != nil {
			return missed, err
		}
	}
	return missed, nil
}
