package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// importFile is a list that can be read more than once: first to find every bad
// row, then to enqueue, and perhaps again for the report.
type importFile struct {
	file   *os.File
	temp   bool // It is a copy of ours, to be removed.
	name   string
	format enqueue.Format
	lane   tasks.Lane
}

// openImport opens the file; "-" is stdin. What cannot be read twice (a pipe) is
// copied into a temporary file that nobody else may read.
func openImport(ctx context.Context, name, format string, lane tasks.Lane, stdin io.Reader) (_ *importFile, err error) {
	f := &importFile{name: name, lane: lane}
	if name == "-" {
		f.name = "standard input"
		err = f.spool(ctx, stdin)
	} else if f.file, err = os.Open(name); err == nil {
		info, statErr := f.file.Stat()
		switch {
		case statErr != nil:
			err = statErr
		case info.IsDir():
			err = fmt.Errorf("%s is a directory", name)
		case !info.Mode().IsRegular():
			pipe := f.file
			err = f.spool(ctx, pipe)
			pipe.Close()
		}
	}
	if ctx.Err() != nil {
		f.Close()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		f.Close()
		return nil, &usageError{err}
	}
	if format != "" {
		f.format, err = enqueue.ParseFormat(format)
	} else {
		f.format, err = enqueue.DetectFormat(name, bufio.NewReader(f.file))
	}
	if err != nil {
		f.Close()
		return nil, &usageError{err}
	}
	return f, nil
}

func (f *importFile) spool(ctx context.Context, r io.Reader) (err error) {
	if f.file, err = os.CreateTemp("", "inviteq-import-"); err != nil { // mode 0600
		return err
	}
	f.temp = true
	// A read from a terminal or a pipe may wait for ever, and no context ends
	// it: then it is left to the end of the process.
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(f.file, r)
		copied <- err
	}()
	select {
	case err := <-copied:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close closes the file, and removes it if it is a copy of ours.
func (f *importFile) Close() {
	if f.file == nil {
		return
	}
	f.file.Close()
	if f.temp {
		_ = os.Remove(f.file.Name()) // the system clears its temporary files as well
	}
}

// rows reads the list from its beginning. What is read goes through also.
func (f *importFile) rows(ctx context.Context, also io.Writer) (enqueue.Source, error) {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r := io.TeeReader(readerContext{ctx, f.file}, also)
	return f.format.Rows(r).Lane(f.lane).Distinct(), nil
}

// survey is what the first pass over a list has found.
type survey struct {
	good       int
	bad        int
	duplicates int
	differing  int // duplicates whose other columns differ
	id         string
}

// check goes over the whole list and tells everything that is wrong with it.
func (f *importFile) check(ctx context.Context, bad func(*enqueue.RowError) error, duplicate func(*enqueue.DuplicateError)) (survey, error) {
	var s survey
	content := sha256.New()
	rows, err := f.rows(ctx, content)
	if err != nil {
		return s, err
	}
	for _, err := range rows {
		rowErr, isBad := errors.AsType[*enqueue.RowError](err)
		dup, isDuplicate := errors.AsType[*enqueue.DuplicateError](err)
		switch {
		case isBad:
			s.bad++
			if err := bad(rowErr); err != nil {
				return s, err
			}
		case isDuplicate:
			s.duplicates++
			if !dup.Same {
				s.differing++
			}
			duplicate(dup)
		case ctx.Err() != nil:
			return s, context.Cause(ctx)
		case err != nil:
			return s, &usageError{fmt.Errorf("%s: %w", f.name, err)}
		default:
			s.good++
		}
	}
	s.id = importID(content)
	return s, nil
}

// importID names an import by what its file holds: the same file again is the
// same import, in which nobody is invited twice.
func importID(content hash.Hash) string {
	text := base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	return "imp_" + text.EncodeToString(content.Sum(nil)[:10])
}

// problemsOf writes the problems of a row on one line.
func problemsOf(e *enqueue.RowError) string {
	words := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		words[i] = p.String()
	}
	return strings.Join(words, "; ")
}

// readerContext stops reading when the context ends.
type readerContext struct {
	ctx context.Context
	r   io.Reader
}

func (r readerContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
