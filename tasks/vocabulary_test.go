package tasks

import (
	"regexp"
	"strings"
	"testing"
)

// TestEveryWordIsExplained: each word is stable and readable, and comes with a
// sentence that says what it means and one that says what to do.
func TestEveryWordIsExplained(t *testing.T) {
	all := map[string]Entry{}
	add := func(kind, word string, e Entry) {
		if _, twice := all[kind+" "+word]; twice {
			t.Errorf("%s %q stands twice", kind, word)
		}
		all[kind+" "+word] = e
	}
	for _, s := range States {
		add("state", s.String(), s.Entry())
	}
	for _, r := range Reasons() {
		add("reason", string(r), r.Entry())
	}
	for _, c := range GateCauses() {
		add("gate cause", string(c), c.Entry())
		if c.Reason().Entry() == (Entry{}) {
			t.Errorf("the gate cause %q is no reason", c)
		}
	}
	for _, p := range HealthProblems() {
		add("health problem", string(p), p.Entry())
	}
	form := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for word, e := range all {
		if _, w, _ := strings.Cut(strings.Replace(word, "gate ", "", 1), " "); !form.MatchString(w[strings.LastIndex(w, " ")+1:]) {
			t.Errorf("%q is no stable word", w)
		}
		for _, text := range []string{e.Means, e.Do} {
			if first, _, _ := strings.Cut(text, " "); !strings.HasSuffix(text, ".") || first != strings.ToUpper(first[:1])+first[1:] {
				t.Errorf("%s: %q is no sentence", word, text)
			}
		}
	}
}

func TestParseReason(t *testing.T) {
	for _, r := range Reasons() {
		if got, err := ParseReason(string(r)); err != nil || got != r {
			t.Errorf("%s: got %q, %v", r, got, err)
		}
	}
	for _, word := range []string{"", "found", "invalid_", "invalid_colour", "Blocked"} {
		if _, err := ParseReason(word); err == nil || !strings.Contains(err.Error(), "already_invited, existing_user, blocked") {
			t.Errorf("%q: got %v", word, err)
		}
	}
	if r := InvalidField("password"); r != ReasonInvalid {
		t.Errorf("got %q", r)
	}
}
