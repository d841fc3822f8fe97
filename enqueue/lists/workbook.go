package lists

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/inviteq/inviteq/tasks"
)

// Bounds of a workbook. What is larger than a part in memory is unpacked into
// temporary files, so that any workbook is read in the same memory; excelize needs
// 40 bytes for each text in the workbook, which bounds what it may unpack to.
const (
	maxWorkbook     = 48 << 20 // bytes, unpacked
	workbookPartLen = 1 << 20  // bytes of a sheet that are kept in memory
)

// unpackWorkbook replaces the spool by the rows of a sheet, one a line: a JSON array
// of its cells as they are shown. Then the digest is that of the sheet, and the
// same sheet in a file that was saved again is the same list.
func (l *List) unpackWorkbook() (err error) {
	defer func() {
		if broken := recover(); broken != nil { // Excel writes no such files, others do.
			err = errors.New("the workbook is broken; open it in a spreadsheet and save it again")
		}
	}()
	if err := whatZip(l.spool, l.size); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "inviteq-workbook-") // mode 0700
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrDisk, errors.Unwrap(err))
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system clears its temporary files as well
	packed := filepath.Join(dir, "workbook.xlsx")
	if err := l.copyTo(packed); err != nil {
		return err
	}
	book, err := excelize.OpenFile(packed, excelize.Options{UnzipSizeLimit: maxWorkbook, UnzipXMLSizeLimit: workbookPartLen, TmpDir: dir})
	if err != nil {
		return workbookError(err)
	}
	defer func() { _ = book.Close() }() // its files go with the folder
	sheet, err := l.sheet(book)
	if err != nil {
		return err
	}
	rows, err := book.Rows(sheet)
	if err != nil {
		return workbookError(err)
	}
	defer func() { _ = rows.Close() }() // as above
	return l.unpackRows(rows)
}

// workbookError says what is wrong without the library's own words, which may quote.
func workbookError(err error) error {
	if strings.Contains(err.Error(), "unzip size") {
		return fmt.Errorf("the workbook is %w: it has more than %d MiB (unpacked); save the sheet as CSV UTF-8", ErrTooLarge, maxWorkbook>>20)
	}
	return errors.New("the workbook is broken, or protected by a password; save it again without one, or as CSV UTF-8")
}

