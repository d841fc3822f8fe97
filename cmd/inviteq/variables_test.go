package main

import (
	"strings"
	"testing"
)

// TestMisspeltVariables: a setting that has no effect is an error with the nearest
// name; what Kubernetes puts into a pod is none.
func TestMisspeltVariables(t *testing.T) {
	w := newWorld(t, "INVITEQ_LIMIT_SINGEL=5/1h", "INVITEQ_WORKER_SERVICE_HOST=10.0.0.1", "INVITEQ_WORKER_SERVICE_PORT_HTTP=8080",
		"INVITEQ_WORKER_PORT=tcp://10.0.0.1:8080", "INVITEQ_WORKER_PORT_8080_TCP_ADDR=10.0.0.1", "INVITEQ_COFFEE_MACHINE=on")
	r := w.run("list")
	want := "INVITEQ_COFFEE_MACHINE means nothing to inviteq; unset it\n" + "INVITEQ_LIMIT_SINGEL means nothing to inviteq; did you mean INVITEQ_LIMIT_SINGLE?\n"
	if got := strings.ReplaceAll(r.stderr, "inviteq: INVITEQ", "INVITEQ"); r.code != exitUsage || got != want {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
