package lists

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/inviteq/inviteq/tasks"
)

// values reads JSON: an object a line, objects over several lines, or one array of
// objects, alone or in an object.
type values struct {
	in      *bufio.Reader
	line    int // of the next byte
	used    int // bytes of this value
	buf     []byte
	byLine  bool // Each object has a line: after a broken one the next goes on.
	inArray bool
	wrapped bool // The array is a member of an object, of which the rest is read when it has ended.
	done    bool // The array has ended.
	item    int

	opts    *Options
	said    *Survey
	match   *matcher
	last    string // the keys of the object before
	known   header // and what they are
	members *object
	ignored map[string]bool
}

func openValues(in *bufio.Reader, m *matcher, o *Options, said *Survey) (*values, error) {
	v := &values{in: in, line: 1, opts: o, said: said, match: m, members: newObject(), ignored: map[string]bool{}}
	head, err := in.Peek(headLen)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(text) > 0 && text[0] == '[':
		v.inArray = true
		for c, err := v.read(); c != '[' && err == nil; c, err = v.read() {
			continue
		}
	case len(text) > 0 && text[0] != '{':
		return nil, fmt.Errorf("the file is not JSON: row %d must begin an object, such as %s, or a list of them",
			1+bytes.Count(head[:len(head)-len(text)], []byte("\n")), `{"email_address":"ada@example.com"}`)
	default:
		if from := v.unwrap(text); from > 0 {
			v.inArray, v.wrapped = true, true
			for range len(head) - len(text) + from {
				if _, err := v.read(); err != nil {
					return nil, err
				}
			}
			return v, nil
		}
		first, _, ended := bytes.Cut(text, []byte("\n"))
		first = bytes.TrimSpace(first)
		v.byLine = !ended || json.Valid(first) || bytes.IndexByte([]byte("{[,"), first[len(first)-1]) < 0
	}
	return v, nil
}