// whatZip tells a workbook from other archives.
func whatZip(r io.ReaderAt, size int64) error {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return errors.New("the file is no workbook (.xlsx), or it is broken; save it again, or as CSV UTF-8")
	}
	for _, f := range z.File {
		switch {
		case strings.EqualFold(strings.ReplaceAll(f.Name, `\`, "/"), "xl/workbook.xml"):
			return nil
		case f.Name == "xl/workbook.bin":
			return errors.New("the file is a binary workbook (.xlsb); save it as .xlsx or CSV UTF-8")
		case f.Name == "content.xml":
			return errors.New("the file is an OpenDocument workbook (.ods); save it as .xlsx or CSV UTF-8")
		case f.Name == "Index/Document.iwa":
			return errors.New("the file is one of Apple's Numbers; export it as .xlsx or CSV UTF-8")
		}
	}
	return errors.New("the file is a zip archive, or a document of another program, and no workbook; unpack it, or save the list as .xlsx or CSV UTF-8")
}

func (l *List) copyTo(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err == nil {
		_, err = io.Copy(f, io.NewSectionReader(l.spool, 0, l.size))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrDisk, errors.Unwrap(err))
	}
	return nil
}

// sheet is the one that was asked for, or the first that is shown and has an address
// near its top, or the first that is shown.
func (l *List) sheet(book *excelize.File) (string, error) {
	names := book.GetSheetList()
	if l.opts.Sheet != "" {
		n := slices.IndexFunc(names, func(s string) bool { return strings.EqualFold(s, l.opts.Sheet) })
		if n < 0 {
			return "", fmt.Errorf("the workbook has no such sheet; it has %s", shownSheets(names))
		}
		return names[n], nil
	}
	first, chosen := "", ""
	for n, name := range names {
		if visible, err := book.GetSheetVisible(name); err != nil || !visible {
			continue
		}
		first = cmp.Or(first, name)
		switch {
		case !holdsPeople(book, name):
		case chosen == "":
			chosen = name
		default:
			l.unread = append(l.unread, sheetName(name, n))
		}
	}
	if first == "" {
		return "", errors.New("the workbook has no sheet")
	}
	return cmp.Or(chosen, first), nil
}

// holdsPeople reports whether a sheet has an address near its top.
func holdsPeople(book *excelize.File, sheet string) bool {
	rows, err := book.Rows(sheet)
	if err != nil {
		return false // Reading it says why, if it is the one to be read.
	}
	defer func() { _ = rows.Close() }() // It was only read.
	for n := 0; n < headRows && rows.Next(); n++ {
		if cells, err := rows.Columns(); err != nil || hasAddress(cells) {
			return err == nil
		}
	}
	return false
}

func hasAddress(cells []string) bool {
	return slices.ContainsFunc(cells, func(c string) bool {
		_, err := tasks.ParseEmail(c)
		return err == nil
	})
}

// sheetName is the name of a sheet as an error may quote it.
func sheetName(name string, n int) string {
	if isShown(name) {
		return name
	}
	return fmt.Sprintf("sheet %d", n+1)
}

func shownSheets(names []string) string {
	shown := make([]string, 0, 10)
	for n, name := range names {
		if n == 10 {
			shown = append(shown, fmt.Sprintf("%d more", len(names)-n))
			break
		}
		shown = append(shown, sheetName(name, n))
	}
	return strings.Join(shown, ", ")
}

func (l *List) unpackRows(rows *excelize.Rows) error {
	spool, err := temporary()
	if err != nil {
		return err
	}
	_ = l.spool.Close() // It was only read.
	l.spool = spool
	l.digest.Reset()
	counted := &spooler{to: io.MultiWriter(l.spool, l.digest)}
	buffered := bufio.NewWriter(counted)
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	for rows.Next() {
		isHidden := rows.GetRowOpts().Hidden // Columns reads on to the next row.
		cells, err := rows.Columns()
		if err != nil {
			return workbookError(err)
		}
		if isHidden && hasAddress(cells) {
			l.hidden++
		}
		if len(cells) > 16*MaxColumns { // Excel's own bound.
			return fmt.Errorf("the sheet has more than %d columns", 16*MaxColumns)
		}
		if err := out.Encode(cells); err != nil {
			return fmt.Errorf("%w (%w)", ErrDisk, err)
		}
	}
	if rows.Error() != nil {
		return workbookError(rows.Error())
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("%w (%w)", ErrDisk, err)
	}
	l.most = counted.rows()
	l.size, err = l.spool.Seek(0, io.SeekEnd)
	return err
}

// sheetReader reads the rows of a sheet back.
type sheetReader struct {
	in  *bufio.Reader
	row int
}

func (r *sheetReader) next() (record, error) {
	r.row++
	rec := record{line: r.row, last: r.row}
	var cells []string
	line, err := r.in.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) == 0 {
		return rec, io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return rec, err
	}
	if err := json.Unmarshal(line, &cells); err != nil {
		return rec, fmt.Errorf("%w (%w)", ErrDisk, err)
	}
	for _, c := range cells {
		rec.cells = append(rec.cells, []byte(c))
	}
	return rec, nil
}

// openSheet finds the names of the columns in a sheet.
func (l *List) openSheet(ctx context.Context, in *bufio.Reader, said *Survey) (*table, error) {
	said.Sheets, said.Hidden = l.unread, l.hidden
	at, err := findNames(&sheetReader{in: in}, l.match, 0)
	if err != nil {
		return nil, err
	}
	if in, err = l.reader(ctx); err != nil {
		return nil, err
	}
	if at.line == 0 {
		return nil, notNamed(firstNames(&sheetReader{in: in}, 0))
	}
	return openTable(&sheetReader{in: in}, at, &l.opts, said)
}
