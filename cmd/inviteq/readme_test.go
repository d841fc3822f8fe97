package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/clerk/clerksim/control"
)

// root is the top of the repository.
const root = "../.."

// TestREADME keeps the README and the pages beside it true: their generated
// parts are what the program says, and the tests, make targets, files, headings,
// variables and commands that they name exist.
func TestREADME(t *testing.T) {
	app := model(t)
	parts := map[string]string{
		"commands": commandTable(app), "worker": flagTable(app, "worker"), "alerts": alertTable(t),
		"states": wordTable("state", tasks.States), "reasons": wordTable("reason", tasks.Reasons()),
		"causes": wordTable("cause", tasks.GateCauses()), "problems": wordTable("problem", tasks.HealthProblems()),
		"conditions": wordTable("condition", tasks.Conditions()),
		"steps":      stepTable(), "switches": switchTable(), "reads": controlTable(t, "GET"), "actions": controlTable(t, "POST"),
	}
	all := pages(t)
	sources, known := testSources(t), variables(t, app)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range all {
		want := text
		for _, part := range unique(regexp.MustCompile("<!-- generated: (.*?) -->"), text) {
			content, ok := parts[part]
			if !ok {
				t.Errorf("%s: no part is named %q, or it is on another page too", path, part)
				continue
			}
			delete(parts, part)
			want = replacePart(t, want, part, content)
		}
		if *update {
			if err := os.WriteFile(filepath.Join(root, path), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(want, text); diff != "" {
			t.Errorf("%s: the tables are out of date; run this test with -update: %s", path, diff)
		}
		for _, name := range unique(regexp.MustCompile(`\b(Test[A-Z][A-Za-z0-9]*)`), text) {
			if !strings.Contains(sources, "func "+name+"(") {
				t.Errorf("%s: there is no %s", path, name)
			}
		}
		for _, target := range unique(regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)"), text) {
			if !strings.Contains(string(makefile), "\n"+target+":") {
				t.Errorf("%s: there is no make %s", path, target)
			}
		}
		for _, name := range unique(regexp.MustCompile(`\b(INVITEQ_[A-Z_]*[A-Z])\b`), text) {
			if !known[name] {
				t.Errorf("%s: there is no variable %s", path, name)
			}
		}
		checkLinks(t, path, all)
	}
	for part := range parts {
		t.Errorf("no page has the part %q", part)
	}
	checkCommands(t, slices.Collect(maps.Values(all)))
}

// pages are the Markdown files of the repository, keyed by their path in it.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", ".github/*.md", ".github/*/*.md", "*/*.md", "*/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found[strings.TrimPrefix(filepath.ToSlash(file), root+"/")] = string(b)
		}
	}
	return found
}

// checkLinks follows every link of a page to a file, and to a heading of it.
func checkLinks(t *testing.T, path string, all map[string]string) {
	t.Helper()
	for _, link := range unique(regexp.MustCompile(`\]\(([^)]+)\)`), all[path]) {
		if strings.HasPrefix(link, "https://") {
			continue
		}
		file, heading, _ := strings.Cut(link, "#")
		to := path
		if file != "" {
			to = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
		}
		if _, err := os.Stat(filepath.Join(root, to)); err != nil {
			t.Errorf("%s: a link leads nowhere: %v", path, err)
		}
		if heading != "" && !slices.Contains(headings(all[to]), heading) {
			t.Errorf("%s: %s has no heading #%s", path, to, heading)
		}
	}
}

// headings are those of a page as GitHub names them in links.
func headings(text string) []string {
	found := unique(regexp.MustCompile(`(?m)^#+ (.*)$`), text)
	for i, heading := range found {
		plain := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(heading), "")
		found[i] = strings.ReplaceAll(plain, " ", "-")
	}
	return found
}

// checkCommands parses every command line of the pages that runs inviteq, and
// does not run it.
func checkCommands(t *testing.T, pages []string) {
	t.Helper()
	var code strings.Builder
	for _, text := range pages {
		for i, block := range strings.Split(text, "```") {
			if i%2 == 1 {
				code.WriteString(block)
				continue
			}
			for _, span := range unique(regexp.MustCompile("`([^`]+)`"), block) {
				code.WriteString(span + "\n")
			}
		}
	}
	commands := unique(regexp.MustCompile(`(?m)(?:^|/)inviteq ([a-z].*?)(?: &)?$`), code.String())
	if len(commands) < 15 {
		t.Errorf("found %d commands only: %q", len(commands), commands)
	}
	for _, line := range commands {
		p := newProgram(nil, strings.NewReader(""), &strings.Builder{}, &strings.Builder{})
		args := words(line)
		if len(args) == 1 { // The name of a command, in a sentence.
			args = append(args, "--help")
		}
		if _, err := p.parse(args); err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("inviteq %s: %v", line, err)
		}
	}
}

