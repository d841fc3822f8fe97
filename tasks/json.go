package tasks

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only an invalid RawMessage fails, and Validate has refused it. The
		// empty payload is refused by every parser.
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// decode is strict: one object, known fields, the version that we speak. Its
// errors name fields and positions, never values.
func decode(b []byte, v any, version *int) error {
	if len(b) > MaxPayloadLen {
		return fmt.Errorf("payload has %d bytes; at most %d are allowed", len(b), MaxPayloadLen)
	}
	err := DecodeStrict(bytes.NewReader(b), v)
	if err != nil {
		// Of another version the fields are unknown, too: say the cause.
		var other struct {
			V *int `json:"v"`
		}
		if json.Unmarshal(b, &other) != nil || other.V == nil || *other.V == Version {
			return fmt.Errorf("payload %w", err)
		}
		*version = *other.V
	}
	if *version != Version {
		return fmt.Errorf(`payload has "v":%d; this version of inviteq understands "v":%d`, *version, Version)
	}
	return nil
}

// DecodeStrict reads r to its end, which must be exactly one JSON value with
// known fields, each of them once. Bound r first if it comes from outside. The
// errors say what is wrong without quoting the input, which may hold addresses.
func DecodeStrict(r io.Reader, v any) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if !utf8.Valid(b) {
		return errors.New("is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return plainError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has something after the JSON value")
	}
	switch found := inspect(b); {
	case found.duplicate:
		return errors.New("has the same field twice")
	case found.half != "":
		return errors.New(halfCharacter(found.half))
	}
	return nil
}

// plainError says what a decoder's error means, without the values in it.
func plainError(err error) error {
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
	_, name, isUnknown := strings.Cut(err.Error(), "unknown field ")
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("is not valid JSON (it ends too early)")
	case isSyntax:
		return fmt.Errorf("is not valid JSON (at byte %d)", syntax.Offset)
	case isType && wrong.Field == "":
		return errors.New("is not a JSON object")
	case isType:
		field := strings.ReplaceAll(wrong.Field, "InviteJSON.", "")
		return fmt.Errorf("has %s of the wrong type; it must be %s", field, jsonType(wrong.Type))
	case isUnknown:
		return fmt.Errorf("has an unknown field%s", shown(name))
	}
	// Whatever else goes wrong comes from a field that decodes itself.
	return errors.New("has a time that is not RFC 3339, such as 2026-01-31T09:00:00Z")
}

// shown keeps the quoted name of a misspelt field readable, but not an address
// or anything else that stands there as a key.
func shown(name string) string {
	inner := strings.Trim(name, `"`)
	if inner == "" || len(inner) > 40 || strings.ContainsFunc(inner, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return ""
	}
	return " " + name
}

func jsonType(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "an array"
	case reflect.Struct:
		return "an object"
	default:
		return "another type"
	}
}

// inspection is what decoders differ in, or do without a word.
type inspection struct {
	depth     int    // how deep it is nested
	duplicate bool   // an object has the same name twice
	half      string // half of a surrogate pair, such as \ud800, which is no character
}

// inspect walks valid JSON.
func inspect(b []byte) (found inspection) {
	type member struct {
		object int // the objects are numbered as they begin
		name   string
	}
	var (
		open    []int // the numbers of the objects around, 0 for an array
		objects int
		seen    = make(map[member]bool)
		atName  bool // the next string is a name
	)
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{':
			objects++
			open = append(open, objects)
			atName = true
		case '[':
			open = append(open, 0)
			atName = false
		case '}', ']':
			open = open[:len(open)-1]
			atName = false
		case ',':
			atName = open[len(open)-1] != 0
		case '"':
			start := i
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			found.half = cmp.Or(found.half, halfPair(b[start:i]))
			if atName {
				m := member{open[len(open)-1], nameOf(b[start : i+1])}
				found.duplicate = found.duplicate || seen[m]
				seen[m] = true
			}
			atName = false
		}
		found.depth = max(found.depth, len(open))
	}
	return found
}

// halfPair returns the first \uD800 … \uDFFF in a quoted string that is not one
// of a pair. A decoder puts U+FFFD in its place.
func halfPair(quoted []byte) string {
	for i := bytes.IndexByte(quoted, '\\'); i >= 0 && i+1 < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		if i++; quoted[i] != 'u' {
			continue
		}
		unit := quoted[i-1 : i+5]
		r := hexRune(unit)
		if i += 4; !utf16.IsSurrogate(r) {
			continue
		}
		if rest := quoted[i+1:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' && utf16.DecodeRune(r, hexRune(rest)) != unicode.ReplacementChar {
			i += 6
			continue
		}
		return string(unit)
	}
	return ""
}

// hexRune reads the digits behind \u.
func hexRune(escape []byte) rune {
	n, _ := strconv.ParseUint(string(escape[2:6]), 16, 16) // It is valid JSON.
	return rune(n)
}

func halfCharacter(half string) string {
	return "has half of a character (" + half + "), which stands for nothing by itself"
}

func nameOf(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // It is valid.
	return s
}
