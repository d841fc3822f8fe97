package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/access"
)

// FuzzHandler sends whatever parses as a request, with a token that may do all and
// with one that may do little. The API never fails, answers JSON that names what is
// wrong, and shows neither a token nor somebody else's address.
func FuzzHandler(f *testing.F) {
	s := newStage(f)
	s.post("/v1/invitations", `{"email_address":"canary@example.com"}`)
	all, own := s.token, s.tokenOf("own", access.Viewer, access.Own)
	const post = " HTTP/1.1\r\nContent-Type: application/json\r\n"
	for _, c := range []struct{ head, body string }{
		{"GET /v1/invitations?limit=1&offset=0&status=pending&query=canary HTTP/1.1", ""},
		{"GET /v1/invitations?order_by=-created_at&paginated=true HTTP/1.1", ""},
		{"GET /v1/invites/inq_1 HTTP/1.1", ""}, {"GET /v1/invites/%2e%2e%2fx?wait=1 HTTP/1.1", ""}, {"GET /v1/status HTTP/1.1", ""},
		{"GET /v1/events?after=0-0&limit=2 HTTP/1.1", ""}, {"GET /v1/imports?limit=1 HTTP/1.1", ""}, {"GET /v1/imports/imp_1 HTTP/1.1", ""}, {"GET /healthz HTTP/1.1", ""},
		{"POST /v1/invitations" + post + "Idempotency-Key: k", `{"email_address":"a@b.co","public_metadata":{"a":[1e400,null]},"expires_in_days":30,"notify":true}`},
		{"POST /v1/invitations?lane=import&wait=1" + post, `{"email_address":"a@b.co","ignore_existing":true,"redirect_url":"https://x.co/y"}`},
		{"POST /v1/invitations/bulk" + post, `[{"email_address":"a@b.co"},{"email_address":"A@b.co"},{}]`},
		{"POST /v1/invitations/inv_1/revoke" + post, ""}, {"DELETE /v1/invitations/inv_1 HTTP/1.1", ""},
		{"POST /v1/imports?dry_run=true&import_id=x HTTP/1.1\r\nContent-Type: text/csv", "email\na@b.co\nnobody\n"},
		{"POST /v1/imports?skip_invalid=true HTTP/1.1\r\nContent-Type: application/x-ndjson", "{\"email\":\"a@b.co\"}\n{"},
		{"POST /v1/imports/x/pause" + post, "{}"}, {"POST /v1/imports/x/revoke?dry_run=true" + post, "{}"},
		{"POST /v1/forget" + post, `{"email_address":"nobody@example.com","at_clerk":false}`},
		{"PATCH //v1/../v1/invitations HTTP/1.1\r\nContent-Encoding: gzip\r\nX-Forwarded-For: ::1, x", "\x1f\x8b\x00"},
	} {
		f.Add(c.head, c.body, true)
		f.Add(c.head, c.body, false)
	}
	f.Fuzz(func(t *testing.T, head, body string, mayDoAll bool) {
		token := own
		if mayDoAll {
			token = all
		}
		head = strings.TrimRight(head, "\r\n") + "\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return // net/http answers it.
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // For those who ask to wait.
		defer cancel()
		sent, w := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body)), httptest.NewRecorder()
		r.Body, r.ContentLength, r.RemoteAddr = sent.Body, int64(len(body)), "127.0.0.1:1"
		s.handler.ServeHTTP(w, r.WithContext(ctx))

		got := w.Body.String()
		switch late := ctx.Err() != nil; {
		case w.Code >= 500 && !late && w.Code != http.StatusNotImplemented:
			t.Fatalf("%q: %d: %s", head, w.Code, got)
		case strings.Contains(got, all) || strings.Contains(got, own):
			t.Fatalf("%q: the answer has a token", head)
		case !mayDoAll && strings.Contains(got, "canary@") && !strings.Contains(head+body, "canary"):
			t.Fatalf("%q: the answer has an address of another's", head)
		case late || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json"):
			return
		case !json.Valid([]byte(got)):
			t.Fatalf("%q: %d: no JSON: %s", head, w.Code, got)
		case w.Code >= 400 && !strings.Contains(got, `"code"`):
			t.Fatalf("%q: %d: it does not say what is wrong: %s", head, w.Code, got)
		}
	})
}
