package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// The capability document consumes operations that the HTTP API has, and exposes those
// that it consumes.
func TestCapabilityIsOurAPI(t *testing.T) {
	type operation struct {
		Name, Method, Call string
	}
	type resource struct {
		Path       string
		Operations []operation
	}
	var document struct {
		Naftiko    string
		Capability struct {
			Consumes []struct {
				Namespace string
				Resources []resource
			}
			Exposes []struct {
				Type      string
				Tools     []operation
				Resources []resource
			}
		}
	}
	var api struct{ Paths map[string]map[string]any }
	for path, into := range map[string]any{"deployments/capability/inviteq.yml": &document, "enqueue/api/openapi.yaml": &api} {
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(b, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	consumed := map[string]bool{}
	for _, c := range document.Capability.Consumes {
		for _, r := range c.Resources {
			path := strings.NewReplacer("{{invitation_id}}", "{id}").Replace(r.Path)
			for _, o := range r.Operations {
				consumed[c.Namespace+"."+o.Name] = true
				if _, ok := api.Paths[path][strings.ToLower(o.Method)]; !ok {
					t.Errorf("%s: the API has no %s %s", o.Name, o.Method, path)
				}
			}
		}
	}
	exposed := map[string]int{}
	for _, e := range document.Capability.Exposes {
		operations := e.Tools
		for _, r := range e.Resources {
			operations = append(operations, r.Operations...)
		}
		for _, o := range operations {
			if exposed[e.Type]++; !consumed[o.Call] {
				t.Errorf("%s exposes %s, which calls %q: nothing consumed has this name", e.Type, o.Name, o.Call)
			}
		}
	}
	if len(consumed) != 4 || exposed["mcp"] != 4 || exposed["rest"] != 4 || document.Naftiko != "1.0.0-alpha2" {
		t.Errorf("consumes %d operations and exposes %v, want four each", len(consumed), exposed)
	}
}
