package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/tasks"
)

// vocabularies are the closed ones that are types of strings, whose words a
// literal could misspell. A state is a number, and cannot be misspelt.
var vocabularies = map[string][]string{
	"Reason":        texts(tasks.Reasons()),
	"GateCause":     texts(tasks.GateCauses()),
	"HealthProblem": texts(tasks.HealthProblems()),
	"Condition":     texts(tasks.Conditions()),
}

func texts[W ~string](words []W) []string {
	var all []string
	for _, w := range words {
		all = append(all, string(w))
	}
	return all
}

// TestVocabularyIsClosed: whatever Go or Lua says where a word of a closed
// vocabulary belongs is a word of its table, and each word of a table is said
// somewhere.
func TestVocabularyIsClosed(t *testing.T) {
	said := map[string]bool{}
	load(t, func(path string, fset *token.FileSet, files []*ast.File, info *types.Info) {
		for _, f := range files {
			checkWords(t, path, fset, f, info, said)
		}
	})
	scripts, err := filepath.Glob("../../tasks/ledger/*.lua")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range scripts {
		checkScript(t, file, said)
	}
	for kind, words := range vocabularies {
		for _, word := range words {
			cause := kind == "Reason" && said["GateCause "+word]
			field := kind == "Reason" && strings.HasPrefix(word, "invalid") && said["InvalidField"]
			old := word == string(tasks.ReasonQueuedMissing) // Earlier versions have said it.
			if !said[kind+" "+word] && !cause && !field && !old {
				t.Errorf("nothing ever says the %s %q", kind, word)
			}
		}
	}
}

// kindOf says of which vocabulary a type is; "" for any other type.
func kindOf(t types.Type) string {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != ours+"/tasks" {
		return ""
	}
	if name := named.Obj().Name(); vocabularies[name] != nil {
		return name
	}
	return ""
}

// checkWords looks at every constant of a file that is a word, and at every
// conversion that could make one of any text.
func checkWords(t *testing.T, path string, fset *token.FileSet, f *ast.File, info *types.Info, said map[string]bool) {
	t.Helper()
	var above []ast.Node
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil {
			above = above[:len(above)-1]
			return true
		}
		above = append(above, n)
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "InvalidField" {
			said["InvalidField"] = true
		}
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		value := info.Types[e]
		kind := kindOf(value.Type)
		switch call, isCall := e.(*ast.CallExpr); {
		case kind == "":
		case value.Value != nil:
			word := constant.StringVal(value.Value)
			if word != "" && !slices.Contains(vocabularies[kind], word) {
				t.Errorf("%s: %q is no %s", fset.Position(e.Pos()), word, kind)
			}
			// To read an old word, and to compare, is not to say a word.
			isOld := filepath.Base(fset.Position(e.Pos()).Filename) == "oldwords.go"
			if path != "tasks" && !isOld && !compared(above) {
				said[kind+" "+word] = true
			}
		case isCall && info.Types[call.Fun].IsType() && !within(path, "tasks"):
			t.Errorf("%s: any text may become a %s here", fset.Position(e.Pos()), kind)
		}
		return true
	})
}

// compared reports whether an expression is only compared with another one.
func compared(above []ast.Node) bool {
	for _, n := range slices.Backward(above[:len(above)-1]) {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			continue
		case *ast.BinaryExpr:
			return n.Op == token.EQL || n.Op == token.NEQ
		case *ast.CaseClause:
			return slices.Contains(n.List, above[len(above)-1].(ast.Expr)) || slices.ContainsFunc(n.List, func(e ast.Expr) bool {
				return e.Pos() <= above[len(above)-1].Pos() && above[len(above)-1].End() <= e.End()
			})
		default:
			return false
		}
	}
	return false
}

var (
	speltReason = regexp.MustCompile(`\bR\.(\w+)`)
	quotedWord  = regexp.MustCompile(`'(\w+)'`)
	movedFor    = regexp.MustCompile(`\bmove\([^,()]+, [^,()]+, now, '\w`)
)

