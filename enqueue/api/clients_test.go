package api_test

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/enqueue/api"
)

// TestGeneratedClients makes clients of openapi.yaml by the README's own commands, and
// drives the API with them, down to the simulated Clerk. What the generators need is
// fetched, which takes longer than CI has: only with INVITEQ_CLIENTS=1 (make clients).
func TestGeneratedClients(t *testing.T) {
	if os.Getenv("INVITEQ_CLIENTS") != "1" {
		t.Skip("INVITEQ_CLIENTS=1 (make clients) generates clients and runs them")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newErasingStage(t)
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	s.contract.set(true) // One request is wrong on purpose.
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: s.contract,
	})
	defer proxy.Close()
	for _, language := range []struct {
		name, generator, source, main, build, run string
		files                                     map[string]string
	}{
		{
			name: "Go", generator: `mkdir -p inviteq && go run github.com/oapi-codegen/\S+ .*`, source: "main.go.txt", main: "main.go", build: "go mod tidy", run: "go run .",
			files: map[string]string{"go.mod": "module client\n\ngo 1.26\n"},
		},
		{
			name: "TypeScript", generator: `npx openapi-typescript\S* .*`, source: "main.ts", main: "main.ts",
			build: "npm install --no-audit --no-fund --ignore-scripts --no-save typescript@5.9.3 openapi-fetch@0.17.0 && npx tsc --strict --target es2022 --module nodenext --skipLibCheck main.ts",
			run:   "node main.js",
			files: map[string]string{"package.json": `{"private":true,"type":"module"}`},
		},
	} {
		t.Run(language.name, func(t *testing.T) {
			command := regexp.MustCompile(language.generator).FindString(string(readme))
			if command == "" {
				t.Fatal("the README does not say how to generate a client")
			}
			dir := t.TempDir()
			main, err := os.ReadFile(filepath.Join("testdata", "clients", language.source))
			if err != nil {
				t.Fatal(err)
			}
			language.files[language.main], language.files["openapi.yaml"] = string(main), string(api.Document)
			for name, text := range language.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, line := range []string{command, language.build, language.run} {
				c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", line)
				c.Dir = dir
				c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "API_URL="+proxy.URL, "API_TOKEN="+s.token, "npm_config_yes=true")
				out, err := c.CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
				if line == language.run && strings.TrimSpace(string(out)) != "done" {
					t.Errorf("%s printed %s", line, out)
				}
			}
		})
	}
}
