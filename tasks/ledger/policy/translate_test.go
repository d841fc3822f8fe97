package policy_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

var update = flag.Bool("update", false, "write policy.lua anew")

// TestLuaIsFresh says when policy.lua is not what its sources say.
func TestLuaIsFresh(t *testing.T) {
	lua, err := translate("demand.go", "quota.go", "people.go", "policy.go")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("policy.lua", []byte(lua), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(lua, policy.Lua); diff != "" {
		t.Errorf("policy.lua is stale: run go generate ./tasks/ledger/policy (-sources +policy.lua)\n%s", diff)
	}
}

// What Lua would understand differently must be refused, not written down wrongly.
func TestTranslateRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"a copy of a record":    "type r struct{ n float64 }\nfunc f(a r) float64 { b := a; b.n = 1; return a.n }",
		"division of integers":  "func f(a, b int) int { return a / b }",
		"a remainder":           "func f(a int) int { return a % 2 }",
		"a slice":               "func f(a []int) int { return a[0] }",
		"a goto":                "func f() { again: goto again }",
		"a closure":             "func f() float64 { g := func() float64 { return 1 }; return g() }",
		"two methods of a name": "type r struct{}\ntype q struct{}\nfunc (r) f() {}\nfunc (q) f() {}",
		"half a declaration":    "func g() (int, int) { return 1, 2 }\nfunc f() int { a := 1; a, b := g(); return a + b }",
	} {
		path := t.TempDir() + "/source.go"
		if err := os.WriteFile(path, []byte("package p\n"+body), 0o600); err != nil {
			t.Fatal(err)
		}
		if lua, err := translate(path); err == nil {
			t.Errorf("%s was translated: %s", name, lua)
		}
	}
}

// translator writes the part of Go that policy.go and its neighbours keep to as Lua
// 5.1: constants, functions and methods; numbers, strings, booleans and records.
type translator struct {
	strings.Builder
	info   types.Info
	fset   *token.FileSet
	indent string
}

// refusal is panicked with, and returned by translate.
type refusal string

func translate(paths ...string) (lua string, err error) {
	defer func() {
		if r, ok := recover().(refusal); ok {
			err = fmt.Errorf("%s", string(r))
		}
	}()
	t := &translator{fset: token.NewFileSet(), info: types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
	}}
	var files []*ast.File
	for _, path := range paths {
		f, err := parser.ParseFile(t.fset, path, nil, parser.ParseComments)
		if err != nil {
			return "", err
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(t.fset, "source", nil)}
	if _, err := conf.Check("policy", t.fset, files, &t.info); err != nil {
		return "", err
	}
	t.WriteString("-- policy.lua: made from " + strings.Join(paths, ", ") + " by go generate; do not edit. The words are theirs.\n")
	var names []string
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if slices.Contains(names, d.Name.Name) {
					t.refuse(d, "types by which to tell two functions of one name")
				}
				names = append(names, d.Name.Name)
			case *ast.GenDecl:
				t.constants(d)
			}
		}
	}
	t.WriteString("local " + strings.Join(names, ", ") + "\n")
	for _, f := range files {
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				t.function(d)
			}
		}
	}
	return t.String(), nil
}

func (t *translator) refuse(n ast.Node, what string) {
	panic(refusal(fmt.Sprintf("%s: Lua has no %s", t.fset.Position(n.Pos()), what)))
}

func (t *translator) line(format string, args ...any) {
	fmt.Fprintf(t, t.indent+format+"\n", args...)
}

func (t *translator) constants(d *ast.GenDecl) {
	if d.Tok != token.CONST {
		return
	}
	for _, s := range d.Specs {
		spec := s.(*ast.ValueSpec)
		for i, name := range spec.Names {
			if i >= len(spec.Values) {
				t.refuse(spec, "iota")
			}
			t.line("local %s = %s", name.Name, t.expr(spec.Values[i]))
		}
	}
}

