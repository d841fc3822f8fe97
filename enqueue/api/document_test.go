package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/tasks"
)

// TestDocumentHasEveryWord: the document lists the states and reasons that there
// are, in the order of their tables.
func TestDocumentHasEveryWord(t *testing.T) {
	states, reasons := []any{}, []any{""}
	for _, s := range tasks.States {
		states = append(states, s.String())
	}
	for _, r := range tasks.Reasons() {
		reasons = append(reasons, string(r))
	}
	schemas := document(t, "http://127.0.0.1").Components.Schemas
	for name, want := range map[string][]any{"State": states, "Reason": reasons} {
		if diff := cmp.Diff(want, schemas[name].Value.Enum); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
