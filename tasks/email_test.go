package tasks

import (
	"strings"
	"testing"
)

const (
	notPlain   = "is not one plain address such as ada@example.com"
	badDomain  = "has a domain that is not valid"
	invisible  = "contains an invisible character, a symbol or a look-alike"
	control    = "contains a control character"
	decomposed = "has an accent apart from its letter (it is not in Unicode's form NFC)"
	standingIn = "has a domain with letters that stand for others, such as full-width ones"
)

func TestParseEmail(t *testing.T) {
	long := strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 100) + "example.com"
	tests := []struct {
		name, in string
		want     string // the error; "" if the address is accepted
		key      string // of an accepted address; "" if it is the input
	}{
		{name: "plain", in: "ada@example.com"},
		{name: "shortest", in: "a@b.co"},
		{name: "capitals", in: "Ada.Lovelace@Example.COM", key: "ada.lovelace@example.com"},
		{name: "plus-tag", in: "ada+work@example.com"},
		{name: "every allowed symbol", in: "!#$%&'*+-/=?^_`{|}~@example.com"},
		{name: "surrounding spaces", in: "  ada@example.com ", key: "ada@example.com"},
		{name: "subdomains and digits", in: "1@2.3.example.co.uk"},
		{name: "hyphens in third and fourth place", in: "ada@r3---sn.example.com"},
		{name: "looks like an encoded word", in: "=?utf-8?q?ada?=@example.com"},
		{name: "64 bytes of mailbox, long domain", in: long},

		{name: "IDN domain", in: "ada@müller.example", key: "ada@xn--mller-kva.example"},
		{name: "IDN domain in capitals", in: "ada@MÜLLER.example", key: "ada@xn--mller-kva.example"},
		{name: "IDN top-level domain", in: "ada@example.рф", key: "ada@example.xn--p1ai"},
		{name: "right-to-left IDN domain", in: "ada@דוגמה.example", key: "ada@xn--6dbbec0c.example"},
		{name: "sharp s is not ss", in: "ada@faß.example", key: "ada@xn--fa-hia.example"},
		{name: "punycode", in: "ada@xn--mller-kva.example"},
		{name: "punycode in capitals", in: "ada@XN--MLLER-KVA.example", key: "ada@xn--mller-kva.example"},
		{name: "unicode mailbox", in: "用户@例子.广告", key: "用户@xn--fsqu00a.xn--4rr70v"},
		{name: "unicode mailbox in capitals", in: "ÄDA@example.com", key: "äda@example.com"},

		{name: "empty", in: "", want: "is missing"},
		{name: "spaces", in: "   ", want: "is missing"},
		{name: "no @", in: "ada.example.com", want: notPlain},
		{name: "no mailbox", in: "@example.com", want: notPlain},
		{name: "no domain", in: "ada@", want: notPlain},
		{name: "two @", in: "ada@@example.com", want: notPlain},
		{name: "two @ apart", in: "ada@lovelace@example.com", want: notPlain},
		{name: "display name", in: "Ada Lovelace <ada@example.com>", want: notPlain},
		{name: "quoted display name", in: `"Ada" <ada@example.com>`, want: notPlain},
		{name: "angle brackets", in: "<ada@example.com>", want: notPlain},
		{name: "comment behind", in: "ada@example.com (Ada)", want: notPlain},
		{name: "comment before", in: "(Ada)ada@example.com", want: notPlain},
		{name: "comment inside", in: "ada(Ada)@example.com", want: notPlain},
		{name: "quoted mailbox", in: `"ada"@example.com`, want: notPlain},
		{name: "quoted mailbox with a space", in: `"ada lovelace"@example.com`, want: notPlain},
		{name: "quoted mailbox with an @", in: `"ada@lovelace"@example.com`, want: notPlain},
		{name: "escaped character", in: `ada\@lovelace@example.com`, want: notPlain},
		{name: "space inside", in: "ada lovelace@example.com", want: notPlain},
		{name: "space before the domain", in: "ada@ example.com", want: notPlain},
		{name: "two addresses, comma", in: "ada@example.com,grace@example.com", want: notPlain},
		{name: "two addresses, semicolon", in: "ada@example.com; grace@example.com", want: notPlain},
		{name: "group", in: "friends: ada@example.com;", want: notPlain},
		{name: "mailto", in: "mailto:ada@example.com", want: notPlain},
		{name: "source route", in: "@example.org:ada@example.com", want: notPlain},
		{name: "leading dot", in: ".ada@example.com", want: notPlain},
		{name: "dot before the @", in: "ada.@example.com", want: notPlain},
		{name: "double dot", in: "ada..lovelace@example.com", want: notPlain},
		{name: "double dot in domain", in: "ada@example..com", want: notPlain},
		{name: "leading dot in domain", in: "ada@.example.com", want: notPlain},
		{name: "trailing dot", in: "ada@example.com.", want: notPlain},
		{name: "comma for a dot", in: "ada@example,com", want: notPlain},

		{name: "line feed", in: "ada@example.com\n", want: control},
		{name: "header injection", in: "ada@example.com\r\nBcc: grace@example.com", want: control},
		{name: "folded", in: "ada\r\n @example.com", want: control},
		{name: "tab", in: "\tada@example.com", want: control},
		{name: "NUL", in: "ada\x00@example.com", want: control},
		{name: "delete", in: "ada\x7f@example.com", want: control},
		{name: "C1 control", in: "ada\u0085@example.com", want: control},
		{name: "invalid UTF-8", in: "ada\xff@example.com", want: "is not valid UTF-8"},
		{name: "Latin-1", in: "ada@m\xfcller.example", want: "is not valid UTF-8"},
		{name: "surrogate", in: "ada\xed\xa0\x80@example.com", want: "is not valid UTF-8"},

		{name: "zero-width space", in: "ada\u200b@example.com", want: invisible},
		{name: "zero-width space in domain", in: "ada@exam\u200bple.com", want: invisible},
		{name: "zero-width joiner", in: "a\u200dda@example.com", want: invisible},
		{name: "byte order mark", in: "\ufeffada@example.com", want: invisible},
		{name: "soft hyphen", in: "ada@exam\u00adple.com", want: invisible},
		{name: "right-to-left override", in: "\u202eada@example.com", want: invisible},
		{name: "right-to-left mark", in: "ada\u200f@example.com", want: invisible},
		{name: "bidirectional isolate", in: "ada\u2066@example.com", want: invisible},
		{name: "no-break space", in: "ada@example.com\u00a0", want: invisible},
		{name: "ideographic space", in: "ada\u3000@example.com", want: invisible},
		{name: "line separator", in: "ada\u2028@example.com", want: invisible},
		{name: "Hangul filler is a letter", in: "ada\u3164@example.com", want: invisible},
		{name: "grapheme joiner is a mark", in: "ada\u034f@example.com", want: invisible},
		{name: "variation selector is a mark", in: "ada\ufe0f@example.com", want: invisible},
		{name: "Mongolian variation selector", in: "ada\u180b@example.com", want: invisible},
		{name: "blank Braille", in: "ada\u2800@example.com", want: invisible},
		{name: "tag", in: "ada\U000e0041@example.com", want: invisible},
		{name: "private use", in: "ada\ue000@example.com", want: invisible},
		{name: "unassigned", in: "ada\u0378@example.com", want: invisible},
		{name: "full-width @", in: "ada＠example.com", want: invisible},
		{name: "full-width @ as the first of two", in: "ada＠x@example.com", want: invisible},
		{name: "ideographic full stop", in: "ada@example。com", want: invisible},
		{name: "emoji mailbox", in: "😀@example.com", want: invisible},
		{name: "emoji domain", in: "ada@😀.example", want: invisible},
		{name: "typographic quotes", in: "“ada”@example.com", want: invisible},
		{name: "en dash", in: "ada–l@example.com", want: invisible},

		{name: "no dot", in: "a@b", want: "has a domain without a dot"},
		{name: "localhost", in: "ada@localhost", want: "has a domain without a dot"},
		{name: "IPv4", in: "ada@127.0.0.1", want: "has a number for a domain"},
		{name: "IPv4 literal", in: "ada@[127.0.0.1]", want: badDomain},
		{name: "IPv6 literal", in: "ada@[IPv6:::1]", want: notPlain},
		{name: "numeric top-level domain", in: "ada@example.123", want: "has a number for a domain"},
		{name: "underscore", in: "ada@exa_mple.com", want: badDomain},
		{name: "leading hyphen", in: "ada@-example.com", want: badDomain},
		{name: "trailing hyphen", in: "ada@example-.com", want: badDomain},
		{name: "hyphen at the end", in: "ada@example.com-", want: badDomain},
		{name: "percent in domain", in: "ada@exam%20ple.com", want: badDomain},
		{name: "empty punycode", in: "ada@xn--.com", want: badDomain},
		{name: "broken punycode", in: "ada@xn--zz--.com", want: badDomain},
		{name: "punycode of plain letters", in: "ada@xn--example-.com", want: badDomain},
		{name: "punycode of an emoji", in: "ada@xn--e28h.example", want: badDomain},
		{name: "mixed directions", in: "ada@1אב.example", want: badDomain},
		{name: "leading combining mark", in: "ada@\u0301x.example", want: badDomain},
		{name: "full-width letter", in: "ada@ｅxample.com", want: standingIn},
		{name: "Kelvin sign in the domain", in: "ada@\u212a.example", want: invisible},
		{name: "dotted capital I in the domain", in: "ada@İx.example", want: invisible},
		{name: "Kelvin sign in the mailbox", in: "\u212a@example.com", want: invisible},
		{name: "dotted capital I in the mailbox", in: "İ@example.com", want: invisible},
		{name: "circled letter", in: "ada@ⓔxample.com", want: invisible},
		{name: "ligature", in: "ada@oﬃce.example", want: standingIn},
		{name: "decomposed", in: "ada@mu\u0308ller.example", want: decomposed},
		{name: "decomposed mailbox", in: "a\u0308da@example.com", want: decomposed},
		{name: "label of 64 bytes", in: "ada@" + strings.Repeat("a", 64) + ".com", want: badDomain},
		{name: "domain of 254 bytes", in: "ada@" + strings.Repeat("a.", 125) + "info", want: badDomain},
		{name: "mailbox of 65 bytes", in: strings.Repeat("a", 65) + "@example.com", want: "has more than 64 bytes before the @"},
		{name: "321 bytes", in: strings.Repeat("a", 64) + "@" + strings.Repeat("b", 252) + ".com", want: "is longer than 320 bytes"},
		{name: "a megabyte", in: strings.Repeat("a", 1<<20) + "@example.com", want: "is longer than 320 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := ParseEmail(tt.in)
			if tt.want != "" {
				if err == nil || err.Error() != tt.want || !e.IsZero() {
					t.Fatalf("ParseEmail(%q) = %q, %v, want %q", tt.in, e.Raw(), err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatalf("ParseEmail(%q): %v", tt.in, err)
			}
			if got, want := e.Raw(), strings.Trim(tt.in, " "); got != want {
				t.Errorf("Raw() = %q, want %q", got, want)
			}
			if tt.key == "" {
				tt.key = tt.in
			}
			if e.Key() != tt.key {
				t.Errorf("Key() = %q, want %q", e.Key(), tt.key)
			}
		})
	}
}

