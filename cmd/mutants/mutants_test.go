package main

import (
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