func (t *translator) function(d *ast.FuncDecl) {
	var params []string
	for _, list := range []*ast.FieldList{d.Recv, d.Type.Params} {
		if list != nil {
			for _, f := range list.List {
				for _, name := range f.Names {
					params = append(params, name.Name)
				}
			}
		}
	}
	t.line("")
	for doc := range strings.Lines(d.Doc.Text()) {
		t.line("-- %s", strings.TrimSpace(doc))
	}
	t.line("function %s(%s)", d.Name.Name, strings.Join(params, ", "))
	t.block(d.Body)
	t.line("end")
}

func (t *translator) block(b *ast.BlockStmt) { t.statements(b.List) }

func (t *translator) statements(list []ast.Stmt) {
	t.indent += "  "
	for _, s := range list {
		t.statement(s)
	}
	t.indent = strings.TrimSuffix(t.indent, "  ")
}

func (t *translator) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		t.assign(s)
	case *ast.IncDecStmt:
		t.line("%s = %s %s 1", t.expr(s.X), t.expr(s.X), s.Tok.String()[:1])
	case *ast.ExprStmt:
		t.line("%s", t.expr(s.X))
	case *ast.ReturnStmt:
		t.line("%s", strings.TrimSpace("return "+t.list(s.Results)))
	case *ast.IfStmt:
		t.branch("if", s)
	case *ast.SwitchStmt:
		t.choice(s)
	case *ast.RangeStmt:
		if basic, ok := t.info.TypeOf(s.X).Underlying().(*types.Basic); !ok || basic.Info()&types.IsInteger == 0 || s.Key == nil {
			t.refuse(s, "such loops")
		}
		t.line("for %s = 0, %s - 1 do", t.expr(s.Key), t.expr(s.X))
		t.block(s.Body)
		t.line("end")
	default:
		t.refuse(s, fmt.Sprintf("%T here", s))
	}
}

func (t *translator) assign(s *ast.AssignStmt) {
	for _, e := range s.Rhs {
		if _, ok := t.info.TypeOf(e).Underlying().(*types.Struct); ok {
			switch e.(type) {
			case *ast.CompositeLit, *ast.CallExpr: // is nobody else's
			default:
				t.refuse(e, "copies of records")
			}
		}
	}
	local := ""
	switch s.Tok {
	case token.ASSIGN:
	case token.DEFINE:
		local = "local "
		for _, e := range s.Lhs {
			if e.(*ast.Ident).Name != "_" && t.info.Defs[e.(*ast.Ident)] == nil {
				t.refuse(s, "declaration of some")
			}
		}
	case token.ADD_ASSIGN, token.SUB_ASSIGN, token.MUL_ASSIGN:
		t.line("%s = %s %s (%s)", t.expr(s.Lhs[0]), t.expr(s.Lhs[0]), s.Tok.String()[:1], t.expr(s.Rhs[0]))
		return
	default:
		t.refuse(s, s.Tok.String())
	}
	t.line("%s%s = %s", local, t.list(s.Lhs), t.list(s.Rhs))
}

func (t *translator) branch(word string, s *ast.IfStmt) {
	if s.Init != nil {
		t.refuse(s, "initial statements")
	}
	t.line("%s %s then", word, t.expr(s.Cond))
	t.block(s.Body)
	switch other := s.Else.(type) {
	case *ast.IfStmt:
		t.branch("elseif", other)
		return
	case *ast.BlockStmt:
		t.line("else")
		t.block(other)
	}
	t.line("end")
}

// choice writes a switch without a value.
func (t *translator) choice(s *ast.SwitchStmt) {
	if s.Init != nil || s.Tag != nil {
		t.refuse(s, "switches by value")
	}
	word := "if"
	for i, c := range s.Body.List {
		clause := c.(*ast.CaseClause)
		switch {
		case len(clause.List) == 1:
			t.line("%s %s then", word, t.expr(clause.List[0]))
		case clause.List == nil && i > 0 && i == len(s.Body.List)-1:
			t.line("else")
		default:
			t.refuse(clause, "such cases")
		}
		t.statements(clause.Body)
		word = "elseif"
	}
	t.line("end")
}

