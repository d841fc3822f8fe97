package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/inviteq/inviteq/tasks"
)

// TestEveryReasonIsExplained looks for the reasons where they are made: in the
// worker's verdicts and in the ledger's scripts.
func TestEveryReasonIsExplained(t *testing.T) {
	found := 0
	for glob, pattern := range map[string]string{
		"../../worker/*.go":        `(?:\breason[A-Z]\w* *= *|unknown\(now, r, )"([a-z_]+)"`,
		"../../tasks/ledger/*.go":  `\bReason[A-Z]\w* *= *"([a-z_]+)"`,
		"../../tasks/ledger/*.lua": `\bmove\([^)]*, now, '([a-z_]+)'`,
	} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", glob, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range unique(regexp.MustCompile(pattern), string(b)) {
				found++
				if advice(word) == "" {
					t.Errorf("%s makes the reason %q, which nothing explains", filepath.Base(file), word)
				}
			}
		}
	}
	if found < 12 {
		t.Errorf("found %d reasons only", found)
	}
	if got := advice("invalid_redirect_url"); got != "Clerk refuses its redirect_url" {
		t.Errorf("got %q", got)
	}
}

func TestEveryStateHasAMeaning(t *testing.T) {
	for _, s := range tasks.States {
		if meaning(s) == "" {
			t.Errorf("%s has no meaning", s)
		}
	}
}
