package clerksim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// item is one valid set of parameters for an invitation.
type item struct {
	email          string
	metadata       json.RawMessage
	redirectURL    string
	templateSlug   string
	notify         bool
	ignoreExisting bool
	expiresInDays  int
}

const (
	defaultExpiry = 30      // days
	metadataMax   = 8 << 10 // bytes of compact JSON
)

// parse reads the body of a create or a bulk create. It returns the items, as
// far as they could be read, and the answer if they are not all right.
func (s *Sim) parse(op Op, contentType string, body []byte) ([]item, *answer) {
	missing := contentType == "" && s.cfg.Switches.NoContentType == Ignored
	if media, _, err := mime.ParseMediaType(contentType); !missing && (err != nil || media != "application/json") {
		return nil, s.refuse(http.StatusUnsupportedMediaType, codeContentType, "Content-Type is unsupported", "The Content-Type must be application/json.", nil)
	}
	invalid := func() *answer {
		return s.refuse(http.StatusBadRequest, codeBodyInvalid, "Request body invalid", "The request body is invalid. Please consult the API documentation for more information.", nil)
	}
	if op == OpCreate {
		var object map[string]json.RawMessage
		if !decode(body, &object) || object == nil {
			return nil, invalid()
		}
		it, bad := parseItem(object, false)
		return []item{it}, s.refuseParams(bad)
	}
	var list []map[string]json.RawMessage
	if decode(body, &list) && list != nil && len(list) == 0 {
		a := invalid()
		a.status = s.cfg.Switches.EmptyBulkStatus
		return nil, a
	}
	if !decode(body, &list) || len(list) == 0 || slices.ContainsFunc(list, func(m map[string]json.RawMessage) bool { return m == nil }) {
		return nil, invalid()
	}
	items := make([]item, len(list))
	var bad []problem
	for i, object := range list {
		var found []problem
		items[i], found = parseItem(object, true)
		bad = append(bad, s.nameMember(found, len(bad) > 0, items[i].email)...)
	}
	if most := s.cfg.Switches.BulkMax; len(list) > most {
		return items, s.refuse(s.cfg.Switches.BulkSizeStatus, codeBulkSize, "Bulk size exceeded", fmt.Sprintf("A bulk request may have up to %d items.", most), nil)
	}
	return items, s.refuseParams(bad)
}

// nameMember says which member of a bulk call the problems belong to, as far as
// the switch has it.
func (s *Sim) nameMember(found []problem, later bool, email string) []problem {
	n := s.cfg.Switches.BulkInvalidNaming
	if email == "" || n == Unnamed || n == NamedFirst && later {
		return found
	}
	for i := range found {
		found[i].Meta["email_addresses"] = []string{s.stored(email)}
	}
	return found
}

func (s *Sim) refuseParams(bad []problem) *answer {
	if len(bad) == 0 {
		return nil
	}
	return s.refuseAll(http.StatusUnprocessableEntity, bad...)
}

// decode reads exactly one JSON value.
func decode(body []byte, v any) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	if d.Decode(v) != nil {
		return false
	}
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

// param is one parameter of an invitation: where null is allowed, and how its
// value is read. Read returns an error code and what is wrong.
type param struct {
	name               string
	nilOK, nilOKInBulk bool
	read               func(it *item, raw json.RawMessage) (code, problem string)
}

var params = []param{
	{"email_address", false, false, func(it *item, raw json.RawMessage) (string, string) {
		if json.Unmarshal(raw, &it.email) != nil {
			return codeValueInvalid, "must be a string."
		}
		if !validEmail(it.email) {
			return codeFormatInvalid, "must be a valid email address."
		}
		return "", ""
	}},
	{"public_metadata", false, true, func(it *item, raw json.RawMessage) (string, string) {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return codeValueInvalid, "must be an object."
		}
		var compact bytes.Buffer
		_ = json.Compact(&compact, raw) // raw has just been read
		if compact.Len() > metadataMax {
			return codeExceedsSize, "exceeds the maximum allowed size of 8KB."
		}
		it.metadata = compact.Bytes()
		return "", ""
	}},
	{"redirect_url", false, true, func(it *item, raw json.RawMessage) (string, string) {
		if json.Unmarshal(raw, &it.redirectURL) != nil {
			return codeValueInvalid, "must be a string."
		}
		u, err := url.Parse(it.redirectURL)
		if err != nil || !(u.Scheme != "" && (u.Host != "" || u.Path != "") || strings.HasPrefix(u.Path, "/")) {
			return codeFormatInvalid, "must be a valid url."
		}
		return "", ""
	}},
	{"notify", true, true, func(it *item, raw json.RawMessage) (string, string) {
		return readBool(raw, &it.notify)
	}},
	{"ignore_existing", true, true, func(it *item, raw json.RawMessage) (string, string) {
		return readBool(raw, &it.ignoreExisting)
	}},
	{"expires_in_days", true, true, func(it *item, raw json.RawMessage) (string, string) {
		if json.Unmarshal(raw, &it.expiresInDays) != nil {
			return codeValueInvalid, "must be an integer."
		}
		if it.expiresInDays < 1 || it.expiresInDays > 365 {
			return codeValueInvalid, "must be between 1 and 365."
		}
		return "", ""
	}},
	{"template_slug", false, false, func(it *item, raw json.RawMessage) (string, string) {
		if json.Unmarshal(raw, &it.templateSlug) != nil || it.templateSlug != "invitation" && it.templateSlug != "waitlist_invitation" {
			return codeValueInvalid, "must be one of invitation, waitlist_invitation."
		}
		return "", ""
	}},
}

func readBool(raw json.RawMessage, to *bool) (code, problem string) {
	if json.Unmarshal(raw, to) != nil {
		return codeValueInvalid, "must be a boolean."
	}
	return "", ""
}

// parseItem reads the parameters of one invitation and names all that is wrong.
func parseItem(object map[string]json.RawMessage, bulk bool) (item, []problem) {
	it := item{notify: true, expiresInDays: defaultExpiry, templateSlug: "invitation"}
	var bad []problem
	for _, p := range params {
		raw, given := object[p.name]
		switch {
		case !given && p.name == "email_address":
			bad = append(bad, paramProblem(codeParamMissing, p.name, "must be included."))
		case !given:
		case string(raw) == "null" && !(p.nilOK || bulk && p.nilOKInBulk):
			bad = append(bad, paramProblem(codeParamNil, p.name, "must not be nil."))
		case string(raw) == "null":
		default:
			if code, text := p.read(&it, raw); code != "" {
				bad = append(bad, paramProblem(code, p.name, text))
			}
		}
	}
	var unknown []string
	for name := range object {
		if !slices.ContainsFunc(params, func(p param) bool { return p.name == name }) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		bad = append(bad, paramProblem(codeParamUnknown, name, "is not a valid parameter for this request."))
	}
	return it, bad
}

// validEmail is the syntax that mail systems agree on: a dotted name, one @, a
// domain of at least two labels. Letters beyond ASCII pass, quoted names do not.
func validEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 || len(s) > 320 || len(s)-at-1 > 255 || !utf8.ValidString(s) {
		return false
	}
	for atom := range strings.SplitSeq(s[:at], ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r) && !wordRune(r)
		}) {
			return false
		}
	}
	labels := strings.Split(s[at+1:], ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.ContainsFunc(label, func(r rune) bool { return r != '-' && !wordRune(r) }) {
			return false
		}
	}
	return len(labels) > 1
}

func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}
