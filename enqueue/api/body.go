package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/inviteq/inviteq/tasks"
)

// readJSON reads a bounded body that says it is JSON.
func (x *exchange) readJSON(most int64) *answer {
	if media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, codeContentType, "Content-Type is unsupported", "The Content-Type must be application/json.")
	}
	b, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, most))
	if err != nil {
		return unreadable(err, most)
	}
	if !utf8.Valid(b) {
		return invalidBody("is not valid UTF-8")
	}
	x.body = b
	return nil
}

// unreadable says why a body could not be read to its end.
func unreadable(err error, most int64) *answer {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return refuse(http.StatusRequestEntityTooLarge, codeBodySize, "Request body too large",
			fmt.Sprintf("The request body is larger than %d bytes.", most))
	}
	return refuse(http.StatusRequestTimeout, codeBody, "Request body invalid", "The request body did not arrive in time, or not to its end.").
		with("Connection", "close")
}

// invalidBody says what is wrong with the body as a whole; the text quotes no
// value.
func invalidBody(what string) *answer {
	return refuse(http.StatusBadRequest, codeBody, "Request body invalid", "The request body "+what+".")
}

const (
	// maxProblems is how many problems of one member are named: somebody may send a
	// hundred thousand unknown parameters.
	maxProblems = 16

	// maxBulkProblems is how many are named in a whole bulk call.
	maxBulkProblems = 100
)

// parseOne reads the parameters of one invitation. They are checked one by one,
// so that all that is wrong is said at once. The lane is for an invitation that
// names none.
func parseOne(raw []byte, lane tasks.Lane) (i tasks.Invite, bad []problem, err error) {
	var object map[string]json.RawMessage
	if err := tasks.DecodeStrict(bytes.NewReader(raw), &object); err != nil {
		return i, nil, err
	}
	if object == nil {
		return i, nil, errors.New("is not a JSON object")
	}
	var j tasks.InviteJSON
	faulty := map[string]bool{}
	note := func(code, param, long string) {
		faulty[param] = true
		if len(bad) < maxProblems {
			bad = append(bad, paramProblem(code, param, long))
		}
	}
	for _, p := range params {
		value, given := object[p.name]
		delete(object, p.name)
		switch {
		case !given && p.name == "email_address":
			note(codeMissing, p.name, "must be included.")
		case !given:
		case string(value) == "null" && p.name == "email_address":
			note(codeNil, p.name, "must not be nil.")
		case string(value) == "null": // Like one that is not there, as in Clerk's bulk call.
		default:
			if want := p.set(&j, value); want != "" {
				note(codeValue, p.name, "must be "+want+".")
			}
		}
	}
	unknown := make([]string, 0, len(object))
	for name := range object {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown[:min(len(unknown), maxProblems)] {
		note(codeUnknown, shownParam(name), "is not a valid parameter for this request.")
	}
	if j.Lane == "" {
		j.Lane = lane.String()
	}
	i, err = j.Invite()
	if v, ok := errors.AsType[*tasks.ValidationError](err); ok {
		for _, p := range v.Problems {
			if !faulty[p.Field] {
				note(codeOf(p), p.Field, p.Reason+".")
			}
		}
	}
	return i, bad, nil
}

// shownParam is the name of a parameter, unless somebody has put an address or
// worse there.
func shownParam(name string) string {
	if plainID(name) == "" || len(name) > 40 {
		return "a parameter"
	}
	return name
}

// param is one parameter of an invitation. set says what is wanted if the value
// is of another type.
type param struct {
	name string
	set  func(j *tasks.InviteJSON, raw json.RawMessage) (want string)
}

func as[T any](want string, field func(*tasks.InviteJSON) *T) func(*tasks.InviteJSON, json.RawMessage) string {
	return func(j *tasks.InviteJSON, raw json.RawMessage) string {
		if json.Unmarshal(raw, field(j)) != nil {
			return want
		}
		return ""
	}
}

// params are Clerk's seven, and three of ours.
var params = []param{
	{"email_address", as("a string", func(j *tasks.InviteJSON) *string { return &j.EmailAddress })},
	{"public_metadata", as("an object", func(j *tasks.InviteJSON) *json.RawMessage { return &j.PublicMetadata })},
	{"redirect_url", as("a string", func(j *tasks.InviteJSON) *string { return &j.RedirectURL })},
	{"notify", as("true or false", func(j *tasks.InviteJSON) **bool { return &j.Notify })},
	{"ignore_existing", as("true or false", func(j *tasks.InviteJSON) *bool { return &j.IgnoreExisting })},
	{"expires_in_days", as("an integer from 1 to 365", func(j *tasks.InviteJSON) **int { return &j.ExpiresInDays })},
	{"template_slug", as("a string", func(j *tasks.InviteJSON) *string { return &j.TemplateSlug })},
	{"lane", as("a string", func(j *tasks.InviteJSON) *string { return &j.Lane })},
	{"not_before", as("a time in RFC 3339", func(j *tasks.InviteJSON) **time.Time { return &j.NotBefore })},
	{"deadline", as("a time in RFC 3339", func(j *tasks.InviteJSON) **time.Time { return &j.Deadline })},
}

// codeOf is Clerk's code for a problem that the vocabulary has found.
func codeOf(p tasks.Problem) string {
	switch {
	case p.Reason == "is missing":
		return codeMissing
	case p.Field == "email_address" || p.Field == "redirect_url":
		return codeFormat
	case p.Field == "public_metadata" && strings.Contains(p.Reason, "bytes"):
		return codeSize
	default:
		return codeValue
	}
}

// parseBulk reads the members of a bulk call. All that is wrong with them is in
// the answer, if anything is.
func parseBulk(body []byte) ([]tasks.Invite, *answer) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, invalidBody("is not a JSON array")
	}
	var raw []json.RawMessage
	for dec.More() {
		if len(raw) == maxBulk {
			return nil, refuse(http.StatusBadRequest, codeBulkSize, "Bulk size exceeded", fmt.Sprintf("A bulk request may have up to %d members.", maxBulk))
		}
		var one json.RawMessage
		if dec.Decode(&one) != nil {
			return nil, invalidBody(fmt.Sprintf("is not valid JSON (at member %d)", len(raw)))
		}
		raw = append(raw, one)
	}
	if _, err := dec.Token(); err != nil { // the closing bracket
		return nil, invalidBody("is not valid JSON (it ends too early)")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, invalidBody("has something after the JSON value")
	}
	if len(raw) == 0 {
		return nil, invalidBody("has no members")
	}
	return parseMembers(raw)
}

