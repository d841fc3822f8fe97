package lists

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/inviteq/inviteq/tasks"
)

// Bounds of a list unless Options says otherwise.
const (
	DefaultMaxRows  = 1_000_000
	DefaultMaxBytes = 1 << 30
)

// Options say how a list is read. The zero value is ready to use.
type Options struct {
	// Name is that of the file, if there is one. It is shown, and kept with the
	// import (without its folder).
	Name string

	// Format defaults to what the content tells.
	Format Format

	// Sheet names the sheet of a workbook. Defaults to the first one that is not
	// hidden.
	Sheet string

	// Columns says what a column of the list is, by the name that it has there: a
	// field of tasks.InviteJSON, public_metadata.KEY, or "ignore". Other columns
	// are known by their names. See ParseColumns.
	Columns map[string]string

	// GlobalIDs says that the ids in the list are the caller's own, as those of
	// tasks.Invite. Otherwise an id names a row within its import.
	GlobalIDs bool

	// Interactive puts rows that name no lane into the interactive lane.
	Interactive bool

	// Hold is enqueue.BulkOptions.Hold. A row whose deadline comes sooner is bad.
	Hold time.Duration

	// MaxRows and MaxBytes bound the list, unpacked. They default to
	// DefaultMaxRows and DefaultMaxBytes.
	MaxRows  int
	MaxBytes int64
}

// Format is a file format.
type Format string

// The formats.
const (
	CSV      Format = "csv"
	JSON     Format = "json" // a line for each object, or an array of them
	Workbook Format = "xlsx"
)

// ParseFormat understands "csv", "json", "jsonl" and "xlsx".
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case CSV, JSON, Workbook:
		return f, nil
	case "jsonl":
		return JSON, nil
	}
	return "", errors.New("format must be csv, json, jsonl or xlsx")
}

var (
	// ErrDisk says that a list could not be copied: the disk may be full.
	ErrDisk = errors.New("the list cannot be copied into a temporary file; is the disk full?")

	// ErrTooLarge is inside the error about a list of too many rows or bytes.
	ErrTooLarge = errors.New("too large")
)

// List is a list that can be read as often as need be. It is not safe for
// concurrent use.
type List struct {
	opts   Options
	match  *matcher
	format Format
	spool  *os.File // It has no name any more.
	size   int64
	most   int // It has no more rows than this.
	digest hash.Hash
	seen   *seen

	unread []string // Other sheets of a workbook that hold addresses.
	hidden int      // Rows with an address that the workbook hides.
}

// Open copies a list into a temporary file, and says if it is none. It waits for
// the reader, which may be a terminal or a pipe, no longer than ctx.
func Open(ctx context.Context, r io.Reader, o Options) (_ *List, err error) {
	if o.MaxRows <= 0 {
		o.MaxRows = DefaultMaxRows
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	l := &List{opts: o, match: newMatcher(o.Columns), digest: sha256.New()}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.spool, err = temporary(); err != nil {
		return nil, err
	}
	// A read may wait for ever, and no context ends it: then it is left to the end of
	// the process.
	copied := make(chan error, 1)
	go func() { copied <- l.copy(r) }()
	select {
	case err = <-copied:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return l, l.sniff()
}

// temporary makes a file that nobody else can read, and that is gone with the
// process.
func temporary() (*os.File, error) {
	f, err := os.CreateTemp("", "inviteq-list-") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDisk, errors.Unwrap(err))
	}
	_ = os.Remove(f.Name()) // where that is not possible the system tidies up
	return f, nil
}

// copy unpacks and decodes on the way.
func (l *List) copy(r io.Reader) error {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(2); string(head) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return errors.New("the file is broken: it begins like one compressed by gzip")
		}
		in = bufio.NewReader(z)
	}
	head, _ := in.Peek(4)
	var from io.Reader = in
	switch {
	case string(head) == "\xff\xfe\x00\x00" || string(head) == "\x00\x00\xfe\xff":
		return errors.New("the file is UTF-32; save it as UTF-8")
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		from = transform.NewReader(in, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder())
	}
	spool := &spooler{to: io.MultiWriter(l.spool, l.digest)}
	defer func() { l.most = spool.rows() }()
	n, err := io.Copy(spool, io.LimitReader(from, l.opts.MaxBytes+1))
	switch {
	case spool.err != nil:
		return fmt.Errorf("%w (%w)", ErrDisk, spool.err)
	case err != nil:
		return fmt.Errorf("the list cannot be read to its end: %w", err)
	case n > l.opts.MaxBytes:
		return fmt.Errorf("the list is %w: it has more than %d MiB (unpacked)", ErrTooLarge, l.opts.MaxBytes>>20)
	}
	l.size = n
	return nil
}

