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
// digit. The object is valid, because its invite is.
//
// Producers wait for this. Decoding and encoding takes several times as long, so
// it is left to the objects that need it: those with spaces, and those in which
// a string may be written in several ways.
func canonical(raw json.RawMessage) (json.RawMessage, error) {
	if isPlain(raw) {
		if sorted, rest, ok := appendSorted(make([]byte, 0, len(raw)), raw); ok && len(rest) == 0 && sorted[0] == '{' {
			return sorted, nil
		}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v map[string]any
	if !json.Valid(raw) || dec.Decode(&v) != nil || v == nil {
		return nil, errMetadata
	}
	s, err := marshal(v)
	return json.RawMessage(s), err
}

// isPlain reports whether there are no spaces between the parts of an object, and
// no characters in it that encoding/json might write in another way.
func isPlain(b []byte) bool {
	inString, isASCII := false, true
	for _, c := range b {
		switch {
		case c == '"':
			inString = !inString
		case c == '\\', c < ' ', c == ' ' && !inString, c == lineSeparator:
			return false
		case c >= utf8.RuneSelf:
			isASCII = false
		}
	}
	return isASCII || utf8.Valid(b)
}

// lineSeparator begins U+2028 and U+2029, which encoding/json always escapes
// (and other characters, to which no harm is done).
const lineSeparator = 0xE2

// appendSorted appends the value with which b begins, its keys in order, and
// returns what follows the value. It is made for plain JSON; what is not JSON
// gives false or nonsense, but no harm.
func appendSorted(dst, b []byte) (_, rest []byte, ok bool) {
	if len(b) == 0 {
		return dst, b, false
	}
	switch b[0] {
	case '{':
		return appendObject(dst, b)
	case '[':
		return appendArray(dst, b)
	case '"':
		end := stringEnd(b)
		return append(dst, b[:end]...), b[end:], end > 0
	}
	end := bytes.IndexAny(b, ",]}")
	if end < 0 {
		end = len(b)
	}
	return append(dst, b[:end]...), b[end:], end > 0
}

func appendArray(dst, b []byte) (_, rest []byte, ok bool) {
	if len(b) > 1 && b[1] == ']' {
		return append(dst, "[]"...), b[2:], true
	}
	for ok = true; ok && b[0] != ']'; ok = ok && len(b) > 0 && (b[0] == ',' || b[0] == ']') {
		dst = append(dst, b[0]) // "[" or ","
		dst, b, ok = appendSorted(dst, b[1:])
	}
	if !ok {
		return dst, b, false
	}
	return append(dst, ']'), b[1:], true
}

func appendObject(dst, b []byte) (_, rest []byte, ok bool) {
	if len(b) > 1 && b[1] == '}' {
		return append(dst, "{}"...), b[2:], true
	}
	type member struct {
		key      string
		from, to int // in dst, key included
	}
	var room [12]member
	members, start := room[:0], len(dst)
	for ok = true; ok && b[0] != '}'; ok = ok && len(b) > 0 && (b[0] == ',' || b[0] == '}') {
		dst, b = append(dst, b[0]), b[1:] // "{" or ","
		end := stringEnd(b)
		if end == 0 || len(b) == end || b[end] != ':' {
			return dst, b, false
		}
		m := member{key: string(b[1 : end-1]), from: len(dst)}
		dst = append(dst, b[:end+1]...)
		dst, b, ok = appendSorted(dst, b[end+1:])
		m.to = len(dst)
		members = append(members, m)
	}
	if !ok {
		return dst, b, false
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
	return append(dst, '}'), b[1:], true
}

// stringEnd returns how long the string is with which b begins, quotes included;
// 0 if it begins with none.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 {
		return 0
	}
	return end + 2
}
