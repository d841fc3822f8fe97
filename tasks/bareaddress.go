package tasks

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// bareAddress takes off what people and programs put around an address, as long
// as that leaves one answer. What it returns is still to be checked.
func bareAddress(s string) (string, error) {
	for {
		was := s
		s = strings.TrimFunc(s, isAround)
		switch {
		case len(s) > len("mailto:") && strings.EqualFold(s[:len("mailto:")], "mailto:"):
			s = mailtoAddress(s[len("mailto:"):])
		case strings.HasSuffix(s, ">"):
			inner, err := angleAddress(s)
			if err != nil {
				return "", err
			}
			s = inner
		case strings.HasPrefix(s, "[") && strings.HasSuffix(s, ")"):
			s = linkAddress(s)
		default:
			s = unquoted(s)
		}
		if s == was {
			break
		}
	}
	if rest, ok := strings.CutPrefix(s, "'"); ok {
		// Programs that write for spreadsheets, ours too, put an apostrophe before
		// what would otherwise be taken for a formula. An address may begin so.
		if rest == "" || !strings.ContainsRune("=+-|", rune(rest[0])) {
			return "", errors.New("begins with an apostrophe, by which spreadsheets mark text; take it away")
		}
		s = rest
	}
	return onlyAddress(s)
}

// isAround reports what may surround an address without a meaning: every kind of
// white space, what cannot be seen, and the separators that end a list of one.
func isAround(r rune) bool {
	return r == ',' || r == ';' || unicode.IsSpace(r) || unicode.In(r, unicode.Cf)
}

// mailtoAddress is that of a mailto: link without its subject and the like.
func mailtoAddress(s string) string {
	s, _, _ = strings.Cut(s, "?")
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// angleAddress is the address of "Name <address>". The name may be the address
// once more, but no other one.
func angleAddress(s string) (string, error) {
	open := strings.LastIndexByte(s, '<')
	if open < 0 {
		return s, nil // It is refused as no address.
	}
	name, inner := s[:open], s[open+1:len(s)-1]
	if strings.Contains(name, "@") {
		return onlyAddress(strings.Trim(name, ` "'`) + " " + inner)
	}
	return inner, nil
}

// linkAddress is that of a link in Markdown, "[text](mailto:address)".
func linkAddress(s string) string {
	label, target, ok := strings.Cut(s[1:len(s)-1], "](")
	switch {
	case !ok:
		return s // It is refused as no address.
	case strings.Contains(label, "@"):
		return label + " " + strings.TrimPrefix(target, "mailto:")
	}
	return target
}

// marks are pairs of quotation marks.
var marks = []struct{ open, end string }{{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"“", "”"}, {"‘", "’"}, {"„", "“"}, {"«", "»"}}

func unquoted(s string) string {
	for _, m := range marks {
		if inner, ok := strings.CutPrefix(s, m.open); ok {
			if inner, ok = strings.CutSuffix(inner, m.end); ok {
				return inner
			}
		}
	}
	return s
}

// onlyAddress refuses several addresses, unless all are the same one.
func onlyAddress(s string) (string, error) {
	if strings.Count(s, "@") < 2 {
		return s, nil
	}
	var first string
	people := map[string]bool{}
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return isAround(r) || strings.ContainsRune("|/:<>", r) }) {
		if checkEmail(word) != nil {
			return s, nil //nolint:nilerr // It is refused as no address.
		}
		if first == "" {
			first = word
		}
		people[EmailKey(word)] = true
	}
	if len(people) > 1 {
		return "", fmt.Errorf("holds %d addresses; keep the one to invite", len(people))
	}
	return first, nil
}
