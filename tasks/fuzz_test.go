package tasks

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"", "ada@example.com", "Ada <ada@example.com>", `"a b"@example.com`, "用户@例子.广告", "a@xn--mller-kva.de",
		"a@ｅxample.com", "a@b", "a\r\n@example.com", "İ@İx.com", "a@[::1]", "a@1אב.com", "a@xn--.com", "a@exa\u00admple.com", "\xff@example.com",
		"mailto:a@b.co?x", "a@b.co, A@b.co", "'+a@b.co", "\"a@b.co\" <mailto:a@b.co>;", "a@b.co ::: c@d.co"} {
		f.Add(s)
	}
	known := []string{notPlain, decomposed, badDomain, invisible, control, apostrophe, "holds ", standingIn, "is missing", "is longer than 320 bytes", "is not valid UTF-8",
		"has more than 64 bytes before the @", "has a domain without a dot", "has a number for a domain"}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := ParseEmail(in)
		if err != nil {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(err.Error(), k) }) || !e.IsZero() {
				t.Fatalf("ParseEmail(%q) = %q, %v", in, e.Raw(), err)
			}
			return
		}
		raw := e.Raw()
		if again, err := ParseEmail(raw); err != nil || again != e {
			t.Errorf("ParseEmail(%q) again: %q, %v", in, again.Raw(), err)
		}
		if strings.Count(raw, "@") != 1 || strings.ContainsAny(raw, " \r\n\t\x00<>()[],;:\"\\") || len(raw) > MaxEmailLen {
			t.Errorf("accepted %q", raw)
		}
		if masked := e.String(); len(masked) > 15 || strings.Count(masked, "***") != 2 {
			t.Errorf("%q is masked as %q", raw, masked)
		}
		if key := e.Key(); EmailKey(key) != key || EmailKey(shout(key)) != key {
			t.Errorf("the key of %q is %q, of that %q, and of that in capitals %q", raw, key, EmailKey(key), EmailKey(shout(key)))
		}
	})
}

// shout puts the ASCII letters into capitals.
func shout(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func FuzzEmailKey(f *testing.F) {
	for _, s := range []string{"", "@", "a@", "@b", "Ada@Example.COM ", "a@MÜLLER.de", "a@xn--mller-kva.de", "a@b@c", "\xff@\xff", "İ@İ.com", "a@ｅ。com", "a@XN--", "2@xAlle-kva.d,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		key := EmailKey(in)
		if again := EmailKey(key); again != key {
			t.Errorf("EmailKey(%q) = %q, and again %q", in, key, again)
		}
		// What ParseEmail drops around an address is no part of what Clerk answers with.
		if e, err := ParseEmail(in); err == nil && e.Raw() == strings.TrimSpace(in) && e.Key() != key {
			t.Errorf("EmailKey(%q) = %q, but its Email has %q", in, key, e.Key())
		}
	})
}

// fuzzParser feeds a parser. What it takes comes back the same from its own
// encoding, and no error quotes an address: none has an @ but our example.
func fuzzParser[P interface{ Encode() []byte }](f *testing.F, parse func([]byte) (P, error)) {
	golden, err := os.ReadFile("testdata/payloads.golden")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		f.Add([]byte(strings.TrimSpace(line)))
	}
	for _, s := range []string{"", "null", "[]", `{"v":2}`, `{"v":1,"id":1}`, `{"v":1,"id":"ada@example.com"}`, `{"v":1,"x@y":1}`, `{"v":1,"not_before":"x@y"}`,
		`{"v":1,"email_address":"x@y"}`, `{"v":1,"email_address":"a@b.co","public_metadata":{"a":[1e400,"\ud800"]}}`, `{"v":1,"v":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := parse(in)
		if err != nil {
			if text := strings.NewReplacer("ada@example.com", "", "/ and @", "").Replace(err.Error()); strings.Contains(text, "@") {
				t.Fatalf("the error quotes: %q", text)
			}
			return
		}
		b := got.Encode()
		again, err := parse(b)
		if err != nil {
			t.Fatalf("its own encoding %s: %v", b, err)
		}
		if diff := cmp.Diff(got, again, exactly); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzParseCreate(f *testing.F)     { fuzzParser(f, ParseCreate) }
func FuzzParseBulkCreate(f *testing.F) { fuzzParser(f, ParseBulkCreate) }
func FuzzParseRevoke(f *testing.F)     { fuzzParser(f, ParseRevoke) }
func FuzzParseReconcile(f *testing.F)  { fuzzParser(f, ParseReconcile) }