// spooler tells a full disk from a reader that fails, and counts what rows end with.
type spooler struct {
	to            io.Writer
	err           error
	lines, braces int
}

// rows is how many rows there are at most.
func (s *spooler) rows() int { return max(s.lines, s.braces) + 1 }

func (s *spooler) Write(p []byte) (int, error) {
	s.lines += bytes.Count(p, []byte("\n")) + bytes.Count(p, []byte("\r")) - bytes.Count(p, []byte("\r\n"))
	s.braces += bytes.Count(p, []byte("{"))
	n, err := s.to.Write(p)
	s.err = err
	return n, err
}

// sniff finds out what the file is.
func (l *List) sniff() error {
	head := make([]byte, 512)
	n, err := l.spool.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w (%w)", ErrDisk, err)
	}
	head = head[:n]
	if l.opts.Format == Workbook || bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		l.format = Workbook
		return l.unpackWorkbook()
	}
	text := bytes.TrimLeft(withoutBOM(head), " \t\r\n")
	for _, kind := range noLists {
		if bytes.HasPrefix(text, []byte(kind.begins)) || bytes.HasPrefix(bytes.ToLower(text), []byte(kind.begins)) {
			return errors.New(kind.what)
		}
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return errors.New("the file is UTF-16 without a byte order mark, or not text at all; save it as UTF-8")
	}
	l.format = l.opts.Format
	if l.format == "" {
		l.format = CSV
		if len(text) > 0 && (text[0] == '{' || text[0] == '[' && isJSONArray(text)) {
			l.format = JSON
		}
	}
	return nil
}

// isJSONArray tells an array from a first column whose name stands in brackets.
func isJSONArray(text []byte) bool {
	rest := bytes.TrimLeft(text[1:], " \t\r\n")
	return len(rest) == 0 || bytes.IndexByte([]byte(`{["]`), rest[0]) >= 0
}

// noLists are files that people take for lists, by how they begin in lower case.
var noLists = []struct{ begins, what string }{
	{"\xd0\xcf\x11\xe0", "the file is an old workbook (.xls), or one that is protected by a password; save it as .xlsx without one, or as CSV UTF-8"},
	{"<", "the file is HTML or XML (some programs call that .xls); open it in a spreadsheet and save it as .xlsx or CSV UTF-8"},
	{"%pdf", "the file is a PDF; export the list as CSV or .xlsx"},
	{"begin:vcard", "the file holds vCards; export the contacts as CSV"},
	{"{\\rtf", "the file is a text document; save the list as plain text or CSV UTF-8"},
}

func withoutBOM(text []byte) []byte {
	for bytes.HasPrefix(text, bom) {
		text = text[len(bom):]
	}
	return text
}

var bom = []byte("\xef\xbb\xbf")

// reader reads the spool from its beginning, behind its byte order marks.
func (l *List) reader(ctx context.Context) (*bufio.Reader, error) {
	if _, err := l.spool.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDisk, err)
	}
	in := bufio.NewReaderSize(contextReader{ctx, l.spool}, headLen)
	for {
		if head, _ := in.Peek(len(bom)); !bytes.Equal(head, bom) {
			return in, nil // Whoever reads on meets the error.
		}
		_, _ = in.Discard(len(bom))
	}
}

// contextReader stops reading when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// Close removes the copy.
func (l *List) Close() {
	if l.spool != nil {
		_ = l.spool.Close() // It was only read.
	}
}

// Digest is a hash of what the list holds.
func (l *List) Digest() []byte { return l.digest.Sum(nil) }

// ImportID names an import by what its list holds: the same list again is the same
// import, in which nobody is invited twice.
func (l *List) ImportID() string { return "imp_" + tasks.IDText.EncodeToString(l.Digest()[:10]) }

// Name is the file's own name without its folder; "" if there is none. What looks
// like an address is no name.
func (l *List) Name() string {
	name := filepath.Base(l.opts.Name)
	if l.opts.Name == "" || name == "-" || strings.Contains(name, "@") {
		return ""
	}
	return name[:min(len(name), 100)]
}

// identify gives a good row the id under which it is known in an import.
func (l *List) identify(importID string, row *Row) {
	i := &row.Invite
	i.ImportID = importID
	switch {
	case i.ID != "": // The caller's own.
	case row.name != "":
		i.ID = tasks.ImportRowID(importID, row.name)
	default:
		i.ID = tasks.ImportInviteID(importID, i.EmailAddress)
	}
}
