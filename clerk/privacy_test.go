package clerk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unique"
)

// canaries must appear in nothing that is printed. The ticket and the metadata
// are there because they identify a person as well as an address does.
const (
	canaryAddress = "canary.person@nest.example"
	canaryTicket  = "ticket-canary"
	canaryNote    = "note-canary"
)

// leaks returns every way of printing v that shows a canary: by fmt, by JSON
// (which is how loggers print what they do not know), by itself and nested in
// exported and unexported fields, slices and maps.
func leaks(t *testing.T, v any) []string {
	t.Helper()
	type open struct{ V any }
	var out []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{v, open{v}, []any{v}, map[string]any{"k": v}} {
			out = append(out, fmt.Sprintf(verb, v))
		}
	}
	for _, v := range []any{v, open{v}, []any{v}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T does not marshal: %v", v, err)
		}
		out = append(out, string(b))
	}
	var found []string
	for _, s := range out {
		plain := strings.ToLower(s)
		for _, c := range []string{canaryAddress, "canary", "nest.example", fmt.Sprintf("%x", canaryAddress), fmt.Sprintf("%x", testKey), canaryTicket, canaryNote} {
			if strings.Contains(plain, c) {
				found = append(found, s)
			}
		}
	}
	return found
}

func TestValuesMaskThemselves(t *testing.T) {
	key, err := ParseSecretKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	inv := Invitation{ID: "inv_1", EmailAddress: canaryAddress, Status: Pending, PublicMetadata: json.RawMessage(`"` + canaryNote + `"`)}
	params := Params{EmailAddress: canaryAddress, RedirectURL: "https://x.example/" + canaryTicket, PublicMetadata: json.RawMessage(`"` + canaryNote + `"`)}
	cfg := Config{SecretKey: key}
	client := clientOf(t, "http://127.0.0.1/v1")
	for name, v := range map[string]any{
		"invitation":          inv,
		"*invitation":         &inv,
		"status":              Invitation{Status: Status(canaryAddress)}, // whatever Clerk answers
		"page":                Page{Data: []Invitation{inv}},
		"params":              params,
		"*params":             &params,
		"key":                 key,
		"unexported key":      struct{ k SecretKey }{key},
		"users":               Users{map[unique.Handle[string]]string{unique.Make(canaryAddress): "user_1"}},
		"error":               &Error{Op: OpCreate, culprits: []culprit{{unique.Make(canaryAddress), KindExists}}},
		"error in unexported": struct{ e Error }{Error{culprits: []culprit{{unique.Make(canaryAddress), KindExists}}}},
	} {
		if found := leaks(t, v); found != nil {
			t.Errorf("%s shows a canary: %q", name, found)
		}
	}
	// Config has functions and Client has channels, which JSON does not take.
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		for _, v := range []any{cfg, &cfg} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "canary") {
				t.Errorf("%T shows the key: %s", v, s)
			}
		}
		if s := fmt.Sprintf(verb, client); strings.Contains(s, "canary") {
			t.Errorf("a client printed with %s shows the key: %s", verb, s)
		}
	}
}

// TestErrorsShowNobody makes Clerk say the canaries in every place where an
// answer can say something.
func TestErrorsShowNobody(t *testing.T) {
	bodies := []string{
		canaryAddress,
		"<html>" + canaryAddress,
		`{"errors":[{"code":"duplicate_record","message":"` + canaryAddress + `","long_message":"` + canaryAddress + `","meta":{"email_addresses":["` + canaryAddress + `"],"param_name":"` + canaryAddress + `"}}],"clerk_trace_id":"` + canaryAddress + `"}`,
		`{"errors":[{"code":"` + canaryAddress + `"}],"meta":{"email_addresses":["` + canaryAddress + `"]}}`,
		`{"id":"inv_1","email_address":"` + canaryAddress + `","created_at":"` + canaryAddress + `"}`, // of the wrong type
		`[{"id":"` + canaryAddress + `"`,
	}
	for _, status := range []int{200, 302, 400, 401, 403, 409, 422, 429, 500, 502} {
		for _, body := range bodies {
			c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://x.example/"+canaryAddress)
				w.Header().Set("Clerk-Trace-Id", canaryAddress)
				w.Header().Set("X-Clerk-Trace-Id", canaryAddress)
				w.Header().Set("Date", canaryAddress)
				w.Header().Set("Retry-After", canaryAddress)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
			for name, err := range everyCall(t, c) {
				if err == nil {
					continue
				}
				if found := leaks(t, err); found != nil {
					t.Errorf("%s, %d %s: %q", name, status, body, found)
				}
				if e, ok := errors.AsType[*Error](err); !ok || leaks(t, *e) != nil {
					t.Errorf("%s, %d %s: %T by value", name, status, body, err)
				}
			}
		}
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, err := range everyCall(t, clientOf(t, gone.URL)) {
		if found := leaks(t, err); err == nil || found != nil {
			t.Errorf("%s, connection refused: %v %q", name, err, found)
		}
	}
}

func everyCall(t *testing.T, c *Client) map[string]error {
	t.Helper()
	p, other := Params{EmailAddress: canaryAddress}, Params{EmailAddress: "x" + canaryAddress}
	_, create := c.Create(t.Context(), p)
	_, bulk := c.BulkCreate(t.Context(), []Params{p, other})
	_, argument := c.BulkCreate(t.Context(), []Params{p, p})
	_, list := c.List(t.Context(), ListOptions{Query: canaryAddress})
	_, revoke := c.Revoke(t.Context(), "inv_1")
	_, path := c.Revoke(t.Context(), canaryAddress)
	_, users := c.UsersByEmail(t.Context(), []string{canaryAddress})
	return map[string]error{"create": create, "bulk": bulk, "bulk argument": argument, "list": list, "revoke": revoke, "revoke argument": path, "users": users,
		"delete": c.Delete(t.Context(), "inv_1"), "delete argument": c.Delete(t.Context(), canaryAddress)}
}

func TestSecretKey(t *testing.T) {
	for _, tc := range []struct {
		in         string
		ok         bool
		live, test bool
		masked     string
	}{
		{"sk_live_abc", true, true, false, "sk_live_***"},
		{" sk_test_abc\r\n", true, false, true, "sk_test_***"},
		{"anything", true, false, false, "***"},
		{"", false, false, false, ""},
		{" \n", false, false, false, ""},
		{"sk_live_a\nX-Evil: 1", false, false, false, ""},
		{"sk_live_a b", false, false, false, ""},
		{"sk_live_\u00e9", false, false, false, ""},
		{"sk_live_\x7f", false, false, false, ""},
	} {
		k, err := ParseSecretKey(tc.in)
		if (err == nil) != tc.ok || k.IsZero() == tc.ok || k.Live() != tc.live || k.Test() != tc.test || k.String() != tc.masked {
			t.Errorf("%q: %v live %v test %v %q", tc.in, err, k.Live(), k.Test(), k.String())
		}
		if err != nil && strings.Contains(err.Error(), "sk_") {
			t.Errorf("%q: the error quotes the key: %v", tc.in, err)
		}
	}
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"Ada@Example.COM":         "ada@example.com",
		" ada@example.com ":       "ada@example.com",
		"ada@b\u00fccher.example": "ada@xn--bcher-kva.example",
		"a@b@example.com":         "a@b@example.com",
		"nobody":                  "nobody",
		"":                        "",
	} {
		if got := addressKey(in); got != want {
			t.Errorf("addressKey(%q) = %q, want %q", in, got, want)
		}
	}
}