func TestEmailZero(t *testing.T) {
	var e Email
	if !e.IsZero() || e.Raw() != "" || e.Key() != "" || e.String() != "" {
		t.Errorf("the zero Email is %v, raw %q, key %q", e, e.Raw(), e.Key())
	}
	a, b := mustEmail(t, "ada@example.com"), mustEmail(t, " ada@example.com")
	if a != b || a.IsZero() {
		t.Error("the same address twice is not equal")
	}
}

func TestEmailKey(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"Ada@Example.com", "ada@example.com"},
		{" ada@example.com\n", "ada@example.com"},
		{"Ada@MÜLLER.example", "ada@xn--mller-kva.example"},
		{"not an address", "not an address"},
		{"ada@exa mple.com", "ada@exa mple.com"},
		{`"A@B"@example.com`, `"a@b"@example.com`},
	}
	for _, tt := range tests {
		if got := EmailKey(tt.in); got != tt.want {
			t.Errorf("EmailKey(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestEmailString(t *testing.T) {
	tests := []struct{ in, want string }{
		{"ada@example.com", "a***@e***"},
		{"a@b.co", "a***@b***"},
		{"用户@例子.广告", "用***@例***"},
	}
	for _, tt := range tests {
		if got := mustEmail(t, tt.in).String(); got != tt.want {
			t.Errorf("String() of %q = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func mustEmail(t *testing.T, s string) Email {
	t.Helper()
	e, err := ParseEmail(s)
	if err != nil {
		t.Fatalf("%q %v", s, err)
	}
	return e
}

func BenchmarkParseEmail(b *testing.B) {
	for _, s := range []string{"ada.lovelace@example.com", "ada@müller.example"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseEmail(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
