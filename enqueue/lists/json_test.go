package lists_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue/lists"
)

func TestJSONLines(t *testing.T) {
	const ada, bob = `{"email_address":"ada@example.com"}`, `{"email_address":"bob@example.com"}`
	wide := `{"email_address":"ada@example.com",` + strings.Repeat(" ", 700_000) + `"id":"x"}`
	deep := `{"email_address":"ada@example.com","public_metadata":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41)
	tests := []struct {
		name, in string
		want     []string
	}{
		{"empty", "", nil},
		{"blank lines alone", "\n \r\n\t\n", nil},
		{"one", ada, []string{"1 ada@example.com"}},
		{"every field", `{"email_address":"ada@example.com","public_metadata":{"n": 1.50, "b": true},"redirect_url":"/x","notify":false,"ignore_existing":true,` +
			`"expires_in_days":7,"template_slug":"invitation","id":"order:42","lane":"interactive","not_before":"2026-01-31T10:00:00+01:00","deadline":"2026-02-01T00:00:00Z"}`, []string{
			`1 ada@example.com {"public_metadata":{"n":1.50,"b":true},"redirect_url":"/x","notify":false,"ignore_existing":true,"expires_in_days":7,` +
				`"template_slug":"invitation","id":"order:42","lane":"interactive","not_before":"2026-01-31T09:00:00Z","deadline":"2026-02-01T00:00:00Z"}`}},
		{"BOM, CRLF, blank lines, no last line end", "\ufeff" + ada + "\r\n\r\n  " + ada + "  \r\n" + ada, []string{"1 ada@example.com", "row 3: same address as row 1", "row 4: same address as row 1"}},
		{"lines longer than the buffer", bob + "\n" + wide + "\n" + bob, []string{"1 bob@example.com", `2 ada@example.com {"id":"x"}`, "row 3: same address as row 1"}},

		{"broken lines among good ones", lines(ada, `{"email_address":`, `{"email_address":"x"}`, "oops", `{}`, `"x"`, ada+ada, ada+",", ada), []string{
			"1 ada@example.com", "row 2: is not valid JSON (it ends too early)", "row 3: email_address is not one plain address such as ada@example.com",
			"row 4: is not a JSON object; every line must be one", "row 5: email_address is missing", "row 6: is not a JSON object; every line must be one",
			"row 7: has something after the JSON value", "row 8: has something after the JSON value", "row 9: same address as row 1"}},
		{"every problem at once", `{"email_address":"a@b","expires_in_days":0,"lane":"fast","import_id":"imp_1"}`, []string{
			"row 1: email_address has a domain without a dot; lane must be interactive or import; expires_in_days must be 1 to 365"}},
		{"email", `{"email":"ada@example.com"}`, []string{"1 ada@example.com"}},
		{"keys of others", `{"E-Mail":"ada@example.com","user_id":"auth0|1","publicMetadata":{"a":1},"Expires in days":"30.0","nested":{"x":[1]}}`, []string{
			`1 ada@example.com {"public_metadata":{"a":1},"expires_in_days":30}`}},
		{"an empty key behind no key", "{}\n{\"\":1}\n{\"\":\"x\",\"email\":\"ada@example.com\"}", []string{"row 1: email_address is missing", "row 2: email_address is missing", "3 ada@example.com"}},
		{"misspelt", `{"email":"ada@example.com","notfy":false}`, []string{`row 1: "notfy" looks like notify: correct it, or leave it out with column ignore=…`}},
		{"two keys for one field", `{"email":"ada@example.com","email_address":"b@example.com"}`, []string{
			`row 1: "email" and "email_address" both name email_address; leave one out with column ignore=NAME`}},
		{"members", `{"email":"ada@example.com","public_metadata.n":7,"public_metadata.s":"x"}`, []string{`1 ada@example.com {"public_metadata":{"n":7,"s":"x"}}`}},
		{"metadata in a string", `{"email":"ada@example.com","public_metadata":"{\"a\":1}"}`, []string{`1 ada@example.com {"public_metadata":{"a":1}}`}},
		{"a list of addresses", `{"email_addresses":[{"id":"idn_1","email_address":"ada@example.com"}]}`, []string{"1 ada@example.com"}},
		{"a list of two addresses", `{"emailAddresses":[{"value":"ada@example.com"},{"value":"b@example.com"}]}`, []string{"row 1: email_address holds 2 addresses; keep the one to invite"}},
		{"half a character", `{"email":"ada@example.com","public_metadata":{"n":"\ud800"}}`, []string{`row 1: has half of a character (\ud800), which stands for nothing by itself`}},
		{"a list in an object", `{"total":1,"data":[{"email":"ada@example.com"}]}`, []string{"1/1 ada@example.com"}},
		{"one object over lines", "{\n  \"email\": \"ada@example.com\"\n}\n{\n  \"email\": \"b@example.com\"\n}\n", []string{"1 ada@example.com", "4 b@example.com"}},
		{"an array over lines", "\n[\n  {\n    \"email\": \"ada@example.com\"\n  },\n  {\"email\": \"x\"}\n]\n", []string{
			"3/1 ada@example.com", "row 6, item 2: email_address is not one plain address such as ada@example.com"}},
		{"an array in a line", `[{"email":"ada@example.com"},{"email":"b@example.com"},{"email":"ADA@example.com"}]`, []string{
			"1/1 ada@example.com", "1/2 b@example.com", "row 1, item 3: same address as row 1, item 1"}},
		{"an empty array", " [ ] ", nil},
		{"an array of addresses", `["ada@example.com"]`, []string{"row 1: the JSON is not valid, or not a list of objects: there is something other than an object"}},
		{"an array that ends early", `[{"email":"ada@example.com"},`, []string{"1/1 ada@example.com", "row 1: the JSON ends too early"}},
		{"an array that is broken", `[{"email":"ada@example.com"},{"email":}]`, []string{"1/1 ada@example.com", "row 1, item 2: is not valid JSON"}},
		{"text behind an array", "[]\nx", []string{"row 2: the JSON is not valid, or not a list of objects: there is something other than an object"}},
		{"an address as a field", `{"ada@example.com":1}`, []string{"row 1: email_address is missing"}},
		{"field twice", `{"email_address":"ada@example.com","email_address":"b@example.com"}`, []string{"row 1: has the same field twice"}},
		{"wrong type", `{"email_address":{"x":"ada@example.com"},"notify":[]}`, []string{
			"row 1: email_address must be a string, a number or true or false; notify must be a string, a number or true or false"}},
		{"wrong time", `{"email_address":"ada@example.com","deadline":"soon"}`, []string{"row 1: deadline must be a time with its zone (RFC 3339), such as 2026-01-31T09:00:00Z"}},
		{"Latin-1", ada + "\n{\"email_address\":\"\xe9@example.com\"}", []string{"1 ada@example.com", "row 2: is not valid UTF-8"}},
		{"deep metadata", deep, []string{"row 1: public_metadata is nested more than 32 levels deep"}},
		{"very deep", ada + "\n{\"public_metadata\":" + strings.Repeat("[", 500_000), []string{"1 ada@example.com", "row 2: is not valid JSON (at byte 10019)"}},

		{"CSV", lines("", "email,id", "ada@example.com,x"), []string{`the file is not JSON: row 2 must begin an object, such as {"email_address":"ada@example.com"}, or a list of them`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(tt.in, lists.Options{Format: lists.JSON, GlobalIDs: true})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