// unwrap returns where the objects begin when the file is one object around a list of
// them, as APIs and exports have it ({"users":[{"email":…}]}); 0 if it is not.
func (v *values) unwrap(text []byte) int {
	if line, rest, _ := bytes.Cut(text, []byte("\n")); json.Valid(line) {
		var object map[string]json.RawMessage
		if json.Unmarshal(line, &object) != nil || len(bytes.TrimSpace(rest)) > 0 || v.hasAddress(object) {
			return 0 // A line for each object.
		}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	for _, err := dec.Token(); err == nil && dec.More(); {
		if _, err = dec.Token(); err != nil {
			return 0 // The name of a member is broken, or not whole.
		}
		list := bytes.TrimLeft(text[dec.InputOffset():], " \t\r\n:")
		if inner, ok := bytes.CutPrefix(list, []byte("[")); ok && bytes.HasPrefix(bytes.TrimSpace(inner), []byte("{")) {
			var first map[string]json.RawMessage
			if json.NewDecoder(bytes.NewReader(inner)).Decode(&first) == nil && v.hasAddress(first) {
				return len(text) - len(inner)
			}
		}
		var other json.RawMessage
		err = dec.Decode(&other)
	}
	return 0
}

func (v *values) hasAddress(object map[string]json.RawMessage) bool {
	h, err := v.match.resolve(slices.Sorted(maps.Keys(object)))
	return err == nil && h.address
}

// rest reads what stands behind the list in the object around it. It must be no other
// list, and no person.
func (v *values) rest() error {
	text, err := io.ReadAll(io.LimitReader(v.in, headLen))
	if err != nil {
		return err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(append([]byte(`{"":0`), text...), &object) != nil || v.hasAddress(object) || wraps(object) != "" {
		return fmt.Errorf("row %d: something stands behind the list that is not understood; give the list alone", v.line)
	}
	return io.EOF
}

func (v *values) read() (byte, error) {
	c, err := v.in.ReadByte()
	if err != nil {
		return 0, err
	}
	if v.used++; v.used > MaxRowLen {
		return 0, errRowLen
	}
	if c == '\n' {
		v.line++
	}
	return c, nil
}

// next returns the next row; io.EOF after the last.
func (v *values) next() (Row, error) {
	for {
		raw, at, err := v.value()
		if err != nil {
			return Row{Place: at}, err
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			return v.row(at, raw)
		}
	}
}

// value returns the text of the next value.
func (v *values) value() ([]byte, Place, error) {
	v.used, v.buf = 0, v.buf[:0]
	if v.byLine {
		at := Place{Row: v.line}
		for {
			c, err := v.read()
			switch {
			case errors.Is(err, io.EOF) && v.used == 0:
				return nil, at, io.EOF
			case err != nil && !errors.Is(err, io.EOF):
				return nil, at, fmt.Errorf("%v: %w", at, err)
			case err != nil || c == '\n':
				return v.buf, at, nil //nolint:nilerr // The last line.
			}
			v.buf = append(v.buf, c)
		}
	}
	return v.object()
}

// object reads one object of several lines, or of an array.
func (v *values) object() ([]byte, Place, error) {
	depth, quoted, escaped := 0, false, false
	at := Place{Row: v.line}
	for {
		c, err := v.read()
		if errors.Is(err, io.EOF) {
			if len(v.buf) == 0 && (!v.inArray || v.done) {
				return nil, at, io.EOF
			}
			return nil, at, fmt.Errorf("%v: the JSON ends too early", at)
		}
		if err != nil {
			return nil, at, fmt.Errorf("%v: %w", at, err)
		}
		if depth == 0 {
			switch {
			case strings.IndexByte(" \t\r\n", c) >= 0:
				continue
			case v.inArray && !v.done && c == ',' && v.item > 0:
				continue
			case v.inArray && !v.done && c == ']':
				if v.done = true; v.wrapped {
					return nil, at, v.rest()
				}
				continue
			case c != '{' || v.done:
				return nil, at, fmt.Errorf("row %d: the JSON is not valid, or not a list of objects: there is something other than an object", v.line)
			}
			at = Place{Row: v.line}
			if v.item++; v.inArray {
				at.Item = v.item
			}
		}
		v.buf = append(v.buf, c)
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth == 0 {
			if !json.Valid(v.buf) {
				return nil, at, fmt.Errorf("%v: is not valid JSON", at)
			}
			return v.buf, at, nil
		}
	}
}

// row makes a row of an object.
func (v *values) row(at Place, raw []byte) (Row, error) {
	if raw[0] != '{' {
		return Row{Place: at}, rowErr(at, "is not a JSON object; every line must be one")
	}
	var object map[string]json.RawMessage
	if err := tasks.DecodeStrict(bytes.NewReader(raw), &object); err != nil {
		return Row{Place: at}, rowErr(at, err.Error())
	}
	keys := slices.Sorted(maps.Keys(object))
	if err := v.resolve(keys); err != nil {
		return Row{Place: at}, rowErr(at, err.Error())
	}
	if !v.known.address {
		if key := wraps(object); key != "" {
			return Row{Place: at}, rowErr(at, fmt.Sprintf("is one object with a list in %q; give that list alone", key))
		}
	}
	var d draft
	v.members.reset()
	for n, key := range keys {
		if c := &v.known.columns[n]; c.isUsed() {
			v.set(&d, c, object[key])
		}
	}
	v.members.into(&d)
	return d.row(at, v.opts)
}

// resolve finds out what the keys are. Most objects of a list have the same.
func (v *values) resolve(keys []string) error {
	signature := strconv.Itoa(len(keys)) + "\x00" + strings.Join(keys, "\x00")
	if v.known.columns != nil && signature == v.last {
		return nil
	}
	h, err := v.match.resolve(keys)
	if err != nil {
		v.known = header{}
		return err
	}
	v.known, v.last = h, signature
	for _, name := range h.ignored {
		if !v.ignored[name] && len(v.ignored) < MaxColumns {
			v.ignored[name] = true
			v.said.Ignored = append(v.said.Ignored, name)
		}
	}
	return nil
}

// set is one value of an object. null is as if it were not there.
func (v *values) set(d *draft, c *column, raw json.RawMessage) {
	if string(raw) == "null" {
		return
	}
	if c.member != nil {
		v.members.addRaw(c.member, raw)
		return
	}
	var text string
	switch raw[0] {
	case '"':
		_ = json.Unmarshal(raw, &text) // It is valid.
		text = string(trimmed([]byte(text)))
	case '{', '[':
		parts, ok := structured(c.name, raw)
		if !ok {
			d.refuse(c.name, "must be a string, a number or true or false")
			return
		}
		text = parts
	default:
		text = string(raw)
	}
	if text == "" {
		return
	}
	if reason := c.set(d, text); reason != "" {
		d.refuse(c.name, reason)
	}
}

// structured is a value that has parts: metadata, or a list of addresses as the
// APIs of identity providers have it.
func structured(field string, raw json.RawMessage) (string, bool) {
	if field == metadataField {
		return string(raw), true
	}
	var plain []string
	var objects []map[string]json.RawMessage
	var id struct {
		OID string `json:"$oid"` // MongoDB's exports
	}
	switch {
	case field == "id" && json.Unmarshal(raw, &id) == nil && id.OID != "":
		return id.OID, true
	case field != emailField || raw[0] != '[':
		return "", false
	case json.Unmarshal(raw, &plain) == nil:
		return strings.Join(plain, ", "), true
	case json.Unmarshal(raw, &objects) != nil:
		return "", false
	}
	for _, o := range objects {
		for key, value := range o {
			var address string
			if k := nameKey(key); (ownNames[k] == emailField || k == "value") && json.Unmarshal(value, &address) == nil {
				plain = append(plain, address)
			}
		}
	}
	return strings.Join(plain, ", "), len(plain) > 0
}

// wraps returns the key under which an object holds a list of objects; "" if there
// is none that may be shown.
func wraps(object map[string]json.RawMessage) string {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if value := bytes.TrimSpace(object[key]); len(value) > 1 && value[0] == '[' && bytes.HasPrefix(bytes.TrimSpace(value[1:]), []byte("{")) && isShown(key) {
			return key
		}
	}
	return ""
}
