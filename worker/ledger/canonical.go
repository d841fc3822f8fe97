package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

var errMetadata = errors.New("public_metadata must be a JSON object")

// canonical returns a JSON object without spaces and with its keys in order, at
// every depth, so that the same metadata has the same bytes. Numbers keep every
// digit.
//
// Producers wait for this. Decoding and encoding takes five times as long, so it
// is left to the objects that need it: those in which a string may be written in
// several ways.
func canonical(raw json.RawMessage) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil || b.Len() == 0 || b.Bytes()[0] != '{' {
		return nil, errMetadata
	}
	if compact := b.Bytes(); bytes.IndexByte(compact, '\\') < 0 && !bytes.Contains(compact, lineSeparator) && utf8.Valid(compact) {
		sorted, _ := appendSorted(make([]byte, 0, len(compact)), compact)
		return sorted, nil
	}
	dec := json.NewDecoder(&b)
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, errMetadata
	}
	s, err := marshal(v)
	return json.RawMessage(s), err
}

// lineSeparator begins U+2028 and U+2029, which encoding/json always escapes.
var lineSeparator = []byte("\u2028")[:2]

// appendSorted appends the value with which b begins, its keys in order, and
// returns what follows the value. b is valid JSON without spaces or escapes.
func appendSorted(dst, b []byte) (_, rest []byte) {
	switch b[0] {
	case '{':
		return appendObject(dst, b)
	case '[':
		if b[1] == ']' {
			return append(dst, "[]"...), b[2:]
		}
		for b[0] != ']' { // b begins with "[" or ",".
			dst = append(dst, b[0])
			dst, b = appendSorted(dst, b[1:])
		}
		return append(dst, ']'), b[1:]
	case '"':
		end := stringEnd(b)
		return append(dst, b[:end]...), b[end:]
	}
	end := bytes.IndexAny(b, ",]}")
	if end < 0 {
		end = len(b)
	}
	return append(dst, b[:end]...), b[end:]
}

func appendObject(dst, b []byte) (_, rest []byte) {
	if b[1] == '}' {
		return append(dst, "{}"...), b[2:]
	}
	type member struct {
		key      string
		from, to int // in dst, key included
	}
	var room [12]member
	members, start := room[:0], len(dst)
	for b[0] != '}' { // b begins with "{" or ",".
		dst, b = append(dst, b[0]), b[1:]
		end := stringEnd(b)
		m := member{key: string(b[1 : end-1]), from: len(dst)}
		dst = append(dst, b[:end+1]...)
		dst, b = appendSorted(dst, b[end+1:])
		m.to = len(dst)
		members = append(members, m)
	}
	byKey := func(a, b member) int { return strings.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(members, byKey) {
		slices.SortStableFunc(members, byKey)
		unsorted := slices.Clone(dst[start:])
		dst = dst[:start]
		for n, m := range members {
			dst = append(dst, "{,"[min(n, 1)])
			dst = append(dst, unsorted[m.from-start:m.to-start]...)
		}
	}
	return append(dst, '}'), b[1:]
}

// stringEnd returns how long the string is with which b begins, quotes included.
func stringEnd(b []byte) int { return bytes.IndexByte(b[1:], '"') + 2 }