var (
	stateWord   = regexp.MustCompile(`(?:\bmove\([^,()]+, |\b(?:state|to) [=~]= |\bto(?:, reason(?:, at)?)? = )'(\w+)'`)
	stateLetter = regexp.MustCompile(`\b([a-z])='(\w+)'`)
)

// TestStatesInScripts: the scripts know the states, and their letters, that Go
// knows, and speak of no other.
func TestStatesInScripts(t *testing.T) {
	scripts, err := filepath.Glob("../../tasks/ledger/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	found, letters := 0, 0
	for _, file := range scripts {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range stateWord.FindAllStringSubmatch(string(b), -1) {
			found++
			if _, err := tasks.ParseState(m[1]); err != nil {
				t.Errorf("%s: %s is no state", file, m[1])
			}
		}
		for _, m := range stateLetter.FindAllStringSubmatch(string(b), -1) {
			letters++
			if s, ok := tasks.StateOf(m[1][0]); !ok || s.String() != m[2] {
				t.Errorf("%s: %s stands for %s, not for %s", file, m[1], s, m[2])
			}
		}
	}
	if found < 20 || letters != len(tasks.States) {
		t.Errorf("found %d states and %d letters only", found, letters)
	}
}

// checkScript: a script gets its reasons spelt in (R.word, where a word that is
// none is an error at load), and quotes none itself.
func checkScript(t *testing.T, file string, said map[string]bool) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "--")
		for _, m := range speltReason.FindAllStringSubmatch(line, -1) {
			said["Reason "+m[1]] = true
		}
		for _, m := range quotedWord.FindAllStringSubmatch(line, -1) {
			if slices.Contains(vocabularies["Reason"], m[1]) {
				t.Errorf("%s:%d: write R.%s", file, n+1, m[1])
			}
		}
		if movedFor.MatchString(line) {
			t.Errorf("%s:%d: a reason is quoted", file, n+1)
		}
	}
}

// load type-checks the packages of this module, without their tests, against
// what the compiler has exported of all others.
func load(t *testing.T, each func(path string, fset *token.FileSet, files []*ast.File, info *types.Info)) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles", ours+"/...")
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
	}
	var all []listed
	exports := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if within(p.ImportPath, ours) {
			all = append(all, p)
		}
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, p := range all {
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		if _, err := (&types.Config{Importer: imports}).Check(p.ImportPath, fset, files, info); err != nil {
			t.Fatal(err)
		}
		each(strings.TrimPrefix(p.ImportPath, ours+"/"), fset, files, info)
	}
}

// TestVocabularyOfDeployments: alerts and dashboard ask for words that there are.
func TestVocabularyOfDeployments(t *testing.T) {
	states := make([]string, len(tasks.States))
	for i, s := range tasks.States {
		states[i] = s.String()
	}
	found := 0
	for _, file := range []string{"../../deployments/prometheus/alerts.yml", "../../deployments/grafana/inviteq.json"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), `\"`, `"`)
		for pattern, words := range map[string][]string{
			`inviteq_problem\{[^}]*problem[=!]~?"([^"]*)"`:                        vocabularies["HealthProblem"],
			`inviteq_(?:invites|outcomes_total)\{[^}]*state[=!]~?"([^"]*)"`:       states,
			`inviteq_outcomes_total\{[^}]*reason[=!]~?"([^"]*)"`:                  vocabularies["Reason"],
			`inviteq_invite_transitions_total\{[^}]*\b(?:from|to)[=!]~?"([^"]*)"`: states,
		} {
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
				for word := range strings.SplitSeq(m[1], "|") {
					found++
					if !slices.Contains(words, word) {
						t.Errorf("%s asks for %q in %s", file, word, m[0])
					}
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("found %d words only", found)
	}
}
