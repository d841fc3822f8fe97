package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A journal is a file of steps, each of which is there as a whole or not at all: the
// length of what follows, its checksum, and the step (encoding/gob).
type journal struct {
	file *os.File
	size int64
}

// step is what one command, or one script, has written: commands that change Redis,
// and the time at which they did.
type step struct {
	At       time.Time
	Commands [][]string
}

const (
	journalName = "journal"
	journalHead = "inviteq journal 1\n"
	stepHead    = 8 // length and checksum
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// encode returns the step as it stands in the file.
func (s step) encode() []byte {
	var b bytes.Buffer
	b.Write(make([]byte, stepHead))
	_ = gob.NewEncoder(&b).Encode(s) // no step is too large for memory, in which it stands
	binary.LittleEndian.PutUint32(b.Bytes(), uint32(b.Len()-stepHead))
	binary.LittleEndian.PutUint32(b.Bytes()[4:], crc32.Checksum(b.Bytes()[stepHead:], checksums))
	return b.Bytes()
}

// errTorn says that the file does not go on as it should: the last step was not
// written to its end, or the disk is damaged.
var errTorn = errors.New("the journal is torn")

// readStep returns the next step, of at most so many bytes; io.EOF at the end of the
// file.
func readStep(r io.Reader, most int64) (s step, err error) {
	head := make([]byte, stepHead)
	if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) {
		return s, io.EOF
	} else if err != nil || int64(binary.LittleEndian.Uint32(head)) > most {
		return s, errTorn
	}
	b := make([]byte, binary.LittleEndian.Uint32(head))
	if _, err := io.ReadFull(r, b); err != nil || crc32.Checksum(b, checksums) != binary.LittleEndian.Uint32(head[4:]) {
		return s, errTorn
	}
	return s, gob.NewDecoder(bytes.NewReader(b)).Decode(&s)
}

// readJournal calls apply with every step of a folder's journal. whole is false if the
// file does not end with a whole step; what comes after the last one is left out. A
// crash leaves such an end, of a write that was not answered; nothing else should.
func readJournal(dir string, apply func(step)) (whole bool, _ error) {
	f, err := os.Open(filepath.Join(dir, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	if head, err := r.Peek(len(journalHead)); err != nil || string(head) != journalHead {
		return false, fmt.Errorf("%s is no journal of this version of inviteq", f.Name())
	}
	_, _ = r.Discard(len(journalHead))
	for {
		s, err := readStep(r, info.Size())
		if err != nil {
			return errors.Is(err, io.EOF), nil // The caller is told.
		}
		apply(s)
	}
}

// newJournal replaces a folder's journal by one that begins with these steps: on disk,
// the old one or the new one is there, whatever happens.
func newJournal(dir string, steps []step) (_ *journal, err error) {
	path := filepath.Join(dir, journalName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	w := bufio.NewWriterSize(f, 1<<20)
	n, _ := w.WriteString(journalHead) // Flush tells
	j.size = int64(n)
	for _, s := range steps {
		n, _ := w.Write(s.encode())
		j.size += int64(n)
	}
	err = errors.Join(w.Flush(), f.Sync())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// add writes a step, which is on disk when add returns.
func (j *journal) add(s step) error {
	b := s.encode()
	j.size += int64(len(b))
	if _, err := j.file.Write(b); err != nil {
		return err
	}
	return j.file.Sync()
}
