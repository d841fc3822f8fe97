package admin

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// FuzzPages sends whatever parses as a request, with the token of an admin. No page
// fails, none is without its policy, none says what it was told without escaping it, and
// none has an address that was not asked for.
func FuzzPages(f *testing.F) {
	s := newStage(f, withSeat)
	s.admit("spring", append(people(0, 3), "x."+canary)...)
	s.await(tasks.Pending, 4)
	const form = " HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nOrigin: http://x\r\nSec-Fetch-Site: same-origin"
	const file = " HTTP/1.1\r\nSec-Fetch-Site: same-origin\r\nContent-Type: multipart/form-data; boundary=b"
	for _, c := range []struct{ head, body string }{
		{"GET / HTTP/1.1", ""}, {"GET /healthz HTTP/1.1", ""}, {"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text", ""},
		{"GET /invites?state=pending&reason=%3Cfuzz%3E&import=spring&older=1h&after=x HTTP/1.1", ""}, {"GET /invites/%3Cfuzz%3E HTTP/1.1", ""},
		{"GET /audit?who=%3Cfuzz%3E&before=0 HTTP/1.1", ""}, {"GET /charts?span=30d HTTP/1.1", ""}, {"GET /imports/spring?state=queued&page=9 HTTP/1.1", ""},
		{"GET /imports/spring/outcomes.csv?state=pending HTTP/1.1", ""}, {"GET /imports/%3Cfuzz%3E/events HTTP/1.1\r\nLast-Event-ID: 1", ""},
		{"GET /monitoring/api/queues/default/active_tasks?size=1&page=-1 HTTP/1.1", ""}, {"POST /monitoring/api/queues/default:pause" + form, ""},
		{"GET /monitoring/../%2e%2e//assets/ HTTP/1.1", ""}, {"GET /assets/../pages/status.html HTTP/1.1", ""},
		{"POST /search" + form, "q=%3Cfuzz%3E"}, {"POST /search" + form, "q=x@y.zz"}, {"POST /invites" + form, "email_address=nobody&redirect_url=%3Cfuzz%3E&public_metadata=%7B"},
		{"POST /invites/%3Cfuzz%3E/retry" + form, ""}, {"POST /selection" + form, "verb=retry&id=%3Cfuzz%3E&id=&typed=2&n=2"},
		{"POST /lanes/interactive/fuzz" + form, ""}, {"POST /imports/spring/fuzz" + form, ""}, {"POST /sign-in" + form, "token=%3Cfuzz%3E"}, {"POST /sign-out" + form, ""},
		{"POST /uploads" + file, "--b\r\nContent-Disposition: form-data; name=\"list\"; filename=\"<fuzz>.csv\"\r\n\r\nemail,<fuzz>\na@b.co,1\n<fuzz>,2\n\r\n--b--\r\n"},
		{"POST /uploads/x/start" + form, "hold=1h&typed=%3Cfuzz%3E"}, {"GET /uploads/%3Cfuzz%3E HTTP/1.1\r\nCookie: inviteq=<fuzz>", ""},
	} {
		f.Add(c.head, c.body)
	}
	f.Fuzz(func(t *testing.T, head, body string) {
		head = strings.TrimRight(head, "\r\n") + "\r\nHost: x\r\nAuthorization: Bearer " + testToken + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return // net/http answers it.
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // For what streams.
		defer cancel()
		sent, w := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body)), httptest.NewRecorder()
		r.Body, r.ContentLength, r.RemoteAddr = sent.Body, int64(len(body)), "127.0.0.1:1"
		s.server.Config.Handler.ServeHTTP(w, r.WithContext(ctx))

		got, html := w.Body.String(), strings.HasPrefix(w.Header().Get("Content-Type"), "text/html")
		switch late := ctx.Err() != nil; {
		case w.Code >= 500 && !late && w.Code != http.StatusNotImplemented && !strings.HasPrefix(r.URL.Path, "/readyz"):
			t.Fatalf("%q: %d: %s", head, w.Code, got)
		case strings.Contains(got, testToken):
			t.Fatalf("%q: the answer has the token", head)
		case html && strings.Contains(got, "<fuzz"):
			t.Fatalf("%q: %d: it says what it was told as it is", head, w.Code)
		case html && w.Header().Get("Content-Security-Policy") == "":
			t.Fatalf("%q: %d: a page without a policy", head, w.Code)
		case leaks(got) && !leaks(head+body) && !strings.HasSuffix(r.URL.Path, "/reveal") && !strings.HasSuffix(r.URL.Path, ".csv"):
			t.Fatalf("%q: %d: the answer has an address", head, w.Code)
		}
	})
}