func parseMembers(raw []json.RawMessage) ([]tasks.Invite, *answer) {
	invites, first := make([]tasks.Invite, len(raw)), map[string]int{}
	var bad []problem
	invalid := 0 // members
	for n, one := range raw {
		i, found, err := parseOne(one, bulkLane(len(raw)))
		if err != nil {
			found = []problem{{Message: "is invalid", LongMessage: "The member " + err.Error() + ".", Code: codeBody, Meta: map[string]any{}}}
		} else if key := i.EmailAddress.Key(); !i.EmailAddress.IsZero() {
			if at, again := first[key]; again {
				found = append(found, paramProblem(codeValue, "email_address", fmt.Sprintf("is that of member %d, too.", at)))
			} else {
				first[key] = n
			}
		}
		if len(found) > 0 {
			invalid++
		}
		for _, p := range found[:min(len(found), maxBulkProblems-len(bad))] {
			p.LongMessage = fmt.Sprintf("Member %d: %s", n, p.LongMessage)
			p.Meta["index"] = n
			bad = append(bad, p)
		}
		invites[n] = i
	}
	switch {
	case invalid == 0:
		return invites, nil
	case len(bad) == maxBulkProblems:
		bad = append(bad, problem{
			Message: "and perhaps more", Code: codeMore, LongMessage: fmt.Sprintf("%d members are bad; the first %d problems are named.", invalid, maxBulkProblems),
			Meta: map[string]any{"invalid": invalid},
		})
	}
	return nil, &answer{status: http.StatusUnprocessableEntity, problems: bad}
}
