package enqueue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/inviteq/inviteq/tasks"
)

// column is what to do with a cell.
type column struct {
	name   string // the field's name on the wire; "" for a column without a name
	set    func(j *tasks.InviteJSON, cell string) (reason string)
	member []byte // the key in quotes and a colon, for public_metadata.KEY
}

const (
	emailColumn  = "email_address"
	memberPrefix = "public_metadata."
	wantColumns  = "known are email_address (or email), public_metadata, public_metadata.KEY, redirect_url, " +
		"notify, ignore_existing, expires_in_days, template_slug, id, lane, not_before and deadline"
)

var setters = map[string]func(j *tasks.InviteJSON, cell string) string{
	emailColumn:       func(j *tasks.InviteJSON, s string) string { j.EmailAddress = s; return "" },
	"public_metadata": func(j *tasks.InviteJSON, s string) string { j.PublicMetadata = json.RawMessage(s); return "" },
	"redirect_url":    func(j *tasks.InviteJSON, s string) string { j.RedirectURL = s; return "" },
	"template_slug":   func(j *tasks.InviteJSON, s string) string { j.TemplateSlug = s; return "" },
	"id":              func(j *tasks.InviteJSON, s string) string { j.ID = s; return "" },
	"lane":            func(j *tasks.InviteJSON, s string) string { j.Lane = strings.ToLower(s); return "" },
	"notify": func(j *tasks.InviteJSON, s string) string {
		j.Notify = new(bool)
		return setBool(j.Notify, s)
	},
	"ignore_existing": func(j *tasks.InviteJSON, s string) string { return setBool(&j.IgnoreExisting, s) },
	"expires_in_days": func(j *tasks.InviteJSON, s string) string {
		n, err := strconv.Atoi(s)
		if err != nil {
			return "must be a whole number from 1 to 365"
		}
		j.ExpiresInDays = &n
		return ""
	},
	"not_before": func(j *tasks.InviteJSON, s string) string { return setTime(&j.NotBefore, s) },
	"deadline":   func(j *tasks.InviteJSON, s string) string { return setTime(&j.Deadline, s) },
}

func setBool(b *bool, s string) string {
	switch strings.ToLower(s) {
	case "true", "yes", "1":
		*b = true
	case "false", "no", "0":
		*b = false
	default:
		return "must be true or false, yes or no, 1 or 0"
	}
	return ""
}

func setTime(t **time.Time, s string) string {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return "must be a time in RFC 3339, such as 2026-01-31T09:00:00Z"
	}
	*t = &at
	return ""
}

func columnsOf(header []string) ([]column, error) {
	columns := make([]column, len(header))
	seen := make(map[string]bool)
	hasMembers := false
	var unknown []string
	for i, cell := range header {
		cell = strings.TrimSpace(cell)
		name := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(cell))
		if name == "email" {
			name = emailColumn
		}
		if !utf8.ValidString(cell) {
			return nil, errNotUTF8
		}
		if _, err := tasks.ParseEmail(cell); err == nil {
			return nil, errors.New("the first row must name the columns, such as email_address, but it holds an address")
		}
		set, ok := setters[name]
		switch {
		case ok:
			columns[i] = column{name: name, set: set}
		case strings.HasPrefix(name, memberPrefix) && len(name) > len(memberPrefix):
			key := strings.TrimSpace(cell[len(memberPrefix):])
			quoted, err := json.Marshal(key)
			if err != nil {
				return nil, err
			}
			name, hasMembers = memberPrefix+key, true
			columns[i] = column{name: memberPrefix + key, member: append(quoted, ':')}
			if !isShown(key) {
				columns[i].name = fmt.Sprintf("public_metadata (column %d)", i+1)
			}
		case name != "":
			text := fmt.Sprintf("column %d", i+1)
			if isShown(cell) {
				text += fmt.Sprintf(" (%q)", cell)
			}
			unknown = append(unknown, text)
		}
		if name != "" && seen[name] {
			return nil, fmt.Errorf("column %d names the same field as an earlier column", i+1)
		}
		seen[name] = true
	}
	switch {
	case !seen[emailColumn]:
		// Without it the first row is not a header but, perhaps, a person.
		return nil, errors.New("the first row must name the columns, and one of them must be email_address or email; " + wantColumns)
	case len(unknown) > 10:
		return nil, fmt.Errorf("unknown %s and %d more columns; %s", strings.Join(unknown[:10], ", "), len(unknown)-10, wantColumns)
	case len(unknown) > 0:
		return nil, fmt.Errorf("unknown %s; %s", strings.Join(unknown, ", "), wantColumns)
	case hasMembers && seen["public_metadata"]:
		return nil, errors.New("the header has public_metadata and public_metadata.KEY columns; use the one or the others")
	}
	return columns, nil
}

// isShown reports whether an error may quote a column's name: it must not be
// anything but a name.
func isShown(name string) bool {
	return len(name) <= 40 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != ' ' && r != '.' && r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
