package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBugs: a panic is a 500 without detail, and the audit log knows of it.
func TestBugs(t *testing.T) {
	var entries []Entry
	a := &API{cfg: Config{Audit: func(e Entry) { entries = append(entries, e) }}}
	for range 2 {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", http.NoBody)
		a.ServeHTTP(w, r) // It has no ledger.
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"code":"internal_error"`) || strings.Contains(w.Body.String(), "nil pointer") {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
	if len(entries) != 2 || entries[0].Err == nil || entries[0].Status != 500 {
		t.Errorf("audited %+v", entries)
	}
}

// TestStates: every state looks like one of Clerk's, and each status is found
// again by its states, but for those of people who were never invited.
func TestStates(t *testing.T) {
	n := 0
	for _, status := range []string{pending, accepted, revoked, expired} {
		for _, s := range statesOf(status) {
			n++
			if statusOf(s) != status {
				t.Errorf("%s is %s, want %s", s, statusOf(s), status)
			}
		}
	}
	if n != 9 {
		t.Errorf("%d states are listed, want all 11 but rejected and failed", n)
	}
}