// words splits a line as a shell does, as far as the pages need it.
func words(line string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2])
	}
	return out
}

func unique(pattern *regexp.Regexp, text string) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			out = append(out, m[1])
		}
	}
	return out
}

func testSources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func replacePart(t *testing.T, text, part, content string) string {
	t.Helper()
	begin, end := "<!-- generated: "+part+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("the part %q has no end", part)
	}
	return before + begin + content + end + after
}

func commandTable(app *kong.Application) string {
	var b strings.Builder
	b.WriteString("| command | what |\n|---|---|\n")
	for _, c := range app.Children {
		fmt.Fprintf(&b, "| `inviteq %s` | %s |\n", c.Name, cellOf(c.Help))
	}
	return b.String()
}

// stepTable is what can happen to an invite.
func stepTable() string {
	var b strings.Builder
	b.WriteString("| from | to | when | reasons |\n|---|---|---|---|\n")
	for _, s := range tasks.Steps() {
		var why []string
		for _, r := range s.Reasons {
			if r != "" {
				why = append(why, "`"+string(r)+"`")
			}
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.From, s.To, cellOf(s.When), strings.Join(why, " "))
	}
	return b.String()
}

func switchTable() string {
	var b strings.Builder
	b.WriteString("| switch | question | answers, the default first |\n|---|---|---|\n")
	for _, s := range clerksim.AllSwitches() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, cellOf(s.Asks), "`"+strings.Join(s.Values, "` `")+"`")
	}
	return b.String()
}

// controlTable is what the control API says of itself.
func controlTable(t *testing.T, method string) string {
	t.Helper()
	sim, err := clerksim.New(clerksim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	w := httptest.NewRecorder()
	control.Handler(sim).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/control/", http.NoBody))
	var index map[string][]struct {
		Path, Does string
		Params     map[string]string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | what | parameters |\n|---|---|---|\n", method)
	for _, e := range index[method] {
		var params []string
		for _, name := range slices.Sorted(maps.Keys(e.Params)) {
			params = append(params, "`"+name+"`: "+e.Params[name])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Path, cellOf(e.Does), cellOf(strings.Join(params, "; ")))
	}
	return b.String()
}

// wordTable explains the words of a closed vocabulary.
func wordTable[W interface{ Entry() tasks.Entry }](kind string, words []W) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | it means | do |\n|---|---|---|\n", kind)
	for _, w := range words {
		fmt.Fprintf(&b, "| `%v` | %s | %s |\n", w, cellOf(w.Entry().Means), cellOf(w.Entry().Do))
	}
	return b.String()
}

func flagTable(app *kong.Application, command string) string {
	var b strings.Builder
	b.WriteString("| variable | default | what |\n|---|---|---|\n")
	for _, c := range app.Children {
		if c.Name != command {
			continue
		}
		for _, f := range c.Flags {
			if f.Name == "help" {
				continue
			}
			standard := ""
			if f.HasDefault {
				standard = "`" + f.Default + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", variableOf(f), standard, cellOf(f.Help))
		}
	}
	return b.String()
}

// alertTable holds what the alert rules say, in the order of their file.
func alertTable(t *testing.T) string {
	t.Helper()
	rules, err := os.ReadFile(root + "/deployments/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| alert | it means | do |\n|---|---|---|\n")
	for _, rule := range strings.Split(string(rules), "- alert: ")[1:] {
		name, _, _ := strings.Cut(rule, "\n")
		part := func(key string) string {
			m := regexp.MustCompile(`(?m)^ *` + key + `: "?(.*?)"?$`).FindStringSubmatch(rule)
			if m == nil {
				t.Errorf("the alert %s has no %s", name, key)
				return ""
			}
			return cellOf(strings.ReplaceAll(m[1], "{{ $labels.lane }}", "import"))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, part("description"), part("runbook"))
	}
	return b.String()
}

func cellOf(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// variables are those of every flag, and every secret that the program reads.
func variables(t *testing.T, app *kong.Application) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, c := range app.Children {
		for _, f := range c.Flags {
			known[variableOf(f)] = true
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range unique(regexp.MustCompile(`\.secret\("([A-Z_]+)"\)`), string(b)) {
			known[name], known[name+"_FILE"] = true, true
		}
	}
	return known
}
