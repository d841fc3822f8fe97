package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A journal is a file of steps, each of which is there as a whole or not at all: the
// length of what follows, its checksum, the time of the step and its commands.
type journal struct {
	file *os.File
	size int64
}

// step is what one command, or one script, has written: commands that change Redis,
// and the time at which they did.
type step struct {
	at       time.Time // to the microsecond
	commands [][]string
}

const (
	journalName = "journal"
	journalHead = "inviteq journal 1\n"
	stepHead    = 8 // length and checksum
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// encode returns the step as it stands in the file.
func (s step) encode() []byte {
	b := binary.AppendVarint(make([]byte, stepHead, 256), s.at.UnixMicro())
	b = binary.AppendUvarint(b, uint64(len(s.commands)))
	for _, words := range s.commands {
		b = binary.AppendUvarint(b, uint64(len(words)))
		for _, word := range words {
			b = append(binary.AppendUvarint(b, uint64(len(word))), word...)
		}
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-stepHead))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[stepHead:], checksums))
	return b
}

// errTorn says that the file does not go on as it should: the last step was not
// written to its end, or the disk is damaged.
var errTorn = errors.New("the journal is torn")

// readStep returns the next step and how long it is; io.EOF at the end of the file.
func readStep(r *bufio.Reader, left int64) (s step, length int64, err error) {
	head := make([]byte, stepHead)
	if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) {
		return s, 0, io.EOF
	} else if err != nil {
		return s, 0, errTorn
	}
	n := int64(binary.LittleEndian.Uint32(head))
	if n > left-stepHead {
		return s, 0, errTorn
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil || crc32.Checksum(b, checksums) != binary.LittleEndian.Uint32(head[4:]) {
		return s, 0, errTorn
	}
	at, k := binary.Varint(b)
	b, s.at = b[max(k, 0):], time.UnixMicro(at)
	next := func() uint64 {
		v, k := binary.Uvarint(b)
		b = b[max(k, 0):]
		return v
	}
	for range next() {
		var words []string
		for range next() {
			length := min(next(), uint64(len(b)))
			words, b = append(words, string(b[:length])), b[length:]
		}
		s.commands = append(s.commands, words)
	}
	return s, n + stepHead, nil
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
	r, left := bufio.NewReaderSize(f, 1<<20), info.Size()-int64(len(journalHead))
	if head, err := r.Peek(len(journalHead)); err != nil || string(head) != journalHead {
		return false, fmt.Errorf("%s is no journal of this version of inviteq", f.Name())
	}
	_, _ = r.Discard(len(journalHead))
	for {
		s, length, err := readStep(r, left)
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, nil
		}
		left -= length
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
	for _, b := range slices.Concat([][]byte{[]byte(journalHead)}, encodeAll(steps)) {
		n, _ := w.Write(b) // Flush tells
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

func encodeAll(steps []step) [][]byte {
	all := make([][]byte, len(steps))
	for i, s := range steps {
		all[i] = s.encode()
	}
	return all
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
