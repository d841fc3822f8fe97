package tasks

import (
	"cmp"
	"strings"
	"testing"
)

const (
	notPlain   = "is not one plain address such as ada@example.com"
	badDomain  = "has a domain that is not valid"
	invisible  = "contains an invisible character, a symbol or a look-alike (U+"
	control    = "contains a control character (U+"
	twoPeople  = "holds 2 addresses; keep the one to invite"
	apostrophe = "begins with an apostrophe, by which spreadsheets mark text; take it away"
	decomposed = "has an accent apart from its letter (it is not in Unicode's form NFC)"
	standingIn = "has a domain with letters that stand for others, such as full-width ones"
)

func TestParseEmail(t *testing.T) {
	const ada = "ada@example.com"
	long := strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 100) + "example.com"
	tests := []struct {
		name, in string
		want     string // the error, or what it begins with up to a code point; "" if the address is accepted
		raw      string // of an accepted address; "" if it is the input
		key      string // of an accepted address; "" if it is the raw address in lower case
	}{
		{name: "plain", in: ada},
		{name: "shortest", in: "a@b.co"},
		{name: "capitals", in: "Ada.Lovelace@Example.COM", key: "ada.lovelace@example.com"},
		{name: "plus-tag", in: "ada+work@example.com"},
		{name: "every allowed symbol", in: "!#$%&'*+-/=?^_`{|}~@example.com"},
		{name: "subdomains and digits", in: "1@2.3.example.co.uk"},
		{name: "hyphens in third and fourth place", in: "ada@r3---sn.example.com"},
		{name: "looks like an encoded word", in: "=?utf-8?q?ada?=@example.com"},
		{name: "64 bytes of mailbox, long domain", in: long},

		{name: "spaces around", in: "  ada@example.com ", raw: ada},
		{name: "line feed behind", in: "ada@example.com\n", raw: ada},
		{name: "tab before", in: "\tada@example.com", raw: ada},
		{name: "no-break space behind", in: "ada@example.com\u00a0", raw: ada},
		{name: "byte order mark before", in: "\ufeffada@example.com", raw: ada},
		{name: "zero-width space behind", in: "ada@example.com\u200b", raw: ada},
		{name: "right-to-left override before", in: "\u202eada@example.com", raw: ada},
		{name: "semicolon behind", in: "ada@example.com; ", raw: ada},
		{name: "display name", in: "Ada Lovelace <ada@example.com>", raw: ada},
		{name: "quoted display name", in: `"Lovelace, Ada" <ada@example.com>`, raw: ada},
		{name: "display name with a comma", in: "Lovelace, Ada <ada@example.com>", raw: ada},
		{name: "the address as its name", in: "'ADA@example.com' <ada@example.com>", raw: "ADA@example.com"},
		{name: "angle brackets", in: "< ada@example.com >", raw: ada},
		{name: "mailto", in: "mailto:ada@example.com", raw: ada},
		{name: "mailto with a subject", in: "MailTo:ada%2Bx@example.com?subject=Hi", raw: "ada+x@example.com"},
		{name: "mailto in angle brackets", in: "Ada <mailto:ada@example.com>", raw: ada},
		{name: "quotation marks", in: `"ada@example.com"`, raw: ada},
		{name: "apostrophes", in: "'ada@example.com'", raw: ada},
		{name: "typographic quotation marks", in: "“ada@example.com”", raw: ada},
		{name: "the same twice", in: "ada@example.com, Ada@Example.com", raw: ada},
		{name: "a formula's guard", in: "'+1@example.com", raw: "+1@example.com"},

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
		{name: "comment behind", in: "ada@example.com (Ada)", want: notPlain},
		{name: "comment before", in: "(Ada)ada@example.com", want: notPlain},
		{name: "comment inside", in: "ada(Ada)@example.com", want: notPlain},
		{name: "quoted mailbox", in: `"ada"@example.com`, want: notPlain},
		{name: "quoted mailbox with a space", in: `"ada lovelace"@example.com`, want: notPlain},
		{name: "quoted mailbox with an @", in: `"ada@lovelace"@example.com`, want: notPlain},
		{name: "escaped character", in: `ada\@lovelace@example.com`, want: notPlain},
		{name: "space inside", in: "ada lovelace@example.com", want: notPlain},
		{name: "space before the domain", in: "ada@ example.com", want: notPlain},
		{name: "two addresses", in: "ada@example.com,grace@example.com", want: twoPeople},
		{name: "two addresses, semicolon", in: "ada@example.com; grace@example.com", want: twoPeople},
		{name: "two addresses, slash", in: "ada@example.com / grace@example.com", want: twoPeople},
		{name: "two addresses, colons", in: "ada@example.com ::: grace@example.com", want: twoPeople},
		{name: "two addresses, lines", in: "ada@example.com\ngrace@example.com", want: twoPeople},
		{name: "another address as its name", in: "grace@example.com <ada@example.com>", want: twoPeople},
		{name: "three addresses", in: "a@example.com b@example.com c@example.com", want: "holds 3 addresses; keep the one to invite"},
		{name: "a word between two", in: "ada@example.com or grace@example.com", want: notPlain},
		{name: "a sentence", in: "please ask ada@example.com", want: notPlain},
		{name: "apostrophe", in: "'ada@example.com", want: apostrophe},
		{name: "apostrophe behind", in: "ada@example.com'", want: badDomain},
		{name: "brackets that do not open", in: "ada@example.com>", want: notPlain},
		{name: "group", in: "friends: ada@example.com;", want: notPlain},
		{name: "source route", in: "@example.org:ada@example.com", want: notPlain},
		{name: "leading dot", in: ".ada@example.com", want: notPlain},
		{name: "dot before the @", in: "ada.@example.com", want: notPlain},
		{name: "double dot", in: "ada..lovelace@example.com", want: notPlain},
		{name: "double dot in domain", in: "ada@example..com", want: notPlain},
		{name: "leading dot in domain", in: "ada@.example.com", want: notPlain},
		{name: "trailing dot", in: "ada@example.com.", want: notPlain},
		{name: "comma for a dot", in: "ada@example,com", want: notPlain},

		{name: "header injection", in: "ada@example.com\r\nBcc: grace@example.com", want: control},
		{name: "folded", in: "ada\r\n @example.com", want: control},
		{name: "NUL", in: "ada\x00@example.com", want: control},
		{name: "delete", in: "ada\x7f@example.com", want: control},
		{name: "C1 control", in: "ada\u0085@example.com", want: control},
		{name: "invalid UTF-8", in: "ada\xff@example.com", want: "is not valid UTF-8"},
		{name: "Latin-1", in: "ada@m\xfcller.example", want: "is not valid UTF-8"},
		{name: "surrogate", in: "ada\xed\xa0\x80@example.com", want: "is not valid UTF-8"},

		{name: "zero-width space", in: "ada\u200b@example.com", want: invisible},
		{name: "zero-width space in domain", in: "ada@exam\u200bple.com", want: invisible},
		{name: "zero-width joiner", in: "a\u200dda@example.com", want: invisible},
		{name: "soft hyphen", in: "ada@exam\u00adple.com", want: invisible},
		{name: "right-to-left mark", in: "ada\u200f@example.com", want: invisible},
		{name: "bidirectional isolate", in: "ada\u2066@example.com", want: invisible},
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
				if err == nil || !said(err.Error(), tt.want) || !e.IsZero() {
					t.Fatalf("ParseEmail(%q) = %q, %v, want %q", tt.in, e.Raw(), err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatalf("ParseEmail(%q): %v", tt.in, err)
			}
			if want := cmp.Or(tt.raw, tt.in); e.Raw() != want {
				t.Errorf("Raw() = %q, want %q", e.Raw(), want)
			}
			if tt.key == "" {
				tt.key = strings.ToLower(e.Raw())
			}
			if e.Key() != tt.key {
				t.Errorf("Key() = %q, want %q", e.Key(), tt.key)
			}
		})
	}
}

// said compares an error with what is wanted, which leaves a code point open.
func said(got, want string) bool {
	if strings.HasSuffix(want, "(U+") {
		return strings.HasPrefix(got, want)
	}
	return got == want
}

// TestParseEmailCodePoint: who cannot see a character is told which it is.
func TestParseEmailCodePoint(t *testing.T) {
	for in, want := range map[string]string{
		"ada\u200b@example.com": "U+200B", "ada@exam\u00adple.com": "U+00AD", "ada\u00a0l@example.com": "U+00A0",
		"ada\x00@example.com": "U+0000", "ada＠example.com": "U+FF20", "\U0001F600@example.com": "U+1F600",
	} {
		if _, err := ParseEmail(in); err == nil || !strings.HasSuffix(err.Error(), " ("+want+")") {
			t.Errorf("ParseEmail(%q): %v, want %s", in, err, want)
		}
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
