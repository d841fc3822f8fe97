package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	var tab table
	tab.header("name", "count", "note")
	tab.row(text("Zoë"), number(7), text("x"))
	tab.row(text("日本"), number(12345), text(""))
	want := []string{
		"name   count  note",
		"Zoë        7  x",
		"日本  12,345",
	}
	if diff := cmp.Diff(want, tab.lines(false)); diff != "" {
		t.Error(diff)
	}
	if got := tab.lines(true)[0]; !strings.Contains(got, "\x1b[") {
		t.Errorf("the heading has no colour: %q", got)
	}
}

func TestNoColourOffATerminal(t *testing.T) {
	var out strings.Builder
	c := newConsole(environment{"TERM": "xterm"}, nil, &out, &out)
	if c.onOut || c.onErr || c.errTTY != nil {
		t.Error("a pipe is taken for a terminal")
	}
}

func TestBar(t *testing.T) {
	plain := func(s string) string { return s }
	for _, c := range []struct {
		whole int64
		parts []int64
		want  string
	}{
		{0, []int64{0}, "░░░░░░░░░░"},
		{10, []int64{5, 2}, "aaaaabb░░░"},
		{1000, []int64{1, 1}, "ab░░░░░░░░"},
		{1000, []int64{998, 1, 1}, "aaaaaaaaab"},
		{10, []int64{10, 5}, "aaaaaaaaaa"},
	} {
		var parts []part
		for i, n := range c.parts {
			parts = append(parts, part{n, string(rune('a' + i)), plain})
		}
		if got := bar(10, c.whole, false, parts...); got != c.want {
			t.Errorf("bar(%d, %v) = %q, want %q", c.whole, c.parts, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"short", "short"},
		{"exactly10!", "exactly10!"},
		{"longer than that", "longer tha"},
		{"日本日本日本", "日本日本日"},
		{"\x1b[31mlonger than\x1b[0m that", "\x1b[31mlonger tha\x1b[0m"},
	} {
		if got := cut(c.line, 10); got != c.want && got != c.want+"\x1b[0m" {
			t.Errorf("cut(%q) = %q, want %q", c.line, got, c.want)
		}
	}
}

func TestParseWhen(t *testing.T) {
	now := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"2h": now.Add(2 * time.Hour), "2026-02-01T00:00:00Z": time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), "-1h": {}, "tomorrow": {}, "": {},
	} {
		got, err := parseWhen(now, s)
		if !got.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("parseWhen(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for s, want := range map[string]string{"a.csv": "a.csv", "my list.csv": "'my list.csv'", "it's": `'it'\''s'`} {
		if got := quoted(s); got != want {
			t.Errorf("quoted(%q) = %s, want %s", s, got, want)
		}
	}
}
