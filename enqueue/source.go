package enqueue

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"path/filepath"
	"strings"

	"github.com/inviteq/inviteq/tasks"
)

// MaxRowLen is the longest row of an import, in bytes. The largest valid row
// has a twentieth of it. A file that goes on longer without ending a row is
// given up at that point, so a source needs the same memory for any file.
const MaxRowLen = 1 << 20

// Row is one good row of an import.
type Row struct {
	Number int // The line of the file on which the row begins, from 1, as editors count.
	Invite tasks.Invite

	ownLane bool // The row itself named the lane.
}

// Source reads an import row by row and never holds more than one. It can be
// consumed once, because it reads from a stream.
//
// A row that cannot be used comes as a *RowError, or from Distinct as a
// *DuplicateError, and reading goes on. Any other error (the stream failed, or
// it is not the format that it was taken for) is the last thing that comes. No
// error ever quotes what is in a row.
//
// An invite of a source is valid, has no import id, and is in the Import lane
// unless its row says otherwise.
type Source iter.Seq2[Row, error]

// RowError says everything that is wrong with one row.
type RowError struct {
	Row      int             // The line on which the row begins.
	Problems []tasks.Problem // Field is empty when the row as a whole is at fault.
}

// Error names the row, its fields and what is allowed, never a value.
func (e *RowError) Error() string {
	return fmt.Sprintf("row %d: %v", e.Row, &tasks.ValidationError{Problems: e.Problems})
}

// DuplicateError says that a row's address has been seen before. The first row
// counts; a later one is left out even if its other columns differ, because a
// second invite would be refused by Clerk or mail the person twice.
type DuplicateError struct {
	Row   int
	First int  // The row that counts.
	Same  bool // The two rows ask for the same thing, so nothing is lost.
}

// Error names both rows.
func (e *DuplicateError) Error() string {
	if e.Same {
		return fmt.Sprintf("row %d: same address as row %d", e.Row, e.First)
	}
	return fmt.Sprintf("row %d: same address as row %d, with other contents; row %d counts", e.Row, e.First, e.First)
}

// Lane puts the rows that do not name a lane into this one.
func (s Source) Lane(l tasks.Lane) Source {
	return func(yield func(Row, error) bool) {
		for row, err := range s {
			if !row.ownLane {
				row.Invite.Lane = l
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// Distinct turns every row whose address (tasks.Email.Key) has been seen in an
// earlier good row into a *DuplicateError.
//
// It keeps hashes and row numbers only, about 40 bytes a row. That two
// addresses of a million rows share their 64-bit hash, so that one is left out
// by mistake, has a chance of one in forty million.
func (s Source) Distinct() Source {
	return func(yield func(Row, error) bool) {
		type first struct {
			row     uint32
			content uint32
		}
		seed, seen := maphash.MakeSeed(), make(map[uint64]first)
		for row, err := range s {
			if err == nil {
				key := maphash.String(seed, row.Invite.EmailAddress.Key())
				content := contentHash(seed, row.Invite)
				if f, ok := seen[key]; ok {
					err = &DuplicateError{Row: row.Number, First: int(f.row), Same: f.content == content}
					row = Row{Number: row.Number}
				} else {
					seen[key] = first{uint32(row.Number), content}
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// contentHash covers all that a row asks for but the spelling of the address.
func contentHash(seed maphash.Seed, i tasks.Invite) uint32 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.Write(i.PublicMetadata)
	maphash.WriteComparable(&h, struct {
		redirect, template, id string
		noNotify, ignore       bool
		days                   int
		lane                   tasks.Lane
		notBefore, deadline    int64
	}{
		i.RedirectURL, i.TemplateSlug, i.ID, i.NoNotify, i.IgnoreExisting, i.ExpiresInDays,
		i.Lane, i.NotBefore.UnixNano(), i.Deadline.UnixNano(),
	})
	return uint32(h.Sum64())
}

// Invites is the form that Client.BulkInvite takes. Rows that cannot be used
// (*RowError, *DuplicateError) are handed to skip and left out. With a nil skip
// duplicates are left out silently, and the first *RowError ends the sequence.
func (s Source) Invites(skip func(error)) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for row, err := range s {
			_, isBad := errors.AsType[*RowError](err)
			_, isDuplicate := errors.AsType[*DuplicateError](err)
			switch {
			case skip != nil && (isBad || isDuplicate):
				skip(err)
				continue
			case isDuplicate:
				continue
			}
			if !yield(row.Invite, err) || err != nil {
				return
			}
		}
	}
}

// Format is a file format of an import.
type Format string

// The formats.
const (
	FormatCSV       Format = "csv"
	FormatJSONLines Format = "jsonl"
)

// ParseFormat understands "csv" and "jsonl".
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case FormatCSV, FormatJSONLines:
		return f, nil
	}
	return "", errors.New("format must be csv or jsonl")
}

// DetectFormat tells the format from the file's name, and if that says nothing
// ("-" for standard input), from the first character, which is left in r.
func DetectFormat(name string, r *bufio.Reader) (Format, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv", ".tsv", ".tab":
		return FormatCSV, nil
	case ".jsonl", ".ndjson", ".jsonlines":
		return FormatJSONLines, nil
	}
	for n := 1; ; n++ {
		head, err := r.Peek(n)
		text := bytes.TrimLeft(bytes.TrimPrefix(head, bom), " \t\r\n")
		switch {
		case len(text) > 0 && !bytes.HasPrefix(bom, text):
			if text[0] == '{' || text[0] == '[' {
				return FormatJSONLines, nil
			}
			return FormatCSV, nil
		case errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull):
			return FormatCSV, nil
		case err != nil:
			return "", err
		}
	}
}

// Rows reads r in this format.
func (f Format) Rows(r io.Reader) Source {
	if f == FormatJSONLines {
		return JSONLines(r)
	}
	return CSV(r)
}

var bom = []byte("\xef\xbb\xbf")

// notText names what a file is when it is not UTF-8 text, from its first bytes.
func notText(head []byte) error {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return errors.New("the file is UTF-16; save it as UTF-8")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return errors.New("the file is a workbook or a zip archive; save the sheet as CSV (UTF-8)")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return errors.New("the file is compressed; unpack it first")
	case bytes.IndexByte(head, 0) >= 0:
		return errors.New("the file is UTF-16 or not text at all; save it as UTF-8")
	}
	return nil
}

// fence is a reader that ends with errRowLen once more than MaxRowLen bytes
// have been read since the row began at start, with whatever has been read
// ahead on top. Its error stays.
type fence struct {
	r     io.Reader
	read  int64
	start int64
	err   error
}

var errRowLen = errors.New("is longer than 1 MiB; is a quotation mark or a line end missing?")

func (f *fence) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	left := f.start + MaxRowLen - f.read
	if left <= 0 {
		f.err = errRowLen
		return 0, f.err
	}
	n, err := f.r.Read(p[:min(int64(len(p)), left)])
	f.read += int64(n)
	f.err = err
	return n, err
}

// rowErr makes the error of one row from one that is not about a field.
func rowErr(row int, reason string) *RowError {
	return &RowError{Row: row, Problems: []tasks.Problem{{Reason: reason}}}
}
