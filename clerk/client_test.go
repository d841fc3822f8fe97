package clerk

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testKey = "sk_test_canary_5f0c"

// newClient returns a client of handler.
func newClient(t *testing.T, handler http.HandlerFunc, edit ...func(*Config)) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return clientOf(t, server.URL+"/v1", edit...)
}

func clientOf(t *testing.T, baseURL string, edit ...func(*Config)) *Client {
	t.Helper()
	key, err := ParseSecretKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{SecretKey: key, BaseURL: baseURL, UserAgent: "inviteq/test"}
	for _, f := range edit {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer is a handler that always answers the same.
func answerWith(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRequestsOnTheWire(t *testing.T) {
	type wire struct{ Method, URI, Body string }
	var got wire
	reply := ""
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = wire{r.Method, r.RequestURI, string(body)}
		want := map[string]string{
			"Authorization":     "Bearer " + testKey,
			"User-Agent":        "inviteq/test",
			"Clerk-Api-Version": "2025-04-10",
			"Idempotency-Key":   "",
		}
		for k, v := range want {
			if r.Header.Get(k) != v {
				t.Errorf("%s %s: header %s = %q, want %q", r.Method, r.RequestURI, k, r.Header.Get(k), v)
			}
		}
		if r.Method == http.MethodPost && r.ContentLength != int64(len(body)) {
			t.Errorf("Content-Length = %d, want %d", r.ContentLength, len(body))
		}
		_, _ = io.WriteString(w, reply)
	})

	for _, tc := range []struct {
		name, reply string
		call        func() error
		want        wire
	}{
		{
			"create, least", `{"id":"inv_1","email_address":"a@b.example"}`,
			func() error { _, err := c.Create(t.Context(), Params{EmailAddress: "A@b.example"}); return err },
			wire{"POST", "/v1/invitations", `{"email_address":"A@b.example"}`},
		},
		{
			"create, all", `{"id":"inv_1","email_address":"a@b.example"}`,
			func() error {
				_, err := c.Create(t.Context(), Params{
					EmailAddress: "a@b.example", PublicMetadata: json.RawMessage(`{"team":"x"}`), RedirectURL: "https://x.example/in",
					Notify: new(false), IgnoreExisting: true, ExpiresInDays: 7, TemplateSlug: "waitlist_invitation",
				})
				return err
			},
			wire{"POST", "/v1/invitations", `{"email_address":"a@b.example","public_metadata":{"team":"x"},"redirect_url":"https://x.example/in","notify":false,"ignore_existing":true,"expires_in_days":7,"template_slug":"waitlist_invitation"}`},
		},
		{
			"bulk", `[{"id":"inv_2","email_address":"c@b.example"},{"id":"inv_1","email_address":"a@b.example"}]`,
			func() error {
				_, err := c.BulkCreate(t.Context(), []Params{{EmailAddress: "a@b.example"}, {EmailAddress: "C@B.example"}})
				return err
			},
			wire{"POST", "/v1/invitations/bulk", `[{"email_address":"a@b.example"},{"email_address":"C@B.example"}]`},
		},
		{
			"list, least", `{"data":[],"total_count":0}`,
			func() error { _, err := c.List(t.Context(), ListOptions{}); return err },
			wire{"GET", "/v1/invitations?paginated=true", ""},
		},
		{
			"list, all", `{"data":[],"total_count":0}`,
			func() error {
				_, err := c.List(t.Context(), ListOptions{Statuses: AllStatuses(), Query: "a+b@c.example", OrderBy: "+created_at", Limit: 500, Offset: 20})
				return err
			},
			wire{"GET", "/v1/invitations?limit=500&offset=20&order_by=%2Bcreated_at&paginated=true&query=a%2Bb%40c.example&status=pending&status=accepted&status=revoked&status=expired", ""},
		},
		{
			"revoke", `{"id":"inv_1","revoked":true,"status":"revoked"}`,
			func() error { _, err := c.Revoke(t.Context(), "inv_1"); return err },
			wire{"POST", "/v1/invitations/inv_1/revoke", "null"}, // the SDK's way to say nothing
		},
		{
			"users", `[]`,
			func() error {
				_, err := c.UsersByEmail(t.Context(), []string{"A@b.example", "c@b.example"})
				return err
			},
			wire{"GET", "/v1/users?email_address=a%40b.example&email_address=c%40b.example&limit=2", ""},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, reply = wire{}, tc.reply
			if err := tc.call(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvitationFields(t *testing.T) {
	c := newClient(t, answerWith(200, "application/json", `{"object":"invitation","id":"inv_1","email_address":"Ada@b.example",
		"public_metadata":{"a":1},"status":"pending","url":"https://x.example/ticket","expires_at":1700000000123,"created_at":1690000000456,"updated_at":1690000000789}`))
	got, err := c.Create(t.Context(), Params{EmailAddress: "ada@b.example"})
	if err != nil {
		t.Fatal(err)
	}
	want := Invitation{
		ID: "inv_1", EmailAddress: "Ada@b.example", Status: Pending, PublicMetadata: json.RawMessage(`{"a":1}`),
		ExpiresAt: time.UnixMilli(1700000000123).UTC(), CreatedAt: time.UnixMilli(1690000000456).UTC(), UpdatedAt: time.UnixMilli(1690000000789).UTC(),
	}
	// Field by field: the type masks itself in cmp's output, too.
	if got.ID != want.ID || got.EmailAddress != want.EmailAddress || got.Status != want.Status || got.Revoked ||
		string(got.PublicMetadata) != string(want.PublicMetadata) ||
		!got.ExpiresAt.Equal(want.ExpiresAt) || !got.CreatedAt.Equal(want.CreatedAt) || !got.UpdatedAt.Equal(want.UpdatedAt) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSuccessThatIsNone(t *testing.T) {
	one, two := Params{EmailAddress: "a@b.example"}, Params{EmailAddress: "c@b.example"}
	create := func(c *Client) error { _, err := c.Create(t.Context(), one); return err }
	bulk := func(c *Client) error { _, err := c.BulkCreate(t.Context(), []Params{one, two}); return err }
	list := func(c *Client) error { _, err := c.List(t.Context(), ListOptions{}); return err }
	revoke := func(c *Client) error { _, err := c.Revoke(t.Context(), "inv_1"); return err }
	remove := func(c *Client) error { return c.Delete(t.Context(), "inv_1") }
	users := func(c *Client) error { _, err := c.UsersByEmail(t.Context(), []string{"a@b.example"}); return err }

	for _, tc := range []struct {
		name, body string
		call       func(*Client) error
		kind       Kind
		cause      Cause
	}{
		{"create: empty", "", create, KindUnknown, CauseMismatch},
		{"create: HTML", "<html>", create, KindUnknown, CauseUnread},
		{"create: cut off", `{"id":"inv_1","email_addr`, create, KindUnknown, CauseUnread},
		{"create: no id", `{"email_address":"a@b.example"}`, create, KindUnknown, CauseMismatch},
		{"create: an array", `[{"id":"inv_1","email_address":"a@b.example"}]`, create, KindUnknown, CauseUnread},
		{"create: null", `null`, create, KindUnknown, CauseMismatch},
		{"bulk: too few", `[{"id":"inv_1","email_address":"a@b.example"}]`, bulk, KindUnknown, CauseMismatch},
		{"bulk: too many", `[{"id":"inv_1","email_address":"a@b.example"},{"id":"inv_2","email_address":"c@b.example"},{"id":"inv_3","email_address":"d@b.example"}]`, bulk, KindUnknown, CauseMismatch},
		{"bulk: one twice", `[{"id":"inv_1","email_address":"a@b.example"},{"id":"inv_2","email_address":"A@b.example"}]`, bulk, KindUnknown, CauseMismatch},
		{"bulk: an id twice", `[{"id":"inv_1","email_address":"a@b.example"},{"id":"inv_1","email_address":"c@b.example"}]`, bulk, KindUnknown, CauseMismatch},
		{"bulk: two strays", `[{"id":"inv_1","email_address":"x@b.example"},{"id":"inv_2","email_address":"y@b.example"}]`, bulk, KindUnknown, CauseMismatch},
		{"bulk: null in it", `[{"id":"inv_1","email_address":"a@b.example"},null]`, bulk, KindUnknown, CauseMismatch},
		{"bulk: an object", `{"data":[]}`, bulk, KindUnknown, CauseUnread},
		{"bulk: empty", ``, bulk, KindUnknown, CauseMismatch},
		{"list: empty", ``, list, KindUnavailable, CauseMismatch},
		{"list: no data", `{}`, list, KindUnavailable, CauseMismatch},
		{"list: bare array", `[]`, list, KindUnavailable, CauseUnread},
		{"list: HTML", `<html>`, list, KindUnavailable, CauseUnread},
		{"list: row without id", `{"data":[{}],"total_count":1}`, list, KindUnavailable, CauseMismatch},
		{"revoke: empty", ``, revoke, KindUnavailable, CauseMismatch},
		{"revoke: another", `{"id":"inv_2"}`, revoke, KindUnavailable, CauseMismatch},
		{"delete: HTML", `<html>`, remove, KindUnavailable, CauseUnread},
		{"delete: another", `{"id":"inv_2","deleted":true}`, remove, KindUnavailable, CauseMismatch},
		{"users: empty", ``, users, KindUnavailable, CauseMismatch},
		{"users: object", `{"data":[]}`, users, KindUnavailable, CauseUnread},
		{"users: no id", `[{"email_addresses":[]}]`, users, KindUnavailable, CauseMismatch},
		{"create: larger than we read", `{"id":"inv_1","email_address":"a@b.example","x":"` + strings.Repeat("x", maxBody) + `"}`, create, KindUnknown, CauseTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.call(newClient(t, answerWith(200, "application/json", tc.body)))
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %T, want *Error", err)
			}
			if e.Kind != tc.kind || e.Cause != tc.cause || e.Status != 200 {
				t.Errorf("got kind %v, cause %q, status %d; want %v, %q, 200", e.Kind, e.Cause, e.Status, tc.kind, tc.cause)
			}
		})
	}
	for _, body := range []string{`{"data":[],"total_count":0}`, `{"data":null,"total_count":0}`} {
		if err := list(newClient(t, answerWith(200, "application/json", body))); err != nil {
			t.Errorf("list %s: %v", body, err)
		}
	}
	for _, body := range []string{`[]`, `null`} {
		if err := users(newClient(t, answerWith(200, "application/json", body))); err != nil {
			t.Errorf("users %s: %v", body, err)
		}
	}
}

// TestEchoedAddress has answers that repeat an address in another form than it was
// sent in: what was created is known all the same.
func TestEchoedAddress(t *testing.T) {
	one, err := newClient(t, answerWith(200, "application/json", `{"id":"inv_1","email_address":"ada@b.example"}`)).
		Create(t.Context(), Params{EmailAddress: "a.d.a@b.example"})
	if err != nil || one.ID != "inv_1" || one.EmailAddress != "ada@b.example" {
		t.Errorf("create: %v as %q, %v", one.ID, one.EmailAddress, err)
	}
	body := `[{"id":"inv_3","email_address":"C@B.example"},{"id":"inv_1","email_address":"ada@b.example"},{"id":"inv_2","email_address":"b@xn--bcher-kva.example"}]`
	all, err := newClient(t, answerWith(200, "application/json", body)).
		BulkCreate(t.Context(), []Params{{EmailAddress: "a.d.a@b.example"}, {EmailAddress: "b@bücher.example"}, {EmailAddress: "c@b.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"inv_1", "inv_2", "inv_3"} {
		if all[i].ID != want {
			t.Errorf("bulk: place %d has %s, want %s", i, all[i].ID, want)
		}
	}
}

// TestSeveralEchoedAddresses has answers in which Clerk has left out the dots of
// several addresses: they are told apart by what is left, if that is one person's only.
func TestSeveralEchoedAddresses(t *testing.T) {
	answer := answerWith(200, "application/json", `[{"id":"inv_2","email_address":"bob@b.example"},{"id":"inv_1","email_address":"ada@b.example"}]`)
	all, err := newClient(t, answer).BulkCreate(t.Context(), []Params{{EmailAddress: "a.d.a@b.example"}, {EmailAddress: "b.ob@b.example"}})
	if err != nil || all[0].ID != "inv_1" || all[1].ID != "inv_2" {
		t.Errorf("got %+v, %v", all, err)
	}
	answer = answerWith(200, "application/json", `[{"id":"inv_2","email_address":"ada@b.example"},{"id":"inv_1","email_address":"bob@b.example"}]`)
	_, err = newClient(t, answer).BulkCreate(t.Context(), []Params{{EmailAddress: "a.d.a@b.example"}, {EmailAddress: "ad.a@b.example"}})
	if e, ok := errors.AsType[*Error](err); !ok || e.Cause != CauseMismatch {
		t.Errorf("two people with the same letters: got %v", err)
	}
}

// TestDelete has what is known, and what is not, of a deletion's answer.
func TestDelete(t *testing.T) {
	for _, body := range []string{
		`{"object":"invitation","id":"inv_1","deleted":true}`, `{"object":"invitation","id":"inv_1","status":"pending"}`, `{}`, ``, `null`,
	} {
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			sent, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodDelete || r.URL.Path != "/v1/invitations/inv_1" || len(sent) > 0 || r.Header.Get("Content-Type") != "" {
				t.Errorf("sent %s %s with %q as %q", r.Method, r.URL.Path, sent, r.Header.Get("Content-Type"))
			}
			answerWith(200, "application/json", body)(w, r)
		})
		if err := c.Delete(t.Context(), "inv_1"); err != nil {
			t.Errorf("answer %s: %v", body, err)
		}
	}
	if err := newClient(t, answerWith(204, "", "")).Delete(t.Context(), "inv_1"); err != nil {
		t.Errorf("204: %v", err)
	}
	if err := newClient(t, answerWith(404, "text/html", "<html>")).Delete(t.Context(), "inv_1"); !errors.Is(err, KindRefused) {
		t.Errorf("a gateway's 404: %v; it must not pass for a deleted invitation", err)
	}
}

func TestUsersByEmail(t *testing.T) {
	c := newClient(t, answerWith(200, "application/json", `[
		{"id":"user_1","email_addresses":[{"email_address":"old@b.example"},{"email_address":"Ada@b.example"}]},
		{"id":"user_2","email_addresses":[{"email_address":"other@b.example"}]}]`))
	got, err := c.UsersByEmail(t.Context(), []string{"ADA@b.example", "new@b.example"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != 1 || got.ID("ada@b.example") != "user_1" || got.Has("new@b.example") || got.Has("old@b.example") {
		t.Errorf("Len %d, ID %q, new %v, old %v", got.Len(), got.ID("ada@b.example"), got.Has("new@b.example"), got.Has("old@b.example"))
	}
}

func TestArgumentsAreRefusedUnsent(t *testing.T) {
	c := newClient(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	eleven := make([]Params, MaxBulk+1)
	for i := range eleven {
		eleven[i].EmailAddress = strings.Repeat("a", i+1) + "@b.example"
	}
	for name, call := range map[string]func() error{
		"create: no address": func() error { _, err := c.Create(t.Context(), Params{}); return err },
		"create: bad metadata": func() error {
			_, err := c.Create(t.Context(), Params{EmailAddress: "a@b.example", PublicMetadata: json.RawMessage(`{`)})
			return err
		},
		"bulk: none":   func() error { _, err := c.BulkCreate(t.Context(), nil); return err },
		"bulk: eleven": func() error { _, err := c.BulkCreate(t.Context(), eleven); return err },
		"bulk: one twice": func() error {
			_, err := c.BulkCreate(t.Context(), []Params{{EmailAddress: "a@b.example"}, {EmailAddress: " A@B.example"}})
			return err
		},
		"revoke: nothing":       func() error { _, err := c.Revoke(t.Context(), ""); return err },
		"revoke: another path":  func() error { _, err := c.Revoke(t.Context(), "../users/user_1"); return err },
		"revoke: query":         func() error { _, err := c.Revoke(t.Context(), "inv_1?x=1"); return err },
		"delete: another path":  func() error { return c.Delete(t.Context(), "bulk/../../users/user_1") },
		"list: too many":        func() error { _, err := c.List(t.Context(), ListOptions{Limit: MaxPage + 1}); return err },
		"list: negative offset": func() error { _, err := c.List(t.Context(), ListOptions{Offset: -1}); return err },
		"users: none":           func() error { _, err := c.UsersByEmail(t.Context(), nil); return err },
		"users: too many":       func() error { _, err := c.UsersByEmail(t.Context(), make([]string, MaxUserAddresses+1)); return err },
	} {
		err := call()
		if !errors.Is(err, KindMalformed) {
			t.Errorf("%s: error %v, want %v", name, err, KindMalformed)
		}
	}
}

func TestNewJoinsAllComplaints(t *testing.T) {
	_, err := New(Config{BaseURL: "http://clerk.example/v1", Timeout: -1, UserAgent: "a\nb"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"SecretKey", "BaseURL", "Timeout", "UserAgent"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not speak of %s", err, part)
		}
	}
}

func TestBaseURL(t *testing.T) {
	key, _ := ParseSecretKey(testKey)
	for _, tc := range []struct {
		url  string
		http bool
		ok   bool
	}{
		{"", false, true},
		{"https://api.clerk.com/v1", false, true},
		{"https://api.clerk.com/v1/", false, true},
		{"https://api.clerk.com", false, false}, // JavaScript's CLERK_API_URL has no version
		{"https://proxy.example/clerk", false, true},
		{"http://127.0.0.1:8090/v1", false, true},
		{"http://localhost:8090", false, true},
		{"http://[::1]:8090/v1", false, true},
		{"http://clerksim:8090/v1", false, false},
		{"http://clerksim:8090/v1", true, true},
		{"http://127.0.0.1.example/v1", false, false},
		{"https://user:hunter2@clerk.example/v1", false, false},
		{"https://clerk.example/v1?key=hunter2", false, false},
		{"https://clerk.example/v1#x", false, false},
		{"ftp://clerk.example", false, false},
		{"clerk.example/v1", false, false},
		{"https://", false, false},
		{"https://%zz", false, false},
	} {
		_, err := New(Config{SecretKey: key, BaseURL: tc.url, AllowHTTP: tc.http})
		if (err == nil) != tc.ok {
			t.Errorf("%q (AllowHTTP %v): error %v, want ok %v", tc.url, tc.http, err, tc.ok)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error quotes the URL: %v", tc.url, err)
		}
	}
}
