package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notPlain are the words that a reader in a hurry stumbles over, with what to
// write instead: name who acts, and use one word for one thing.
var notPlain = []struct{ word, instead string }{
	{`somebody|someone|anybody|everybody|whoever`, "name who acts: the person, the worker, the producer"},
	{`mend(s|ed|ing)?`, "fix"},
	{`as things stand`, "at the current rate"},
	{`belongs? into`, "belongs in"},
	{`a line each|one line a problem|one object a line`, "one per line"},
	{`none lifts it`, "none disables it"},
	{`off for (never|nowhere)`, "off disables it"},
	{`worth no error`, "not an error"},
	{`by half`, "half"},
	{`zero value is good`, "the zero value is ready to use"},
}

// TestPlainWords reads what users read: the pages, the help, the alerts, the
// status pages and the description of the HTTP API.
func TestPlainWords(t *testing.T) {
	texts := pages(t)
	for _, pattern := range []string{
		"cmd/inviteq/testdata/help/*.golden", "deployments/prometheus/*.yml", "deployments/grafana/*.json", "worker/admin/pages/*.html", "enqueue/api/openapi.yaml",
	} {
		files, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(b)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		text := strings.Join(strings.Fields(texts[file]), " ")
		for _, p := range notPlain {
			if at := regexp.MustCompile(`(?i)\b(` + p.word + `)\b`).FindStringIndex(text); at != nil {
				t.Errorf("%s: …%s…: write instead: %s", file, text[max(0, at[0]-40):min(len(text), at[1]+40)], p.instead)
			}
		}
	}
}
