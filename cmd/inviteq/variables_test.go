package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMisspeltVariables: a setting that has no effect is an error with the nearest
// name; what Kubernetes puts into a pod is none.
func TestMisspeltVariables(t *testing.T) {
	w := newWorld(t, "INVITEQ_LIMIT_SINGEL=5/1h", "INVITEQ_WORKER_SERVICE_HOST=10.0.0.1", "INVITEQ_WORKER_SERVICE_PORT_HTTP=8080",
		"INVITEQ_WORKER_PORT=tcp://10.0.0.1:8080", "INVITEQ_WORKER_PORT_8080_TCP_ADDR=10.0.0.1", "INVITEQ_COFFEE_MACHINE=on", "INVITEQ_REDIS_URL=redis://127.0.0.1:1/0")
	r := w.run("list")
	want := "INVITEQ_COFFEE_MACHINE means nothing to inviteq; unset it\n" + "INVITEQ_LIMIT_SINGEL means nothing to inviteq; did you mean INVITEQ_LIMIT_SINGLE?\n" +
		"INVITEQ_REDIS_URL means nothing to inviteq; did you mean REDIS_URL?\n"
	if got := strings.ReplaceAll(r.stderr, "inviteq: INVITEQ", "INVITEQ"); r.code != exitUsage || got != want {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// TestSecretsAreKnown: a secret that some command asks for is a variable that means
// something.
func TestSecretsAreKnown(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := knownVariables(model(t))
	found := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`env\.secret\("(\w+)"\)`).FindAllSubmatch(source, -1) {
			name := string(m[1])
			if found++; !known[name] || !known[name+"_FILE"] {
				t.Errorf("%s asks for %s, which is refused as meaning nothing", file, name)
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d places that ask for a secret", found)
	}
}
