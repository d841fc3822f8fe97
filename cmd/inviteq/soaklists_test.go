//go:build linux

package main

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSoakListMemory has the program check lists of a million rows, of every format, and
// looks at the most memory that the process had: 64 MiB at most. A workbook is refused
// above 48 MiB unpacked, so that it has 200,000 rows. INVITEQ_SOAK=1 (make soak).
func TestSoakListMemory(t *testing.T) {
	if os.Getenv("INVITEQ_SOAK") != "1" {
		t.Skip("INVITEQ_SOAK=1 (make soak) reads lists of a million rows")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "inviteq")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const rows = 1_000_000
	for name, row := range map[string][4]string{ // before, each row, between, after
		"a.csv":   {"email,n\n", "person%[1]d@example.com,%[1]d\n", "", ""},
		"a.tsv":   {"email\tn\n", "person%[1]d@example.com\t%[1]d\n", "", ""},
		"a.jsonl": {"", `{"email":"person%[1]d@example.com","n":%[1]d}` + "\n", "", ""},
		"a.json":  {"[", `{"email":"person%[1]d@example.com","n":%[1]d}`, ",", "]"},
	} {
		for _, packed := range []string{"", ".gz"} {
			file := filepath.Join(dir, name+packed)
			f, err := os.Create(file)
			if err != nil {
				t.Fatal(err)
			}
			var to io.WriteCloser = f
			if packed != "" {
				to, _ = gzip.NewWriterLevel(f, gzip.BestSpeed) // the level is one of its own
			}
			w := bufio.NewWriter(to)
			fmt.Fprint(w, row[0])
			for n := range rows {
				if n > 0 {
					fmt.Fprint(w, row[2])
				}
				fmt.Fprintf(w, row[1], n)
			}
			fmt.Fprint(w, row[3])
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			_ = f.Close() // of a gzip writer; else it is closed
			checkMemory(t, program, file, rows)
		}
	}
	file := filepath.Join(dir, "a.xlsx")
	writeWorkbook(t, file, 200_000)
	checkMemory(t, program, file, 200_000)
}

// writeWorkbook takes little memory itself: on Linux the most that a process had counts
// for the programs that it starts, too.
func writeWorkbook(t *testing.T, file string, rows int) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const (
		head = `<?xml version="1.0" encoding="UTF-8"?>`
		open = "http://schemas.openxmlformats.org/"
		main = open + "spreadsheetml/2006/main"
		rels = open + "officeDocument/2006/relationships"
		pack = open + "package/2006/"
		kind = "application/vnd.openxmlformats-"
	)
	book := zip.NewWriter(f)
	for _, part := range [][2]string{
		{"[Content_Types].xml", `<Types xmlns="` + pack + `content-types"><Default Extension="rels" ContentType="` + kind + `package.relationships+xml"/>` +
			`<Override PartName="/xl/workbook.xml" ContentType="` + kind + `officedocument.spreadsheetml.sheet.main+xml"/>` +
			`<Override PartName="/xl/worksheets/sheet1.xml" ContentType="` + kind + `officedocument.spreadsheetml.worksheet+xml"/></Types>`},
		{"_rels/.rels", `<Relationships xmlns="` + pack + `relationships"><Relationship Id="rId1" Type="` + rels + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"xl/workbook.xml", `<workbook xmlns="` + main + `" xmlns:r="` + rels + `"><sheets><sheet name="Guests" sheetId="1" r:id="rId1"/></sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + pack + `relationships"><Relationship Id="rId1" Type="` + rels + `/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`},
		{"xl/worksheets/sheet1.xml", ""},
	} {
		w, err := book.Create(part[0])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, head, part[1])
		if part[1] != "" {
			continue
		}
		fmt.Fprint(w, `<worksheet xmlns="`+main+`"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>email</t></is></c></row>`)
		for n := range rows {
			fmt.Fprintf(w, `<row r="%[1]d"><c r="A%[1]d" t="inlineStr"><is><t>person%[1]d@example.com</t></is></c></row>`, n+2)
		}
		fmt.Fprint(w, `</sheetData></worksheet>`)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkMemory has the program check a list, and looks at how much memory it took.
func checkMemory(t *testing.T, program, file string, rows int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, "import", "--dry-run", "--json", file)
	c.Env = append(os.Environ(), "REDIS_URL=redis://127.0.0.1:1") // A dry run does without.
	out, err := c.Output()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf(`"rows":%d,"invalid":0,`, rows)) {
		t.Fatalf("%s: %v: %s", filepath.Base(file), err, out)
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("the system does not tell how much memory a process had")
	}
	most := usage.Maxrss >> 10 // of KiB
	t.Logf("%s: %d MiB", filepath.Base(file), most)
	if most > 64 {
		t.Errorf("%s took %d MiB, more than 64", filepath.Base(file), most)
	}
}
