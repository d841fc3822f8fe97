package lists

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxColumns is how many columns a table, and keys an object, may have.
const MaxColumns = 1000

// ignored is the field of a column that is to be left out.
const ignoredField = "ignore"

// ParseColumns reads rules of the form FIELD=NAME for Options.Columns. FIELD is a
// field of tasks.InviteJSON, public_metadata.KEY, or "ignore"; NAME is what the
// list calls the column.
func ParseColumns(rules []string) (map[string]string, error) {
	columns := make(map[string]string, len(rules))
	var errs []error
	for _, rule := range rules {
		field, name, ok := strings.Cut(rule, "=")
		field, name = strings.TrimSpace(field), strings.Trim(name, `" `)
		switch {
		case !ok || ruleKey(name) == "":
			errs = append(errs, errors.New("column must be FIELD=NAME, such as email_address=\"Work mail\""))
		case fields[field] == nil && field != ignoredField && (len(field) <= len(memberPrefix) || !strings.HasPrefix(field, memberPrefix)):
			errs = append(errs, fmt.Errorf("column has a field that is not known; known are %s, %sKEY and %s", fieldNames(), memberPrefix, ignoredField))
		case columns[name] != "":
			errs = append(errs, errors.New("column gives the same name to two fields"))
		}
		columns[name] = field
	}
	return columns, errors.Join(errs...)
}