func (t *translator) list(all []ast.Expr) string {
	out := make([]string, len(all))
	for i, e := range all {
		out[i] = t.expr(e)
	}
	return strings.Join(out, ", ")
}

// operators are those that Lua spells differently, or has at all.
var operators = map[token.Token]string{
	token.LAND: "and", token.LOR: "or", token.NEQ: "~=", token.EQL: "==", token.LSS: "<", token.LEQ: "<=", token.GTR: ">", token.GEQ: ">=",
	token.ADD: "+", token.SUB: "-", token.MUL: "*", token.QUO: "/", token.NOT: "not ",
}

func (t *translator) expr(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return "'" + strings.Trim(e.Value, "\"`") + "'"
		}
		return e.Value
	case *ast.ParenExpr:
		return "(" + t.expr(e.X) + ")"
	case *ast.SelectorExpr:
		return t.expr(e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		t.refuse(e, "pointers")
	case *ast.UnaryExpr:
		if e.Op == token.AND { // of a literal, or of a field: a record is its reference
			return t.expr(e.X)
		}
		return t.operator(e, e.Op) + t.expr(e.X)
	case *ast.BinaryExpr:
		if basic, ok := t.info.TypeOf(e).Underlying().(*types.Basic); e.Op == token.QUO && ok && basic.Info()&types.IsInteger != 0 && t.info.Types[e].Value == nil {
			t.refuse(e, "division of integers")
		}
		return t.expr(e.X) + " " + t.operator(e, e.Op) + " " + t.expr(e.Y)
	case *ast.CallExpr:
		return t.call(e)
	case *ast.CompositeLit:
		return t.record(e)
	}
	t.refuse(e, fmt.Sprintf("%T here", e))
	return ""
}

func (t *translator) operator(n ast.Node, op token.Token) string {
	word, ok := operators[op]
	if !ok {
		t.refuse(n, op.String())
	}
	return word
}

func (t *translator) call(e *ast.CallExpr) string {
	if t.info.Types[e.Fun].IsType() { // All numbers are one type.
		return t.expr(e.Args[0])
	}
	sel, ok := e.Fun.(*ast.SelectorExpr)
	if !ok {
		name := e.Fun.(*ast.Ident).Name
		if _, builtin := t.info.Uses[e.Fun.(*ast.Ident)].(*types.Builtin); builtin {
			if name != "min" && name != "max" {
				t.refuse(e, name)
			}
			name = "math." + name
		}
		return name + "(" + t.list(e.Args) + ")"
	}
	if _, pkg := t.info.Uses[sel.Sel].(*types.Func); !pkg {
		t.refuse(e, "calls of values")
	}
	method := t.info.Uses[sel.Sel].(*types.Func).Signature().Recv()
	if method == nil {
		return "math." + strings.ToLower(sel.Sel.Name) + "(" + t.list(e.Args) + ")"
	}
	if types.IsInterface(method.Type()) { // A table of functions.
		return t.expr(sel.X) + "." + sel.Sel.Name + "(" + t.list(e.Args) + ")"
	}
	return sel.Sel.Name + "(" + t.list(append([]ast.Expr{sel.X}, e.Args...)) + ")"
}

// record writes a literal with a zero for every field that is left out.
func (t *translator) record(e *ast.CompositeLit) string {
	s, ok := t.info.TypeOf(e).Underlying().(*types.Struct)
	if !ok {
		t.refuse(e, "such literals")
	}
	given := map[string]string{}
	for _, el := range e.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			t.refuse(e, "fields without names")
		}
		given[kv.Key.(*ast.Ident).Name] = t.expr(kv.Value)
	}
	var fields []string
	for f := range s.Fields() {
		value, ok := given[f.Name()]
		if basic, isBasic := f.Type().Underlying().(*types.Basic); !ok && isBasic {
			switch {
			case basic.Info()&types.IsNumeric != 0:
				value, ok = "0", true
			case basic.Info()&types.IsBoolean != 0:
				value, ok = "false", true
			case basic.Info()&types.IsString != 0:
				value, ok = "''", true
			}
		}
		if ok {
			fields = append(fields, f.Name()+" = "+value)
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}
