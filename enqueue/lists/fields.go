package lists

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/inviteq/inviteq/tasks"
)

// column is what to do with a cell. The zero column ignores it.
type column struct {
	name   string // the field's name on the wire, as errors name it
	set    func(d *draft, cell string) (reason string)
	member []byte // the key in quotes and a colon, for public_metadata.KEY
}

func (c *column) isUsed() bool { return c.set != nil || c.member != nil }

const (
	emailField    = "email_address"
	metadataField = "public_metadata"
	memberPrefix  = metadataField + "."
)

// fields are those that a list can set, by their names on the wire.
var fields = map[string]func(d *draft, cell string) string{
	emailField:      func(d *draft, s string) string { d.EmailAddress = s; return commentedOut(s) },
	metadataField:   func(d *draft, s string) string { d.PublicMetadata = json.RawMessage(s); return "" },
	"redirect_url":  func(d *draft, s string) string { d.RedirectURL = nullable(s); return "" },
	"template_slug": func(d *draft, s string) string { d.TemplateSlug = nullable(s); return "" },
	"id":            func(d *draft, s string) string { d.name = s; return "" },
	"lane":          func(d *draft, s string) string { d.Lane = strings.ToLower(nullable(s)); return "" },
	"notify": func(d *draft, s string) string {
		b, given, reason := parseBool(s)
		if given {
			d.Notify = &b
		}
		return reason
	},
	"ignore_existing": func(d *draft, s string) (reason string) {
		d.IgnoreExisting, _, reason = parseBool(s)
		return reason
	},
	"expires_in_days": func(d *draft, s string) string { return setDays(&d.ExpiresInDays, s) },
	"not_before":      func(d *draft, s string) string { return setTime(&d.NotBefore, s) },
	"deadline":        func(d *draft, s string) string { return setTime(&d.Deadline, s) },
}

// commentedOut refuses a person whose line somebody has begun with a #, which is a
// letter that an address may begin with.
func commentedOut(s string) string {
	if strings.HasPrefix(s, "#") {
		return "begins with #; delete the line if it is commented out, or the # if it is not"
	}
	return ""
}

// nullable drops what databases and spreadsheets write for nothing.
func nullable(s string) string {
	switch strings.ToLower(s) {
	case "null", "none", "nan", "nil", "#n/a", "n/a":
		return ""
	}
	return s
}

// bools are the truth values of databases and spreadsheets, and those of Excel in
// its larger languages.
var bools = map[string]bool{
	"true": true, "t": true, "yes": true, "y": true, "on": true, "1": true, "1.0": true,
	"false": false, "f": false, "no": false, "n": false, "off": false, "0": false, "0.0": false,
	"wahr": true, "falsch": false, "ja": true, "nein": false, "vrai": true, "faux": false, "oui": true, "non": false,
	"verdadero": true, "falso": false, "sí": true, "vero": true, "verdadeiro": true, "sim": true, "waar": true, "onwaar": false,
}

func parseBool(s string) (value, given bool, reason string) {
	if s = nullable(s); s == "" {
		return false, false, ""
	}
	value, known := bools[strings.ToLower(s)]
	if !known {
		return false, false, "must be true or false, yes or no, 1 or 0"
	}
	return value, true, ""
}

// wholeNumber takes the fraction of nothing off, which pandas and spreadsheets add.
var wholeNumber = regexp.MustCompile(`^([+-]?[0-9]+)(?:[.,]0*)?$`)

func setDays(days **int, s string) string {
	if s = nullable(s); s == "" {
		return ""
	}
	m := wholeNumber.FindStringSubmatch(s)
	if m == nil {
		return "must be a whole number from 1 to 365"
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return "must be a whole number from 1 to 365"
	}
	*days = &n
	return ""
}

// timeLayouts are RFC 3339 and what databases write. All of them have a zone.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05 MST",
}

func setTime(t **time.Time, s string) string {
	if s = nullable(s); s == "" {
		return ""
	}
	for _, layout := range timeLayouts {
		at, err := time.Parse(layout, s)
		if err == nil && (!strings.HasSuffix(layout, "MST") || strings.HasSuffix(s, "UTC")) {
			*t = &at
			return ""
		}
	}
	return "must be a time with its zone (RFC 3339), such as 2026-01-31T09:00:00Z"
}

// object puts public_metadata together from its members.
type object struct {
	text  bytes.Buffer
	quote *json.Encoder
}

func newObject() *object {
	o := new(object)
	o.quote = json.NewEncoder(&o.text)
	o.quote.SetEscapeHTML(false)
	return o
}

// reset drops what a row that was refused has left.
func (o *object) reset() { o.text.Reset() }

func (o *object) add(key []byte, value string) {
	o.next(key)
	_ = o.quote.Encode(value)         // A string, into memory: cannot fail.
	o.text.Truncate(o.text.Len() - 1) // Encode ends with a line end.
}

func (o *object) addRaw(key []byte, value json.RawMessage) {
	o.next(key)
	o.text.Write(value)
}

func (o *object) next(key []byte) {
	if o.text.Len() == 0 {
		o.text.WriteByte('{')
	} else {
		o.text.WriteByte(',')
	}
	o.text.Write(key)
}

// into moves the object into the draft, if it has members.
func (o *object) into(d *draft) {
	if o.text.Len() > 0 {
		d.PublicMetadata = append(bytes.Clone(o.text.Bytes()), '}')
	}
}

// trimmed is a cell without what surrounds it, invisible characters included.
func trimmed(cell []byte) []byte {
	return bytes.TrimFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' || r == '\u2060' })
}

// holdsAddress reports whether some word of a text is an address.
func holdsAddress(text string) bool {
	for text != "" {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			return false
		}
		isEnd := func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`,;|<>"'()`, r) }
		from, to := 0, len(text)
		if n := strings.LastIndexFunc(text[:at], isEnd); n >= 0 {
			_, size := utf8.DecodeRuneInString(text[n:])
			from = n + size
		}
		if n := strings.IndexFunc(text[at:], isEnd); n >= 0 {
			to = at + n
		}
		if _, err := tasks.ParseEmail(text[from:to]); err == nil {
			return true
		}
		text = text[to:]
	}
	return false
}
