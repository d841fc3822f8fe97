package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/enqueue/api"
)

// TestRefusalsAreSummed: what a stranger can make by the thousand is a few lines and
// a sum; what was done is a line each.
func TestRefusalsAreSummed(t *testing.T) {
	var log bytes.Buffer
	a := newAuditLog(zerolog.New(&log))
	for range 5000 {
		a.write(api.Entry{Status: 401, Code: "clerk_key_invalid", Route: "/v1/invitations"})
		a.write(api.Entry{Status: 404, Code: "resource_not_found"})
		a.write(api.Entry{Status: 503, Code: "service_unavailable", Route: "/v1/invitations"})
		a.write(api.Entry{Status: 405, Code: "method_not_allowed", Route: "/openapi.yaml"})
	}
	for range 30 {
		a.write(api.Entry{Status: 200, Route: "/v1/invitations", Token: "billing", TokenID: "tok_1"})
		a.write(api.Entry{Status: 500, Code: "internal_error", Route: "/v1/invitations", Err: errors.New("a bug")})
	}
	a.write(api.Entry{Status: 200, Route: "/healthz"})
	a.refused.Flush()
	for text, want := range map[string]int{
		`"status":401`: 20, `"status":404`: 20, `"status":503`: 20, `"status":405`: 20, `"status":200`: 31, `"status":500`: 30,
		`"level":"error"`: 30, `"level":"debug"`: 1,
		`"clerk_key_invalid":5000,"method_not_allowed":5000,"resource_not_found":5000,"service_unavailable":5000`: 1, "\n": 142,
	} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%q is there %d times, want %d", text, got, want)
		}
	}
	log.Reset()
	a.write(api.Entry{Status: 401, Code: "clerk_key_invalid", Route: "/v1/invitations"})
	a.refused.Flush()
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("one refusal is %d lines: %s", n, &log)
	}
}
