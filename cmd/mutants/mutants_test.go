package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A change of the code must bring its mutants along.
func TestEveryMutantHasItsPlace(t *testing.T) {
	for _, m := range mutants {
		b, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), m.old); n != 1 || m.old == m.new {
			t.Errorf("%s: its place stands %d times in %s", m.name, n, m.file)
		}
	}
}

// A test that is called something else now catches nothing.
func TestEveryMutantHasItsJudge(t *testing.T) {
	for _, m := range mutants {
		if m.test == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join("..", "..", cmp.Or(m.dir, "./worker"), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		judge, _, _ := strings.Cut(m.test, "/")
		found := false
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(b), "\nfunc "+judge)
		}
		if !found {
			t.Errorf("%s: there is no %s", m.name, m.test)
		}
	}
}