func fieldNames() string {
	var names []string
	for field := range fields {
		names = append(names, field)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// ruleKey is the form in which a rule's name and a column's are compared.
func ruleKey(name string) string {
	if key := nameKey(name); key != "" {
		return key
	}
	return strings.TrimSpace(name)
}

// matcher finds out what the columns of a table, or the keys of an object, are.
type matcher struct{ rules map[string]string } // rule keys → fields

func newMatcher(columns map[string]string) *matcher {
	m := &matcher{rules: make(map[string]string, len(columns))}
	for name, field := range columns {
		m.rules[ruleKey(name)] = field
	}
	return m
}

// unused says which rule names a column that is not there; "" if all are.
func (m *matcher) unused(names []string) string {
	there := map[string]bool{}
	for _, name := range names {
		there[ruleKey(name)] = true
	}
	for key, field := range m.rules {
		if !there[key] {
			return fmt.Sprintf("has no column with the name that was given for %s", shownField(field))
		}
	}
	return ""
}

// header is what the columns of a table are.
type header struct {
	columns []column
	ignored []string // the names of those that are not used, as they may be shown
	address bool     // one of them holds the address
}

// resolve matches names. Its errors are to be read behind the place of the names.
func (m *matcher) resolve(names []string) (header, error) {
	if len(names) > MaxColumns {
		return header{}, fmt.Errorf("has more than %d columns", MaxColumns)
	}
	found, keys, by := make([]string, len(names)), make([]string, len(names)), map[string]int{}
	for n, name := range names {
		keys[n] = nameKey(name)
		if field := m.rules[ruleKey(name)]; field != "" {
			found[n] = field
			if first, twice := by[field]; twice && field != ignoredField {
				return header{}, fmt.Errorf("%s are both said to be %s", these(names, first, n), shownField(field))
			}
			by[field] = n
		}
	}
	mapped := len(by) > 0
	for n, name := range names {
		field := ownField(name, keys[n])
		if found[n] != "" || field == "" {
			continue
		}
		first, twice := by[field]
		switch {
		case twice && mapped && m.rules[ruleKey(names[first])] != "":
			continue // The caller has said where the field comes from.
		case twice:
			return header{}, &ColumnError{these(names, first, n) + " both name " + shownField(field) + "; leave one out", ignoredField + "=NAME"}
		}
		found[n], by[field] = field, n
	}
	if _, ok := by[emailField]; !ok {
		at, err := addressColumn(names, keys, found)
		if err != nil {
			return header{}, err
		}
		if at >= 0 {
			found[at], by[emailField] = emailField, at
		}
	}
	return m.build(names, keys, found, by)
}

// ColumnError says that it is not clear what a column of a list is. Options.Columns can
// say it.
type ColumnError struct {
	What   string // What is wrong, and what would help: `"emial" looks like email_address: correct it, or leave it out`.
	Column string // The rule that does it, such as "ignore=…".
}

// Error ends with " with column " and the rule.
func (e *ColumnError) Error() string { return e.What + " with column " + e.Column }

func misspeltColumn(name, like string) error {
	return &ColumnError{name + " looks like " + like + ": correct it, or leave it out", ignoredField + "=…"}
}

// build makes the columns, and refuses what looks misspelt.
func (m *matcher) build(names, keys, found []string, by map[string]int) (header, error) {
	h := header{columns: make([]column, len(names))}
	_, h.address = by[emailField]
	hasMembers := false
	for n, name := range names {
		field := found[n]
		if key, ok := strings.CutPrefix(field, memberPrefix); ok {
			hasMembers = true
			quoted, err := json.Marshal(key)
			if err != nil {
				return header{}, err
			}
			h.columns[n] = column{name: shownField(field), member: append(quoted, ':')}
			continue
		}
		if set := fields[field]; set != nil {
			h.columns[n] = column{name: field, set: set}
			continue
		}
		if like := misspelt(keys[n], !h.address); like != "" && field != ignoredField {
			return header{}, misspeltColumn(this(names, n), like)
		}
		if before, _, ok := strings.Cut(name, "."); ok && field == "" && misspelt(nameKey(before), false) == metadataField {
			return header{}, misspeltColumn(this(names, n), memberPrefix+"KEY")
		}
		h.ignored = append(h.ignored, ignoredName(name, n))
	}
	if _, both := by[metadataField]; both && hasMembers {
		return header{}, errors.New("has public_metadata and public_metadata.KEY; use the one or the others")
	}
	return h, nil
}

// ownField returns the field whose name it is; "" if it is none of ours.
func ownField(name, key string) string {
	before, member, isMember := strings.Cut(name, ".")
	if isMember && nameKey(before) == nameKey(metadataField) && strings.TrimSpace(member) != "" {
		return memberPrefix + string(trimmed([]byte(member)))
	}
	if isMember && member != "" && strings.Contains(key, "metadata") {
		return "" // private_metadata.x and the like
	}
	return ownNames[key]
}

// addressColumn finds what other programs call the address; -1 if nothing is.
func addressColumn(names, keys, found []string) (int, error) {
	var best []int
	least := 0
	for n, key := range keys {
		rank, ok := rankOf(key)
		switch {
		case !ok || found[n] != "":
		case len(best) == 0 || rank < least:
			best, least = []int{n}, rank
		case rank == least:
			best = append(best, n)
		}
	}
	switch len(best) {
	case 0:
		return -1, nil
	case 1:
		return best[0], nil
	}
	return -1, &ColumnError{these(names, best...) + " may both hold the address; say which does", emailField + "=" + this(names, best[0])}
}

// this names a column for an error.
func this(names []string, n int) string {
	if isShown(names[n]) {
		return fmt.Sprintf("%q", strings.TrimSpace(names[n]))
	}
	return fmt.Sprintf("column %d", n+1)
}

func these(names []string, all ...int) string {
	words := make([]string, len(all))
	for i, n := range all {
		words[i] = this(names, n)
	}
	return strings.Join(words, " and ")
}

// shownField is a field's name, unless its key may be more than a name.
func shownField(field string) string {
	if !isShown(field) {
		return metadataField
	}
	return field
}

func ignoredName(name string, n int) string {
	switch name = string(trimmed([]byte(name))); {
	case name == "":
		return fmt.Sprintf("column %d (without a name)", n+1)
	case isShown(name):
		return name
	}
	return fmt.Sprintf("column %d", n+1)
}

// isShown reports whether an error may quote a column's name: it must not be
// anything but a name.
func isShown(name string) bool {
	name = strings.ToLower(string(trimmed([]byte(name))))
	return name != "" && len(name) <= 60 && utf8.ValidString(name) && !strings.Contains(name, "(at)") && !strings.Contains(name, "[at]") && !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune(" ._-:/#&+%*?()[]'", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r)
	})
}
