package ledger

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:            `{}`,
		` { } `:         `{}`,
		`{"b":1,"a":2}`: `{"a":2,"b":1}`,
		`{"a" : [ 1 , {"z":[],"y":{}} , "x" ], "B":null}`: `{"B":null,"a":[1,{"y":{},"z":[]},"x"]}`,
		`{"n":123456789012345678901234567890.50e+2}`:      `{"n":123456789012345678901234567890.50e+2}`,
		`{"a!":1,"a":2,"ab":3}`:                           `{"a":2,"a!":1,"ab":3}`,
		`{"ä":"ö","a":"{[,]}"}`:                           `{"a":"{[,]}","ä":"ö"}`,
		`{"b":"<&>","\u0061":"\u00e9\/\""}`:               `{"a":"é/\"","b":"<&>"}`,
		"{\"a\":\"\u2028\"}":                              `{"a":"\u2028"}`,
	} {
		got, err := canonical(json.RawMessage(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{``, `null`, `[]`, `"a"`, `1`, `{"a":}`, `{"a":1`, `{"a"`, `{"a`, `{`, `{"a":[`, `{"a":[1`, `{"a":{`, `{1:2}`, `{"a" "b"}`, `{}x`} {
		if got, err := canonical(json.RawMessage(in)); err == nil {
			t.Errorf("%s: got %s, want an error", in, got)
		}
	}
}

// FuzzCanonical holds the quick way to decoding and encoding.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"b":1,"a":[{"d":1,"c":[]},"x",true,null,-0.5e7]}`, `{"a":{"b":{"c":{}}}}`, `{"a":"\\","b":"\u2028"}`, `{"":"","a":{}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := canonical(json.RawMessage(in))
		dec := json.NewDecoder(bytes.NewReader([]byte(in)))
		dec.UseNumber()
		var v map[string]any
		if !json.Valid([]byte(in)) {
			return // Whatever comes, as long as it comes.
		}
		if dec.Decode(&v) != nil || v == nil {
			if err == nil {
				t.Fatalf("%q: got %s, want an error", in, got)
			}
			return
		}
		want, err2 := marshal(v)
		if err2 != nil || err != nil {
			t.Fatalf("%q: %v, %v", in, err, err2)
		}
		// The same name twice is refused before an invite is admitted.
		if string(got) != want && utf8.ValidString(in) && !hasTwice(in) {
			t.Fatalf("%q: got %s, want %s", in, got, want)
		}
	})
}

// hasTwice reports whether an object has the same name twice: then encoding what
// was decoded loses something.
func hasTwice(in string) bool {
	dec := json.NewDecoder(bytes.NewReader([]byte(in)))
	var walk func() bool
	walk = func() bool {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch tok {
		case json.Delim('{'):
			seen := map[string]bool{}
			for dec.More() {
				name, _ := dec.Token()
				s, _ := name.(string)
				if seen[s] {
					return true
				}
				seen[s] = true
				if walk() {
					return true
				}
			}
			_, _ = dec.Token()
		case json.Delim('['):
			for dec.More() {
				if walk() {
					return true
				}
			}
			_, _ = dec.Token()
		}
		return false
	}
	return walk()
}
